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

// userOptions are the options of the commands for one account.
type userOptions struct {
	login    string // as it was typed
	password cli.PasswordOptions
}

func newUserCmd(f *Factory) *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Manage accounts",
		Example: `  skarod user add carol
  skarod user list`,
	}
	c.AddCommand(newUserAddCmd(f, runUserAdd), newUserPasswdCmd(f, runUserPasswd), newUserRemoveCmd(f, runUserRemove), newUserDisableCmd(f, runUserDisable), newUserEnableCmd(f, runUserEnable), newUserListCmd(f, runUserList))
	return c
}

func newUserAddCmd(f *Factory, run runFunc[userOptions]) *cobra.Command {
	var o userOptions
	c := &cobra.Command{
		Use:        "add LOGIN",
		SuggestFor: []string{"adduser", "useradd", "create", "new"},
		Short:      "Create an account",
		Example: `  skarod user add carol
  skarod user add carol --password-stdin <password.txt`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			o.login = args[0]
			return run(ctx, f, &o)
		}),
	}
	o.password.AddFlags(c)
	return c
}

// runUserAdd makes an account. It checks the login before the user types a password.
func runUserAdd(ctx context.Context, f *Factory, o *userOptions) error {
	login, err := store.Login(o.login)
	if err != nil {
		return cli.Usage(err.Error(), chooseLogin)
	}
	newToken, err := f.tokenSource(ctx, login, o.password)
	if err != nil {
		return err
	}
	err = f.withStore(create, func(s *store.Store) error {
		if err := s.Free(login); err != nil {
			return err
		}
		token, err := newToken()
		if err != nil {
			return err
		}
		return s.AddUser(login, token, time.Now())
	})
	if err != nil {
		return loginError(login, err)
	}
	f.done("made the account of %s", output.Login(login))
	return nil
}

func newUserPasswdCmd(f *Factory, run runFunc[userOptions]) *cobra.Command {
	var o userOptions
	c := &cobra.Command{
		Use:        "passwd LOGIN",
		SuggestFor: []string{"password"},
		Short:      "Change a password and end the sessions of the account",
		Example: `  skarod user passwd bob
  skarod user passwd bob --password-stdin <password.txt`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeLogin,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			o.login = args[0]
			return run(ctx, f, &o)
		}),
	}
	o.password.AddFlags(c)
	return c
}

// runUserPasswd changes a password. It looks for the account before the user types the
// password.
func runUserPasswd(ctx context.Context, f *Factory, o *userOptions) error {
	login, err := store.LoginForm(o.login)
	if err != nil {
		return cli.Usage(err.Error(), knownLogins)
	}
	newToken, err := f.tokenSource(ctx, login, o.password)
	if err != nil {
		return err
	}
	err = f.withStore(mustExist, func(s *store.Store) error {
		if _, err := s.User(ctx, login); err != nil {
			return err
		}
		token, err := newToken()
		if err != nil {
			return err
		}
		return s.SetToken(login, token)
	})
	if err != nil {
		return loginError(login, err)
	}
	f.done("changed the password of %s, and ended the account's sessions", output.Login(login))
	return nil
}

func newUserRemoveCmd(f *Factory, run runFunc[userOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "remove LOGIN",
		SuggestFor: []string{"rm", "delete", "del", "deluser", "userdel"},
		Short:      "Remove an account and end its sessions",
		Long: `The account also leaves its conferences. The messages that it sent are still
delivered, and those in a conference stay there. A later account with the same
login sees none of them.`,
		Example: `  skarod user remove bob
  skarod user remove bob --data ./skaro`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeLogin,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			return run(ctx, f, &userOptions{login: args[0]})
		}),
	}
}

func runUserRemove(_ context.Context, f *Factory, o *userOptions) error {
	return f.changeAccount(o.login, "removed the account of %s, and ended its sessions", func(s *store.Store, login string) error {
		return s.RemoveUser(login, time.Now())
	})
}

func newUserDisableCmd(f *Factory, run runFunc[userOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "disable LOGIN",
		SuggestFor: []string{"lock", "block", "ban"},
		Short:      "Disable an account, and end its sessions",
		Long: `The account can't log in until "skarod user enable". Messages to it are still
stored.`,
		Example: `  skarod user disable bob
  skarod user disable bob --data ./skaro`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeLogin,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			return run(ctx, f, &userOptions{login: args[0]})
		}),
	}
}

