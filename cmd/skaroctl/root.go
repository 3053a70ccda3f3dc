package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// execute runs the command that the arguments name, when signals are caught.
func (a *app) execute(ctx context.Context, args []string, caught <-chan struct{}) error {
	root := a.root(args)
	root.SetArgs(args)
	root.SetIn(a.streams.In)
	out := &cli.Writer{Out: a.out}
	root.SetOut(out)
	root.SetErr(a.err)
	<-caught
	c, err := root.ExecuteContextC(ctx)
	var unknown *cli.UsageError
	switch {
	case out.Err != nil:
		return out.Err
	case errors.As(err, &unknown):
		err = &usageError{unknown.Why, unknown.Advice}
	case err != nil && !a.ran: // it comes from cobra, before any command
		why, hint := cli.Explain(c, err)
		if why == `unknown command "passwd"` || why == `unknown command "password"` {
			hint = "a password is changed at the server, with `skarod user passwd LOGIN`; afterwards log in again, with `skaroctl login`"
		}
		err = &usageError{why, hint}
		// cobra gave up before it read every flag: -o says how the error is to look.
		root.PersistentFlags().ParseErrorsAllowlist.UnknownFlags = true
		_ = root.PersistentFlags().Parse(args)
	}
	return err
}

func (a *app) root(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "skaroctl",
		Short: "Skaro instant messages from the command line",
		Long: `skaroctl sends and receives Skaro instant messages from scripts, cron jobs and
pipelines. Results go to standard output, everything else to standard error.`,
		Example: `  skaroctl login alice --server wss://chat.example.org/skaro_client/
  echo "disk almost full" | skaroctl send ops
  skaroctl listen | jq -r .body`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	if slices.Contains(args, "--version") {
		root.Version = buildInfo().Version
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version alone") // cobra's own would take -v
	a.addCommonFlags(root)
	commands := a.commands()
	if c, ok := a.named(args); ok {
		commands = []namedCommand{c} // nothing asks for the others, and they make a start slower
	} else {
		root.AddCommand(topics()...)
	}
	for _, c := range commands {
		root.AddCommand(c.make())
	}
	cli.Finish(root, args)
	return root
}

// namedCommand is a command that is made when it is needed.
type namedCommand struct {
	name   string
	logsIn bool // with what a credential store has
	make   func() *cobra.Command
}

func (a *app) commands() []namedCommand {
	return []namedCommand{
		{"login", false, a.loginCommand}, {"logout", false, a.logoutCommand}, {"status", true, a.statusCommand},
		{"register-type", false, a.registerTypeCommand}, {"register", false, a.registerCommand},
		{"contacts", true, a.contactsCommand}, {"history", true, a.historyCommand}, {"send", true, a.sendCommand},
		{"listen", true, a.listenCommand}, {"request", true, a.requestCommand}, {"version", false, a.versionCommand},
	}
}

// named is the command whose name the arguments begin with.
func (a *app) named(args []string) (c namedCommand, ok bool) {
	commands := a.commands()
	i := slices.IndexFunc(commands, func(c namedCommand) bool { return len(args) > 0 && c.name == args[0] })
	if i < 0 {
		return namedCommand{}, false
	}
	return commands[i], true
}

// logsIn guesses, before the flags are understood, whether the command will read a
// credential store. To show its help it will not.
func (a *app) logsIn(args []string) bool {
	c, _ := a.named(args)
	return c.logsIn && !slices.Contains(args, "--help") && !slices.Contains(args, "-h") &&
		a.getenv("SKAROCTL_TOKEN") == "" && a.getenv("SKAROCTL_TOKEN_FILE") == ""
}

// noEmptyFlag is an error for a flag whose text is empty: a variable that is not set
// must not be a flag that was not given.
func noEmptyFlag(c *cobra.Command) error {
	var err error
	c.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if slices.Contains(values, "") {
			err = &usageError{fmt.Sprintf("--%s is empty", f.Name), "give a value, or leave the flag out"}
		}
	})
	return err
}

// does makes the RunE of a command: what every command does first, and the
// command's name in front of its errors.
func (a *app) does(run func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		a.ran = true
		err := noEmptyFlag(c)
		if err == nil {
			err = a.settle()
		}
		if err == nil {
			err = run(c.Context(), args)
		}
		var usage *usageError
		if errors.As(err, &usage) && usage.hint == "" {
			usage.hint = cli.SeeHelp(c)
		}
		var list several
		if err == nil || errors.As(err, &list) {
			return err
		}
		return fmt.Errorf("%s: %w", strings.TrimPrefix(c.CommandPath(), "skaroctl "), err)
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built from",
		Long: `Print the version, the commit and its date, and the Go version and the platform
that the program was built with and for. It needs no login, no server and no
configuration.`,
		Example: `  skaroctl version
  skaroctl version -o json | jq -r .commit
  echo "this is $(skaroctl --version)"`,
		Args: cobra.NoArgs,
		RunE: a.does(func(context.Context, []string) error {
			p := a.printer()
			if err := p.Version(buildInfo()); err != nil {
				return err
			}
			return p.Flush()
		}),
	}
}
