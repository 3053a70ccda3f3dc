package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

type registerOptions struct {
	loginOptions
	invite string
}

func newRegisterCmd(f *Factory, run runFunc[registerOptions]) *cobra.Command {
	var o registerOptions
	c := &cobra.Command{
		Use:   "register LOGIN",
		Short: "Create an account and log in",
		Long: `The server must allow it: see "skaroctl register-type". Like "skaroctl login",
register saves the account. The server gets a token made from the password, and
never the password itself.`,
		Example: `  skaroctl register carol --server wss://chat.example.org/skaro_client/
  skaroctl register carol --invite "$CODE" --password-stdin <password.txt`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, args []string) error {
			o.login, o.loginGiven = args[0], true
			return runCommand(c, f, &o, run)
		},
	}
	o.addFlags(c)
	c.Flags().StringVar(&o.invite, "invite", "", "`CODE` of an invitation, if the server wants one")
	return c
}

func runRegister(ctx context.Context, f *Factory, o *registerOptions) error {
	l, err := prepareLogin(ctx, f, &o.loginOptions)
	if err != nil {
		return err
	}
	if err := l.checkTakeover(l.saved, strings.EqualFold); err != nil {
		return err
	}
	if err := l.checkStore(ctx, f); err != nil {
		return err
	}
	if l.token, err = l.readPassword(ctx, f, true); err != nil {
		return err
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	if l.login, err = l.createAccount(ctx, f, o.invite); err != nil {
		return err
	}
	if err := l.finish(ctx, f); err != nil {
		// The hint has the login as the user typed it: what a server says must not be run.
		typed := l.Account
		typed.login = o.login
		return cli.WithHint(fmt.Errorf("the account of %s was created, but: %w", output.Login(l.login), err), fmt.Sprintf("log in with `%s`", typed.loginCommand()))
	}
	return nil
}

// createAccount makes the account, and returns its login in the server's spelling.
func (l loginAttempt) createAccount(ctx context.Context, f *Factory, invite string) (string, error) {
	spelled := ""
	err := f.WithoutLogin(ctx, l.Account, func(ctx context.Context, s *session.Session) (err error) {
		spelled, err = s.Register(ctx, session.NewAccount{Login: l.login, Token: l.token, Invite: invite})
		return err
	})
	var e *session.Error
	switch {
	case !errors.As(err, &e):
	case e.Kind == session.KindUnknown:
		err = cli.WithHint(err, fmt.Sprintf("run `%s` to see whether there is an account now", l.loginCommand()))
	case e.Kind == session.KindRefused:
		err = cli.WithHint(err, registerHint(proto.StatusCode(e.Status), invite != ""))
	}
	return spelled, err
}

// registerHint says what to do when a new account is refused, with the code of an
// invitation or without.
func registerHint(status string, invited bool) string {
	switch {
	case status == "403" && invited:
		return "ask the administrator of the server for another code: each is good once, until it expires; `skaroctl register-type` shows whether the server wants one"
	case status == "403":
		return "run `skaroctl register-type` to see who may create an account; give the code of an invitation to --invite"
	case status == "409":
		return "choose another login; if the account is yours, log in with `skaroctl login`"
	}
	return ""
}
