package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
)

func newStatusCmd(f *Factory, run runFunc[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the account, and whether it still works",
		Long: `Log in with the stored credentials, and show the account, where the credentials
are kept, and what the server is. The exit status is 3 if the credentials no longer
work.`,
		Example: `  skaroctl status
  skaroctl status --profile work -o json | jq .rtt_ms`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &noOptions{}, run) },
	}
}

func runStatus(ctx context.Context, f *Factory, _ *noOptions) error {
	return f.WithSession(ctx, func(ctx context.Context, acct Account, s *session.Session) error {
		got, err := s.Account(ctx)
		if err != nil {
			return err
		}
		rtt, err := s.RoundTrip(ctx)
		if err != nil {
			return err
		}
		about := output.Account{
			Profile: acct.profile, Server: acct.endpoint.URL, Login: got.Login, Store: acct.storeName(), Credentials: acct.credentialsInWords(ctx),
			ServerVersion: s.Greeting().Server, Extensions: s.Greeting().Extensions, RoundTrip: rtt,
		}
		if acct.env != nil {
			about.Profile = ""
		}
		p := f.Printer()
		if err := p.Account(about); err != nil {
			return err
		}
		return p.Flush()
	})
}

// credentialsInWords says what credentials the account has, "" if the store does not tell.
func (acct Account) credentialsInWords(ctx context.Context) string {
	if acct.env != nil {
		return "token from " + acct.env.Source
	}
	store, err := acct.store()
	if err != nil {
		return ""
	}
	c, err := store.Get(ctx, acct.key())
	if err != nil {
		return ""
	}
	return describeCredentials(c)
}
