package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the account, and whether it still works",
		Long: `Log in with the stored credentials, and show the account, where the credentials
are kept, and what the server is. The exit status is 3 when the credentials no
longer work.`,
		Example: `  skaroctl status
  skaroctl status --profile work -o json | jq .rtt_ms`,
		Args: cli.CheckArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error { return a.status(ctx) }),
	}
}

func (a *app) status(ctx context.Context) error {
	return a.withAccount(ctx, func(ctx context.Context, t target, s *session.Session) error {
		got, err := s.Account(ctx)
		if err != nil {
			return err
		}
		rtt, err := s.RoundTrip(ctx)
		if err != nil {
			return err
		}
		about := output.Account{
			Profile: t.profile, Server: t.endpoint.URL, Login: got.Login, Store: t.storeName(),
			ServerVersion: s.Greeting().Server, Extensions: s.Greeting().Extensions, RoundTrip: rtt,
		}
		if t.env != nil {
			about.Profile, about.Credentials = "", "token from "+t.env.Source
		} else if store, err := t.store(); err == nil {
			var c account.Credentials
			if c, err = store.Get(ctx, t.key()); err == nil {
				about.Credentials = held(c)
			}
		}
		p := a.printer()
		if err := p.Account(about); err != nil {
			return err
		}
		return p.Flush()
	})
}
