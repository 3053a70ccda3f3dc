package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/server"
	"github.com/skaroctl/skaroctl/internal/store"
)

type inviteCreateOptions struct {
	expires cli.Duration
}

type inviteRevokeOptions struct {
	which string // an id or a code
}

// inviteTime is the layout of the time when an invitation ends.
const inviteTime = "2006-01-02 15:04"

func newInviteCmd(f *Factory) *cobra.Command {
	c := &cobra.Command{
		Use:   "invite",
		Short: "Manage invitations",
		Long: `An invitation lets one person create one account on a server that runs with
--registration invite.`,
		Example: `  skarod invite create
  skarod invite list`,
	}
	c.AddCommand(newInviteCreateCmd(f, runInviteCreate), newInviteListCmd(f, runInviteList), newInviteRevokeCmd(f, runInviteRevoke))
	return c
}

func newInviteCreateCmd(f *Factory, run runFunc[inviteCreateOptions]) *cobra.Command {
	o := inviteCreateOptions{expires: cli.Duration(7 * 24 * time.Hour)}
	c := &cobra.Command{
		Use:        "create",
		SuggestFor: []string{"add", "new"},
		Short:      "Create an invitation and print its code",
		Long:       `The code is shown only once. It is for "skaroctl register --invite CODE".`,
		Example: `  skarod invite create
  skarod invite create --expires 1d`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error { return run(ctx, f, &o) }),
	}
	c.Flags().Var(&o.expires, "expires", "how long the invitation is valid, like 24h or 7d")
	return c
}

func runInviteCreate(ctx context.Context, f *Factory, o *inviteCreateOptions) error {
	return f.withStore(mustExist, func(s *store.Store) error {
		now := time.Now()
		until := now.Add(time.Duration(o.expires))
		code, err := s.CreateInvite(now, until)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(f.out, code); err != nil {
			// Nobody has the code.
			if revokeErr := s.RevokeInvite(code); revokeErr != nil {
				return fmt.Errorf("%w, and the invitation stays: %w", err, revokeErr)
			}
			return err
		}
		f.notice("for one account, until %s", until.Local().Format(inviteTime))
		return f.noticeUseless(ctx, s)
	})
}

// noticeUseless says if an invitation is of no use on the server as it was started last.
func (f *Factory) noticeUseless(ctx context.Context, s *store.Store) error {
	switch policy, err := s.Registration(ctx); {
	case err != nil:
		return err
	case policy == server.RegistrationClosed:
		f.notice("nobody can use it: the server was last started with --registration closed; restart it with --registration invite")
	case policy == server.RegistrationOpen:
		f.notice("nobody needs it: the server was last started with --registration open")
	}
	return nil
}

func newInviteListCmd(f *Factory, run runFunc[listOptions]) *cobra.Command {
	var o listOptions
	c := &cobra.Command{
		Use:        "list",
		SuggestFor: []string{"ls"},
		Short:      "List the invitations, including used and expired ones",
		Example: `  skarod invite list
  skarod invite list -o json | jq 'select(.state == "open") | .id'`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error { return run(ctx, f, &o) }),
	}
	o.addFlags(c)
	return c
}

func runInviteList(ctx context.Context, f *Factory, o *listOptions) error {
	return f.list(o, func(s *store.Store, p *output.Printer) error {
		invites, err := s.Invites(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, i := range invites {
			if err := p.Invite(output.Invite{ID: i.ID, Created: i.Created, Expires: i.Expires, State: inviteState(i, now), Login: i.User}); err != nil {
				return err
			}
		}
		return nil
	})
}

// inviteState returns open, used or expired.
func inviteState(i store.Invite, now time.Time) string {
	switch {
	case i.User != "":
		return "used"
	case !i.Expires.After(now):
		return "expired"
	}
	return "open"
}

func newInviteRevokeCmd(f *Factory, run runFunc[inviteRevokeOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "revoke ID|CODE",
		SuggestFor: []string{"rm", "remove", "delete", "del"},
		Short:      "Revoke an invitation",
		Example: `  skarod invite revoke 3
  skarod invite revoke -- "$CODE"`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeInvite,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			return run(ctx, f, &inviteRevokeOptions{which: args[0]})
		}),
	}
}

func runInviteRevoke(_ context.Context, f *Factory, o *inviteRevokeOptions) error {
	err := f.withStore(mustExist, func(s *store.Store) error { return s.RevokeInvite(o.which) })
	switch {
	case errors.Is(err, store.ErrNoInvite):
		return cli.WithHint(err, "run `skarod invite list` to see the invitations")
	case err != nil:
		return err
	}
	f.done("revoked the invitation")
	return nil
}
