// Command skarod is a small, durable Skaro server.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/cli"
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
}

// run is the whole program: it returns the exit status.
func run(args []string, streams terminal.Streams, getenv func(string) string) int {
	return cli.Main(args, streams, getenv, newProgram)
}

// newProgram returns what cli.Main runs.
func newProgram(p *cli.Process) cli.Program {
	a := &app{streams: p.Streams, getenv: p.Getenv}
	return cli.Program{Root: a.root(), Table: exitTable, Classify: classify}
}

// exitTable has the exit statuses of errors, the most severe first.
var exitTable = cli.Table{
	{Kind: cli.KindInternal, Exit: 1},
	{Kind: cli.KindRefused, Exit: 5},
	{Kind: cli.KindUsage, Exit: 2},
}

// classify returns the kind of an error of the store, and its hint.
func classify(err error) cli.Error {
	switch {
	case store.Refused(err):
		return cli.Error{Kind: cli.KindRefused}
	case store.Damaged(err):
		return cli.Error{Hint: restoreHint}
	}
	return cli.Error{}
}

func (a *app) root() *cobra.Command {
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
	cli.Finish(root)
	return root
}

func (a *app) versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built from",
		Example: `  skarod version
  skarod version -o json | jq -r .commit
  echo "this is $(skarod --version)"`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(context.Context, []string) error {
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
