package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
)

func (a *app) inviteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "invite",
		Short: "Manage invitations; also while the server runs",
		Long: `Manage invitations: with one, one person can create one account on a server that
runs with --registration invite.`,
		Example: `  skarod invite create
  skarod invite list`,
	}
	c.AddCommand(a.inviteCreateCommand(), a.inviteListCommand(), a.inviteRevokeCommand())
	return c
}

// inviteTime is how people are told when an invitation ends.
const inviteTime = "2006-01-02 15:04"

// inviteLife is how long an invitation is valid unless told otherwise.
const inviteLife = 7 * 24 * time.Hour

func (a *app) inviteCreateCommand() *cobra.Command {
	expires := cli.Duration(inviteLife)
	c := &cobra.Command{
		Use:        "create",
		SuggestFor: []string{"add", "new"},
		Short:      "Make an invitation, and print its code",
		Long: `Make an invitation, and print its code, which is shown this once only. It goes to
skaroctl register --invite.`,
		Example: `  skarod invite create
  skarod invite create --expires 1d`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(context.Context, []string) error {
			return a.withStore(false, func(s *store.Store) error {
				now := time.Now()
				until := now.Add(time.Duration(expires))
				code, err := s.CreateInvite(now, until)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(a.streams.Out, code); err != nil {
					return cmp.Or(err, s.RevokeInvite(code)) // nobody has it
				}
				fmt.Fprintf(a.streams.Err, "skarod: for one account, until %s\n", until.Local().Format(inviteTime))
				return nil
			})
		}),
	}
	c.Flags().Var(&expires, "expires", "how long it is valid, like 24h or 7d")
	return c
}

func (a *app) inviteListCommand() *cobra.Command {
	var l listing
	c := &cobra.Command{
		Use:        "list",
		SuggestFor: []string{"ls"},
		Short:      "List the invitations, used and expired ones too",
		Example: `  skarod invite list
  skarod invite list -o json | jq 'select(.state == "open") | .id'`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error {
			return a.list(l, func(s *store.Store, p *output.Printer) error {
				invites, err := s.Invites(ctx)
				if err != nil {
					return err
				}
				now := time.Now()
				for _, i := range invites {
					state := "open"
					switch {
					case i.User != "":
						state = "used"
					case !i.Expires.After(now):
						state = "expired"
					}
					if err := p.Invite(output.Invite{ID: i.ID, Created: i.Created, Expires: i.Expires, State: state, Login: i.User}); err != nil {
						return err
					}
				}
				return nil
			})
		}),
	}
	l.addFlags(c)
	return c
}

func (a *app) inviteRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "revoke ID|CODE",
		SuggestFor: []string{"rm", "remove", "delete", "del"},
		Short:      "Take an invitation back",
		Example: `  skarod invite revoke 3
  skarod invite list -o json | jq 'select(.state == "open") | .id' | xargs -n 1 skarod invite revoke`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeInvite,
		RunE: cli.Run(func(_ context.Context, args []string) error {
			return a.withStore(false, func(s *store.Store) error {
				err := s.RevokeInvite(args[0])
				if err == nil {
					a.done("took the invitation back")
				}
				if errors.Is(err, store.ErrNoInvite) {
					err = cli.WithHint(err, "`skarod invite list` shows the invitations that there are")
				}
				return err
			})
		}),
	}
}
