package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
)

// app is the Factory of the commands that are not yet written as options and a run function.
type app struct{ *Factory }

type target = Account

func (a *app) target(ctx context.Context) (target, error) { return a.ResolveAccount(ctx) }

func (a *app) oneShot(ctx context.Context) (context.Context, context.CancelFunc) {
	return a.withTimeout(ctx)
}

func (a *app) printer() *output.Printer { return a.Printer() }
func (a *app) keepSID(ctx context.Context, t target, stored account.Credentials, got session.Account) {
	(&credentialSource{t, stored}).renewSID(ctx, got)
}

func (acct Account) credentials(ctx context.Context, stored *account.Credentials) (session.Credentials, error) {
	s := credentialSource{acct, *stored}
	cred, err := s.read(ctx)
	*stored = s.last
	return cred, err
}

func (a *app) does(run func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		return runCommand(c, a.Factory, &args, func(ctx context.Context, _ *Factory, args *[]string) error { return run(ctx, *args) })
	}
}

type usageError struct{ why, hint string }

func (e *usageError) Error() string { return e.why }
func (e *usageError) Unwrap() error { return cli.Usage(e.why, e.hint) }

type several []error

func (e several) Error() string   { return errors.Join(e...).Error() }
func (e several) Unwrap() []error { return e }

func validText(what, s string) error { return cli.CheckUTF8(what, s) }

const cutting = shortening
