package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
)

type profileOptions struct{ name string }

func newProfileCmd(f *Factory) *cobra.Command {
	c := &cobra.Command{
		Use:        "profile",
		SuggestFor: []string{"account", "accounts", "profiles"},
		Short:      "Manage the accounts on this machine",
		Long: `A profile is an account that "skaroctl login" has saved. These commands do
not use the network. Only "profile remove" uses a keyring.`,
		Example: `  skaroctl profile list
  skaroctl profile use work`,
	}
	c.AddCommand(newProfileListCmd(f, runProfileList), newProfileUseCmd(f, runProfileUse), newProfileRemoveCmd(f, runProfileRemove))
	return c
}

func newProfileListCmd(f *Factory, run runFunc[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "list",
		SuggestFor: []string{"ls"},
		Short:      "List the profiles and mark the default",
		Example: `  skaroctl profile list
  skaroctl profile list -o json | jq -r 'select(.default) | .profile'`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &noOptions{}, run) },
	}
}

func runProfileList(_ context.Context, f *Factory, _ *noOptions) error {
	profiles, err := f.Profiles()
	if err != nil {
		return err
	}
	p := f.Printer()
	for _, name := range profiles.names() {
		saved := profiles.config.Profiles[name]
		if err := p.Profile(output.Account{
			Profile: name, Server: saved.Server, Login: saved.Login, Store: storeOf(saved), Default: name == profiles.defaultName(),
		}); err != nil {
			return err
		}
	}
	if len(profiles.config.Profiles) == 0 {
		f.noticeNone("no profiles yet: `skaroctl login` makes one")
	}
	return p.Flush()
}

func newProfileUseCmd(f *Factory, run runFunc[profileOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "use NAME",
		SuggestFor: []string{"switch", "default", "set"},
		Short:      "Make a profile the default",
		Long: `Commands use the default if neither --profile nor SKAROCTL_PROFILE names
another profile.`,
		Example: `  skaroctl profile use work
  skaroctl profile use default`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeProfileArg,
		RunE: func(c *cobra.Command, args []string) error {
			return runCommand(c, f, &profileOptions{name: args[0]}, run)
		},
	}
}

func runProfileUse(ctx context.Context, f *Factory, o *profileOptions) error {
	profiles, err := f.Profiles()
	if err != nil {
		return err
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	err = account.UpdateConfig(ctx, profiles.files.Config, func(c *account.Config) error {
		if _, ok := c.Profiles[o.name]; !ok {
			return noProfile(o.name, *c)
		}
		c.DefaultProfile = o.name
		return nil
	})
	if err != nil {
		return err
	}
	f.notice("the default profile is %q", o.name)
	if named := f.getenv("SKAROCTL_PROFILE"); named != "" && named != o.name {
		f.notice("SKAROCTL_PROFILE is %q, and overrides it", named)
	}
	return nil
}

func newProfileRemoveCmd(f *Factory, run runFunc[profileOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "remove NAME",
		SuggestFor: []string{"rm", "delete", "del"},
		Short:      "Remove a profile and its credentials",
		Long: `If the credentials can't be removed, for example because there is no keyring,
the profile is removed, and a notice names the credentials that stay.`,
		Example: `  skaroctl profile remove work
  skaroctl profile remove work --timeout 2s`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeProfileArg,
		RunE: func(c *cobra.Command, args []string) error {
			return runCommand(c, f, &profileOptions{name: args[0]}, run)
		},
	}
}

func runProfileRemove(ctx context.Context, f *Factory, o *profileOptions) error {
	profiles, err := f.Profiles()
	if err != nil {
		return err
	}
	saved, ok := profiles.config.Profiles[o.name]
	if !ok {
		return noProfile(o.name, profiles.config)
	}
	// The profile must go even if its keyring takes all of the time.
	if err := f.dropProfileCredentials(ctx, profiles, o.name); err != nil {
		f.notice("the credentials of %s at %s stay in the %s store: %v", output.Login(saved.Login), saved.Server, storeOf(saved), err)
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	if err := removeProfile(ctx, profiles, o.name); err != nil {
		return err
	}
	f.notice("removed the profile %q", o.name)
	return nil
}

// dropProfileCredentials is dropCredentials within the time of --timeout.
func (f *Factory) dropProfileCredentials(ctx context.Context, p profiles, name string) error {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	return dropCredentials(ctx, p, name)
}

// completeProfileArg completes the name of a profile that is the only argument.
func (f *Factory) completeProfileArg(c *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return f.completeProfile(c, args, prefix)
}

// noProfile returns the error for an argument that is not a profile.
func noProfile(name string, c account.Config) error {
	return cli.Usage(fmt.Sprintf("there is no profile %q", name), knownProfiles(c))
}

// knownProfiles is a hint with the profiles that there are.
func knownProfiles(c account.Config) string {
	if len(c.Profiles) == 0 {
		return "make one with `skaroctl login`"
	}
	return "choose one of " + strings.Join(slices.Sorted(maps.Keys(c.Profiles)), ", ")
}

// names returns the names of the profiles, sorted.
func (p profiles) names() []string { return slices.Sorted(maps.Keys(p.config.Profiles)) }

// usualProfile is the default profile if the config file names none.
const usualProfile = "default"

// defaultName returns the name of the profile for a command that names none. It need not
// exist.
func (p profiles) defaultName() string { return cmp.Or(p.config.DefaultProfile, usualProfile) }
