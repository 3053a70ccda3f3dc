package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
)

type logoutOptions struct{ all bool }

func newLogoutCmd(f *Factory, run runFunc[logoutOptions]) *cobra.Command {
	var o logoutOptions
	c := &cobra.Command{
		Use:   "logout",
		Short: "Forget the credentials and the profile",
		Long: `logout removes what login saved on this machine. The server does not notice,
because Skaro has no logout request. On the server, an unused session ends after
five minutes.`,
		Example: `  skaroctl logout
  skaroctl logout --profile work`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &o, run) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "forget every profile")
	return c
}

func runLogout(ctx context.Context, f *Factory, o *logoutOptions) error {
	acct, err := f.ResolveProfile()
	if err != nil {
		return err
	}
	if !o.all && f.flags.profile == "" {
		if err := f.refuseEnvironment(ctx); err != nil {
			return err
		}
	}
	if o.all && f.flags.profileGiven {
		return cli.Usage("--all and --profile can't be given together", "leave one of them out")
	}
	names, err := profilesToForget(acct, o)
	if err != nil {
		return err
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	left := acct.profiles
	left.config.Profiles = maps.Clone(left.config.Profiles)
	var failed []error // one profile that can't be forgotten does not keep the others
	for _, name := range names {
		if err := forgetProfile(ctx, left, name); err != nil {
			failed = append(failed, fmt.Errorf("logout: profile %q: %w", name, err))
			continue
		}
		delete(left.config.Profiles, name)
		f.notice("forgot the profile %q", name)
	}
	return errors.Join(failed...)
}

// refuseEnvironment returns an error if the environment gives a token. One that can't be used
// does not count.
func (f *Factory) refuseEnvironment(ctx context.Context) error {
	env, err := f.readEnvironment(ctx)
	switch {
	case env != nil:
		return cli.Usage(
			"the token comes from "+env.Source+", which logout can't forget",
			"unset it; or give --profile NAME to forget a profile that was saved",
		)
	case account.KindOf(err) == account.KindToken:
		return nil
	}
	return err
}

// profilesToForget returns the names of the profiles that logout is for.
func profilesToForget(acct Account, o *logoutOptions) ([]string, error) {
	all := acct.names()
	switch {
	case o.all:
		return all, nil
	case slices.Contains(all, acct.profile):
		return []string{acct.profile}, nil
	}
	return nil, notLoggedIn(fmt.Sprintf("not logged in: there is no profile %q", acct.profile), knownProfiles(acct.config))
}

// forgetProfile removes a profile: its credentials first, so that none are left without a
// profile.
func forgetProfile(ctx context.Context, p profiles, name string) error {
	if err := dropCredentials(ctx, p, name); err != nil {
		return err
	}
	return removeProfile(ctx, p, name)
}

// removeProfile removes a profile from the config file.
func removeProfile(ctx context.Context, p profiles, name string) error {
	return account.UpdateConfig(ctx, p.files.Config, func(c *account.Config) error {
		delete(c.Profiles, name)
		if c.DefaultProfile == name {
			c.DefaultProfile = ""
		}
		return nil
	})
}

// dropCredentials removes the credentials and the cached contacts of a profile, unless
// another profile uses the same.
func dropCredentials(ctx context.Context, p profiles, name string) error {
	profile := p.config.Profiles[name]
	store, err := account.OpenStore(profile.Store, p.files)
	if err != nil {
		return err
	}
	for other, saved := range p.config.Profiles {
		if other != name && sameCredentials(saved, profile) {
			return nil
		}
	}
	key := account.Key{Server: profile.Server, Login: profile.Login}
	return errors.Join(p.files.ForgetContacts(key), store.Delete(ctx, key))
}

// sameCredentials reports whether two profiles share their stored credentials.
func sameCredentials(a, b account.Profile) bool {
	return a.Server == b.Server && a.Login == b.Login && storeOf(a) == storeOf(b)
}
