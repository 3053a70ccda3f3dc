package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

func newVersionCmd(f *Factory, run runFunc[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and what it was built from",
		Example: `  skaroctl version
  skaroctl version -o json | jq -r .commit
  echo "this is $(skaroctl --version)"`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &noOptions{}, run) },
	}
}

func runVersion(_ context.Context, f *Factory, _ *noOptions) error {
	p := f.Printer()
	if err := p.Version(buildInfo()); err != nil {
		return err
	}
	return p.Flush()
}
