package main

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

func (a *app) userCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Manage accounts; also while the server runs",
		Example: `  skarod user add carol
  skarod user list`,
	}
	c.AddCommand(a.userAddCommand(), a.userPasswdCommand(), a.userRemoveCommand(), a.userListCommand())
	return c
}

func (a *app) userAddCommand() *cobra.Command {
	var o cli.PasswordOptions
	c := &cobra.Command{
		Use:        "add LOGIN",
		SuggestFor: []string{"adduser", "useradd", "create", "new"},
		Short:      "Make an account",
		Example: `  skarod user add carol
  skarod user add carol --password-stdin <password.txt`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			return a.withLogin(args[0], true, func(s *store.Store, login string) error {
				err := s.Free(login) // before anybody types a password
				if err != nil {
					return err
				}
				token, err := a.newToken(ctx, login, o)
				if err == nil {
					err = s.AddUser(login, token, time.Now())
				}
				if err == nil {
					a.done("made the account of %s", output.Login(login))
				}
				return err
			})
		}),
	}
	o.AddFlags(c)
	return c
}

func (a *app) userPasswdCommand() *cobra.Command {
	var o cli.PasswordOptions
	c := &cobra.Command{
		Use:        "passwd LOGIN",
		SuggestFor: []string{"password"},
		Short:      "Change a password, and end the account's sessions",
		Example: `  skarod user passwd bob
  skarod user passwd bob --password-stdin <password.txt`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeLogin,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			return a.withLogin(args[0], false, func(s *store.Store, login string) error {
				if _, err := s.User(ctx, login); err != nil { // before anybody types a password
					return err
				}
				token, err := a.newToken(ctx, login, o)
				if err == nil {
					err = s.SetToken(login, token)
				}
				if err == nil {
					a.done("changed the password of %s, and ended the account's sessions", output.Login(login))
				}
				return err
			})
		}),
	}
	o.AddFlags(c)
	return c
}

func (a *app) userRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "remove LOGIN",
		SuggestFor: []string{"rm", "delete", "del", "deluser", "userdel"},
		Short:      "Remove an account, and end its sessions",
		Long: `Remove an account, also from its conferences, and end its sessions. What it sent is
still delivered to those it was for, and what it said in a conference stays there.
Somebody who gets the same login later sees nothing of it.`,
		Example: `  skarod user remove bob
  skarod user remove bob --data ./skaro`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeLogin,
		RunE: cli.Run(func(_ context.Context, args []string) error {
			return a.withLogin(args[0], false, func(s *store.Store, login string) error {
				err := s.RemoveUser(login, time.Now())
				if err == nil {
					a.done("removed the account of %s, and ended its sessions", output.Login(login))
				}
				return err
			})
		}),
	}
}

func (a *app) userListCommand() *cobra.Command {
	var l listing
	c := &cobra.Command{
		Use:        "list",
		SuggestFor: []string{"ls"},
		Short:      "List the accounts",
		Example: `  skarod user list
  skarod user list -o json | jq -r .login`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error {
			return a.list(l, func(s *store.Store, p *output.Printer) error {
				users, err := s.Users(ctx)
				if err != nil {
					return err
				}
				for _, u := range users {
					if err := p.User(u.Login, u.Created); err != nil {
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

const knownLogins = "`skarod user list` shows the logins that there are"

// withLogin opens the store for a command on one account.
func (a *app) withLogin(given string, create bool, do func(s *store.Store, login string) error) error {
	form, hint := store.LoginForm, knownLogins
	if create {
		form, hint = store.Login, "choose another login"
	}
	login, err := form(given)
	if err != nil {
		return cli.Usage(err.Error(), hint)
	}
	err = a.withStore(create, func(s *store.Store) error { return do(s, login) })
	switch {
	case errors.Is(err, store.ErrTaken):
		return cli.WithHint(fmt.Errorf("%q: %w", login, err), fmt.Sprintf("`skarod user passwd %s` changes its password", output.Login(login)))
	case errors.Is(err, store.ErrIsConference):
		return cli.WithHint(fmt.Errorf("%q: %w", login, err), "choose another login")
	case errors.Is(err, store.ErrNoUser):
		return cli.WithHint(fmt.Errorf("%q: %w", login, err), knownLogins)
	}
	return err
}

// shortPassword is how many characters keep a password that is typed from being
// called short.
const shortPassword = 8

// newToken reads a new password, which a prompt asks for twice, and makes its token.
func (a *app) newToken(ctx context.Context, login string, o cli.PasswordOptions) (proto.Token, error) {
	password, err := cli.ReadPassword(ctx, a.streams, o, "Password of "+output.Login(login)+": ", true)
	if err != nil {
		return proto.Token{}, err
	}
	if n := utf8.RuneCountInString(password); o.Typed() && n < shortPassword {
		fmt.Fprintf(a.streams.Err, "skarod: a password of fewer than %d characters is soon guessed by who gets hold of its token (docs/security.md)\n", shortPassword)
	}
	return proto.NewToken(password), nil
}
