// Command skarod is a small, durable Skaro server.
package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// version is set by the linker where the go command can't know it.
var version string

// buildInfo tells what this program was built from.
func buildInfo() build.Info { return build.Read("skarod", version) }

// app is what the commands share.
type app struct {
	streams terminal.Streams
	getenv  func(string) string
	data    string // --data
	ran     bool   // a command's own code was reached: an error before is one of usage
}

// usageError is a wrong flag, argument or input.
type usageError struct{ why, hint string }

func (e *usageError) Error() string { return e.why }
func (e *usageError) Hint() string  { return e.hint }

// run is the whole program: it returns the exit status.
func run(args []string, streams terminal.Streams, getenv func(string) string) int {
	ctx, signals := terminal.CatchSignals(context.Background())
	defer signals.Stop()
	<-signals.Caught()
	a := &app{streams: streams, getenv: getenv}
	root := a.root(args)
	root.SetArgs(args)
	root.SetIn(streams.In)
	out := &cli.Writer{Out: streams.Out}
	root.SetOut(out)
	root.SetErr(streams.Err)
	c, err := root.ExecuteContextC(ctx)
	var unknown *cli.UsageError
	switch {
	case out.Err != nil:
		err = out.Err
	case errors.As(err, &unknown):
		err = &usageError{unknown.Why, unknown.Advice}
	case err != nil && !a.ran: // it comes from cobra, before any command
		why, hint := cli.Explain(c, err)
		err = &usageError{why, hint}
	}
	return a.report(err)
}

func (a *app) root(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "skarod",
		Short: "A small, durable server for Skaro instant messages",
		Long: `skarod is a server for the people and programs of a team: one program, one SQLite
file. A message is confirmed to its sender only when it is on disk. Accounts are made
with "skarod user add", also while the server runs.`,
		Example: `  skarod user add carol
  skarod serve --data ./skaro`,
		Version:       buildInfo().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version alone")
	root.PersistentFlags().StringVar(&a.data, "data", "", "`FOLDER` with the database skarod.db (default skarod in XDG_DATA_HOME)")
	root.AddCommand(a.serveCommand(), a.userCommand(), a.conferenceCommand(), a.inviteCommand(), a.backupCommand(), a.restoreCommand(), a.versionCommand())
	root.AddCommand(topics()...)
	cli.Finish(root, args)
	return root
}

// report writes what went wrong, and returns the exit status: 2 for wrong usage,
// 5 for what the state of the server refuses, 128 and its number after a signal, 1 for the rest.
func (a *app) report(err error) int {
	if err == nil || terminal.ReaderGone(err) {
		return 0 // whoever read the output has seen enough
	}
	var apart *exec.ExitError
	if errors.As(err, &apart) && apart.ExitCode() > 0 {
		return apart.ExitCode() // it has said why
	}
	f := output.Failure{Message: err.Error()}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		f.Hint = hinted.Hint()
	} else if store.Damaged(err) {
		f.Hint = restoreHint
	}
	exit := 1
	var usage *usageError
	var interrupt *terminal.Interrupt
	switch {
	case errors.As(err, &interrupt):
		return interrupt.ExitStatus() // who interrupts knows
	case errors.As(err, &usage):
		exit = 2
	case store.Refused(err):
		exit = 5
	}
	_ = output.WriteFailure(a.streams.Err, "skarod", f, false, output.UseColour("auto", a.streams.ErrTerminal && !a.streams.Plain, a.getenv))
	return exit
}

// does makes the RunE of a command: its name goes in front of its errors.
func (a *app) does(run func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		a.ran = true
		if err := run(c.Context(), args); err != nil {
			var usage *usageError
			if errors.As(err, &usage) && usage.hint == "" {
				usage.hint = cli.SeeHelp(c)
			}
			return fmt.Errorf("%s: %w", strings.TrimPrefix(c.CommandPath(), "skarod "), err)
		}
		return nil
	}
}

func (a *app) versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built from",
		Example: `  skarod version
  skarod version -o json | jq -r .commit
  echo "this is $(skarod --version)"`,
		Args: cobra.NoArgs,
		RunE: a.does(func(context.Context, []string) error {
			p, err := a.printer(format, time.Now)
			if err != nil {
				return err
			}
			if err := p.Version(buildInfo()); err != nil {
				return err
			}
			return p.Flush()
		}),
	}
	addOutput(c, &format)
	return c
}

// done tells a person what a command has done that prints no result. A script has
// the exit status.
func (a *app) done(format string, args ...any) {
	if a.streams.ErrTerminal {
		fmt.Fprintf(a.streams.Err, "skarod: "+format+"\n", args...)
	}
}
