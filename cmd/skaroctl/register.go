package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

type registerOptions struct {
	loginOptions
	invite string
}

func (a *app) registerCommand() *cobra.Command {
	var o registerOptions
	c := &cobra.Command{
		Use:   "register LOGIN",
		Short: "Create an account, and log in",
		Long: `Create an account on a server that allows it (see register-type), log in with it,
and remember that as login does. The server gets the password's token, which answers
its challenges, and never the password itself.`,
		Example: `  skaroctl register carol --server wss://chat.example.org/skaro_client/ --profile carol --store file
  skaroctl register carol --invite "$CODE" --password-file password.txt --print-token`,
		Args: cli.CheckArgs,
		RunE: a.does(func(ctx context.Context, args []string) error { return a.register(ctx, o, args) }),
	}
	o.addFlags(c)
	c.Flags().StringVar(&o.invite, "invite", "", "`CODE` of an invitation, where the server wants one")
	return c
}

func (a *app) register(ctx context.Context, o registerOptions, args []string) error {
	e, err := a.entrant(ctx, o.loginOptions, args)
	if err != nil {
		return err
	}
	if e.saved.Login != "" && !o.printToken {
		// Logging in with a new account must not be how another one's token is lost.
		return &usageError{
			fmt.Sprintf("the profile %q is that of %s already", e.profile, e.saved.Login),
			fmt.Sprintf("give the new account a profile of its own: skaroctl register %s --profile NAME --server %s", account.ShellWord(e.login), account.ShellWord(e.endpoint.URL)),
		}
	}
	if err := a.canSave(ctx, e, o.loginOptions); err != nil {
		return err
	}
	if err := a.askPassword(ctx, o.loginOptions, &e, true); err != nil {
		return err
	}
	ctx, cancel := a.oneShot(ctx)
	defer cancel()
	err = a.withoutLogin(ctx, e.target, func(ctx context.Context, s *session.Session) error {
		login, err := s.Register(ctx, session.NewAccount{Login: e.login, Token: e.token, Invite: o.invite})
		if err == nil {
			e.login = login
		}
		return err
	})
	var failed *session.Error
	errors.As(err, &failed)
	switch {
	case session.KindOf(err) == session.KindUnknown:
		return cli.WithHint(err, fmt.Sprintf("whether there is an account now, `skaroctl login %s` tells", account.ShellWord(e.login)))
	case session.KindOf(err) == session.KindRefused:
		if hint := registerHint(proto.StatusCode(failed.Status), o.invite != ""); hint != "" {
			return cli.WithHint(err, hint)
		}
		return err
	case err != nil:
		return err
	}
	if err := a.enter(ctx, o.loginOptions, e); err != nil {
		// The hint has the login as it was typed: nobody should run what a server says.
		return cli.WithHint(fmt.Errorf("the account of %s was created, but: %w", output.Login(e.login), err), fmt.Sprintf("log in with `skaroctl login %s`", account.ShellWord(args[0])))
	}
	return nil
}

// registerHint is what to do when a new account is refused, with a code of an invitation
// or without.
func registerHint(status string, invited bool) string {
	switch {
	case status == "403" && invited:
		return "a code is good once, until it expires: whoever runs the server can make another; `skaroctl register-type` tells whether it wants one"
	case status == "403":
		return "`skaroctl register-type` tells who may create an account; the code of an invitation goes to --invite"
	case status == "409":
		return "choose another login; if the account is yours, log in with `skaroctl login`"
	}
	return ""
}
