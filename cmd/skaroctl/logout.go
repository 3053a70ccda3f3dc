package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
)

func (a *app) logoutCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "logout",
		Short: "Forget the token, the SID and the profile",
		Long: `Forget what login saved on this machine: the token and the SID in the credential
store, and the profile in the config file. The server is not told: Skaro has no
request for it, and an unused session ends there after five minutes.`,
		Example: `  skaroctl logout
  skaroctl logout --profile work`,
		Args: cli.CheckArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error { return a.logout(ctx, all) }),
	}
	c.Flags().BoolVar(&all, "all", false, "every profile")
	return c
}

func (a *app) logout(ctx context.Context, all bool) error {
	t, err := a.place(false)
	if err != nil {
		return err
	}
	if env, ok, _ := account.FromEnvironment(a.getenv); ok && !all && a.flags.profile == "" {
		return &usageError{
			"the token comes from " + env.Source + ", which logout can't forget",
			"unset it; or give --profile NAME to forget a profile that was saved",
		}
	}
	names := []string{t.profile}
	if all {
		names = slices.Sorted(maps.Keys(t.config.Profiles))
	} else if _, ok := t.config.Profiles[t.profile]; !ok {
		hint := "there is none at all"
		if len(t.config.Profiles) > 0 {
			hint = "the profiles are " + strings.Join(slices.Sorted(maps.Keys(t.config.Profiles)), ", ") + "; --all forgets every one"
		}
		return &loginError{fmt.Sprintf("not logged in: there is no profile %q", t.profile), hint}
	}
	ctx, cancel := a.oneShot(ctx)
	defer cancel()
	var failed several // what can be forgotten is, whatever becomes of the others
	for _, name := range names {
		if err := a.forget(ctx, t, name); err != nil {
			failed = append(failed, fmt.Errorf("logout: profile %q: %w", name, err))
			continue
		}
		a.notice("forgot the profile %q", name)
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// forget removes a profile: its credentials first, so that none is left that
// nothing points to.
func (a *app) forget(ctx context.Context, t target, name string) error {
	if err := t.drop(ctx, name, t.config.Profiles[name]); err != nil {
		return err
	}
	delete(t.config.Profiles, name)
	return account.UpdateConfig(ctx, t.files.Config, func(c *account.Config) error {
		delete(c.Profiles, name)
		if c.DefaultProfile == name {
			c.DefaultProfile = ""
		}
		return nil
	})
}

// drop removes the credentials and the cached contacts of a profile, unless another
// one uses the same.
func (t target) drop(ctx context.Context, name string, profile account.Profile) error {
	store, err := account.OpenStore(profile.Store, t.files)
	if err != nil {
		return err
	}
	for other, p := range t.config.Profiles {
		if other != name && sameCredentials(p, profile) {
			return nil
		}
	}
	key := account.Key{Server: profile.Server, Login: profile.Login}
	return errors.Join(t.files.ForgetContacts(key), store.Delete(ctx, key))
}

// sameCredentials reports whether two profiles share what a store keeps.
func sameCredentials(a, b account.Profile) bool {
	return a.Server == b.Server && a.Login == b.Login && cmp.Or(a.Store, "keyring") == cmp.Or(b.Store, "keyring")
}
