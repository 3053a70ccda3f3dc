// Command skarod is a small, durable Skaro server.
package main

import (
	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// version is set by the linker if the go command can't know it.
var version string

// buildInfo says what this program was built from.
func buildInfo() build.Info { return build.Read("skarod", version) }

// run is the whole program: it returns the exit status.
func run(args []string, streams terminal.Streams, getenv func(string) string) int {
	return cli.Main(args, streams, getenv, newProgram)
}

// newProgram returns what cli.Main runs.
func newProgram(p *cli.Process) cli.Program {
	return cli.Program{Root: newRootCmd(newFactory(p)), Table: exitTable, Classify: classify}
}

// newRootCmd makes the tree of commands.
func newRootCmd(f *Factory) *cobra.Command {
	root := &cobra.Command{
		Use:   "skarod",
		Short: "Run a small, durable server for Skaro messages",
		Long: `skarod is one program and one SQLite file. It confirms a message to its sender
only when the message is on disk. Except for "serve" and "restore", all commands
can be used while the server runs, and take effect within a second.`,
		Example: `  skarod user add carol
  skarod serve --data ./skaro`,
		Version:       buildInfo().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print only the name and the version")
	root.PersistentFlags().StringVar(&f.data, "data", "", "`FOLDER` of the database (default $XDG_DATA_HOME/skarod)")
	root.PersistentFlags().BoolVarP(&f.verbose, "verbose", "v", false, "show the database's path and each step on standard error; serve logs every connection")
	root.AddCommand(
		newServeCmd(f, runServe), newUserCmd(f), newConferenceCmd(f), newInviteCmd(f),
		newPruneCmd(f, runPrune), newBackupCmd(f, runBackup), newRestoreCmd(f, runRestore), newVersionCmd(f, runVersion),
	)
	root.AddCommand(topics()...)
	cli.Finish(root)
	return root
}