func runUserDisable(_ context.Context, f *Factory, o *userOptions) error {
	return f.changeAccount(o.login, "disabled the account of %s, and ended its sessions", func(s *store.Store, login string) error {
		return s.Disable(login, time.Now())
	})
}

func newUserEnableCmd(f *Factory, run runFunc[userOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "enable LOGIN",
		SuggestFor: []string{"unlock", "unblock", "unban"},
		Short:      "Enable a disabled account",
		Example: `  skarod user enable bob
  skarod user enable bob --data ./skaro`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeLogin,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			return run(ctx, f, &userOptions{login: args[0]})
		}),
	}
}

func runUserEnable(_ context.Context, f *Factory, o *userOptions) error {
	return f.changeAccount(o.login, "enabled the account of %s", func(s *store.Store, login string) error { return s.Enable(login) })
}

// changeAccount changes the account with a typed login, and says so.
func (f *Factory) changeAccount(typed, done string, change func(s *store.Store, login string) error) error {
	login, err := store.LoginForm(typed)
	if err != nil {
		return cli.Usage(err.Error(), knownLogins)
	}
	if err := f.withStore(mustExist, func(s *store.Store) error { return change(s, login) }); err != nil {
		return loginError(login, err)
	}
	f.done(done, output.Login(login))
	return nil
}

// userListOptions are the options of `user list`.
type userListOptions struct {
	listOptions
	online bool
}

func newUserListCmd(f *Factory, run runFunc[userListOptions]) *cobra.Command {
	var o userListOptions
	c := &cobra.Command{
		Use:        "list",
		SuggestFor: []string{"ls"},
		Short:      "List the accounts, with their last login",
		Example: `  skarod user list --online
  skarod user list -o json | jq -r .login`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error { return run(ctx, f, &o) }),
	}
	o.addFlags(c)
	c.Flags().BoolVar(&o.online, "online", false, "list only accounts that are logged in now")
	return c
}

func runUserList(ctx context.Context, f *Factory, o *userListOptions) error {
	return f.list(&o.listOptions, func(s *store.Store, p *output.Printer) error {
		users, err := s.Users(ctx, time.Now())
		if err != nil {
			return err
		}
		for _, u := range users {
			if o.online && !u.Online {
				continue
			}
			if err := p.User(output.User{Login: u.Login, Created: u.Created, LastLogin: u.LastLogin, Online: u.Online, Disabled: u.Disabled}); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	knownLogins = "run `skarod user list` to see the logins"
	chooseLogin = "choose another login"
)

// loginError adds the login and a hint to a refusal of the store.
func loginError(login string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, store.ErrTaken):
		hint = fmt.Sprintf("change its password with `skarod user passwd %s`", output.Login(login))
	case errors.Is(err, store.ErrIsConference):
		hint = chooseLogin
	case errors.Is(err, store.ErrNoUser):
		hint = knownLogins
	default:
		return err
	}
	return cli.WithHint(fmt.Errorf("%q: %w", login, err), hint)
}

// shortPassword is the length, in characters, below which a typed password gets a warning.
const shortPassword = 8

// tokenSource returns the function that reads a new password when the database is open. It
// reads a password file at once: later the process may be one of another user (store.Enter),
// who can't read the file.
func (f *Factory) tokenSource(ctx context.Context, login string, o cli.PasswordOptions) (func() (proto.Token, error), error) {
	read := func() (proto.Token, error) { return f.newToken(ctx, login, o) }
	if o.File == "" {
		return read, nil
	}
	token, err := read()
	return func() (proto.Token, error) { return token, nil }, err
}

// newToken reads a new password, for which a prompt asks twice, and makes its token.
func (f *Factory) newToken(ctx context.Context, login string, o cli.PasswordOptions) (proto.Token, error) {
	password, err := cli.ReadPassword(ctx, f.streams, o, "Password of "+output.Login(login)+": ", true)
	if err != nil {
		return proto.Token{}, err
	}
	if o.Typed() && utf8.RuneCountInString(password) < shortPassword {
		f.notice("a password of fewer than %d characters is soon guessed by anyone with its token (docs/security.md)", shortPassword)
	}
	return proto.NewToken(password)
}
