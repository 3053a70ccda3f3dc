package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
)

type statusOptions struct{ all bool }

func newStatusCmd(f *Factory, run runFunc[statusOptions]) *cobra.Command {
	var o statusOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the account and whether it still works",
		Long: `status logs in with the stored credentials. The exit status is 3 if they no
longer work. With --all, each account that does not work is an error.`,
		Example: `  skaroctl status
  skaroctl status --profile work -o json | jq .rtt_ms`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &o, run) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "show every profile")
	return c
}

func runStatus(ctx context.Context, f *Factory, o *statusOptions) error {
	if o.all {
		return runStatusAll(ctx, f)
	}
	acct, err := f.ResolveAccount(ctx)
	if err != nil {
		return err
	}
	about, err := f.status(ctx, acct)
	if err != nil {
		return err
	}
	return f.printAccounts(about)
}

// runStatusAll shows every profile, sorted by name. It asks the servers at the same time, so
// that a silent one does not delay the others.
func runStatusAll(ctx context.Context, f *Factory) error {
	if f.flags.profileGiven || f.flags.serverGiven {
		return cli.Usage("--all can't be given together with --profile or --server", "leave one of them out")
	}
	profiles, err := f.Profiles()
	if err != nil {
		return err
	}
	names := profiles.names()
	if len(names) == 0 {
		return notLoggedIn("not logged in: there is no profile", knownProfiles(profiles.config))
	}
	found, failed := make([]output.Account, len(names)), make([]error, len(names))
	var asking sync.WaitGroup
	for i, name := range names {
		asking.Go(func() {
			acct, err := f.resolveNamed(profiles, name)
			if err == nil {
				found[i], err = f.status(ctx, acct)
			}
			if err != nil {
				failed[i] = fmt.Errorf("status: profile %q: %w", name, err)
			}
		})
	}
	asking.Wait()
	works := slices.DeleteFunc(found, func(a output.Account) bool { return a.Login == "" })
	return errors.Join(append([]error{f.printAccounts(works...)}, failed...)...)
}

// resolveNamed is ResolveAccount for a profile as if --profile had named it.
func (f *Factory) resolveNamed(p profiles, name string) (Account, error) {
	flags := f.flags
	flags.profile, flags.profileGiven = name, true
	return resolveAccount(p, flags, f.getenv, f.stderr.line, nil)
}

// status logs in, and returns the account with what the server says.
func (f *Factory) status(ctx context.Context, acct Account) (output.Account, error) {
	about := output.Account{
		Profile: acct.profile, Server: acct.endpoint.URL, Store: acct.storeName(), Default: acct.profile == acct.defaultName(),
	}
	if acct.env != nil {
		about.Profile, about.Default = "", false
	}
	if err := acct.needLogin(); err != nil {
		return output.Account{}, err
	}
	err := f.withAccount(ctx, acct, func(ctx context.Context, s *session.Session) error {
		got, err := s.Account(ctx)
		if err != nil {
			return err
		}
		about.Login, about.Credentials = got.Login, acct.credentialsInWords(ctx)
		about.ServerVersion, about.Extensions = s.Greeting().Server, s.Greeting().Extensions
		about.RoundTrip, err = s.RoundTrip(ctx)
		return err
	})
	if err != nil {
		return output.Account{}, err
	}
	return about, nil
}

func (f *Factory) printAccounts(accounts ...output.Account) error {
	p := f.Printer()
	for _, a := range accounts {
		if err := p.Account(a); err != nil {
			return err
		}
	}
	return p.Flush()
}

// credentialsInWords names the credentials of the account, or returns "" if the store can't
// tell.
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
