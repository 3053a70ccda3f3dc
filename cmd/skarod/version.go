package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

type versionOptions struct {
	format string
}

func newVersionCmd(f *Factory, run runFunc[versionOptions]) *cobra.Command {
	var o versionOptions
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version and what it was built from",
		Example: `  skarod version
  skarod version -o json | jq -r .commit
  echo "this is $(skarod --version)"`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error { return run(ctx, f, &o) }),
	}
	addOutputFlag(c, &o.format)
	return c
}

func runVersion(_ context.Context, f *Factory, o *versionOptions) error {
	p, err := f.printer(o.format, time.Now)
	if err != nil {
		return err
	}
	if err := p.Version(buildInfo()); err != nil {
		return err
	}
	return p.Flush()
}
