package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
)

func (a *app) registerTypeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "register-type",
		Short: "Show who may create an account on the server",
		Long: `Show the server's registration policy: open, invite (by invitation) or closed, or
the server's own word where it is another. It needs no login.`,
		Example: `  skaroctl register-type --server wss://chat.example.org/skaro_client/
  skaroctl register-type -o text`,
		Args: cli.CheckArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error { return a.registerType(ctx) }),
	}
}

func (a *app) registerType(ctx context.Context) error {
	t, err := a.place(true)
	if err != nil {
		return err
	}
	ctx, cancel := a.oneShot(ctx)
	defer cancel()
	return a.withoutLogin(ctx, t, func(ctx context.Context, s *session.Session) error {
		policy, err := s.RegisterType(ctx)
		if err != nil {
			return err
		}
		p := a.printer()
		if err := p.RegisterType(policy); err != nil {
			return err
		}
		return p.Flush()
	})
}
