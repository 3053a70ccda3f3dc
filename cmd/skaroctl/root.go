package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// execute runs the command that the arguments name.
func (a *app) execute(ctx context.Context, args []string) error {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.streams.In)
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.Err)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.ran {
		// It comes from cobra, before any command: unknown command, wrong flag,
		// wrong number of arguments.
		var usage *usageError
		if !errors.As(err, &usage) {
			err = &usageError{why: err.Error(), hint: "see `skaroctl --help`"}
		}
	}
	return err
}

func (a *app) root() *cobra.Command {
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
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{why: err.Error(), hint: fmt.Sprintf("see `%s --help`", c.CommandPath())}
	})
	a.addCommonFlags(root)
	for _, c := range []*cobra.Command{
		a.loginCommand(), a.logoutCommand(), a.statusCommand(), a.registerTypeCommand(), a.registerCommand(),
		a.contactsCommand(), a.historyCommand(), a.sendCommand(), a.listenCommand(), a.requestCommand(), a.versionCommand(),
	} {
		root.AddCommand(c)
	}
	return root
}

// does makes the RunE of a command: what every command does first, and the
// command's name in front of its errors.
func (a *app) does(run func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		a.ran = true
		err := a.settle()
		if err == nil {
			err = run(c.Context(), args)
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
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: a.does(func(context.Context, []string) error {
			_, err := fmt.Fprintf(a.streams.Out, "skaroctl %s\n", version)
			return err
		}),
	}
}
