package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
)

func newRegisterTypeCmd(f *Factory, run runFunc[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use:   "register-type",
		Short: "Show who may create an account on the server",
		Long: `The answer is open (anyone), invite (by invitation) or closed (only the
administrator), or the server's own word. No login is needed.`,
		Example: `  skaroctl register-type --server wss://chat.example.org/skaro_client/
  skaroctl register-type -o text`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &noOptions{}, run) },
	}
}

func runRegisterType(ctx context.Context, f *Factory, _ *noOptions) error {
	acct, err := f.ResolveServer()
	if err != nil {
		return err
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	return f.WithoutLogin(ctx, acct, func(ctx context.Context, s *session.Session) error {
		policy, err := s.RegisterType(ctx)
		if err != nil {
			return err
		}
		p := f.Printer()
		if err := p.RegisterType(policy); err != nil {
			return err
		}
		return p.Flush()
	})
}
