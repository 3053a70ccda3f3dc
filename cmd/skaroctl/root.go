package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// execute runs the command that the arguments name.
func execute(ctx context.Context, f *Factory, args []string) error {
	root := newRootCmd(f, args)
	root.SetArgs(args)
	root.SetIn(f.streams.In)
	out := &cli.Writer{Out: f.out}
	root.SetOut(out)
	root.SetErr(f.stderr.w)
	c, err := root.ExecuteContextC(ctx)
	var unknown *cli.UsageError
	switch {
	case out.Err != nil:
		return out.Err
	case errors.As(err, &unknown):
		err = cli.Usage(unknown.Why, unknown.Advice)
	case err != nil && !f.ran: // it comes from cobra, before any command
		why, hint := cli.Explain(c, err)
		if why == `unknown command "passwd"` || why == `unknown command "password"` {
			hint = "a password is changed at the server, with `skarod user passwd LOGIN`; afterwards log in again, with `skaroctl login`"
		}
		err = cli.Usage(why, hint)
		// cobra gave up before it read every flag: -o says how the error is to look.
		root.PersistentFlags().ParseErrorsAllowlist.UnknownFlags = true
		_ = root.PersistentFlags().Parse(args)
	}
	return err
}

// newRootCmd makes the tree of commands. args are those of the program.
func newRootCmd(f *Factory, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "skaroctl",
		Short: "Skaro instant messages from the command line",
		Long: `skaroctl sends and receives Skaro instant messages from scripts, cron jobs and
pipelines. Results go to standard output, everything else to standard error.`,
		Example: `  skaroctl login alice --server wss://chat.example.org/skaro_client/
  echo "disk almost full" | skaroctl send ops
  skaroctl listen | jq -r .body`,
		Version:       buildInfo().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version alone") // cobra's own would take -v
	f.given.add(root, f.completeProfile)
	a := &app{f}
	root.AddCommand(
		a.loginCommand(), a.logoutCommand(), a.statusCommand(), a.registerTypeCommand(), a.registerCommand(),
		a.contactsCommand(), a.historyCommand(), a.sendCommand(), newListenCmd(f, runListen), a.requestCommand(), newVersionCmd(f, runVersion),
	)
	root.AddCommand(topics()...)
	cli.Finish(root, args)
	return root
}
