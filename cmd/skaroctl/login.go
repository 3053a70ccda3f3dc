package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

type loginOptions struct {
	cli.PasswordOptions
	store       string
	sessionOnly bool
	printToken  bool
}

func (a *app) loginCommand() *cobra.Command {
	var o loginOptions
	c := &cobra.Command{
		Use:   "login [LOGIN]",
		Short: "Log in, and remember it",
		Long: `Log in to a server, and save what later commands need: a token and a SID in the
credential store, the account in the config file. The password itself is kept
nowhere, and never leaves this program.`,
		Example: `  skaroctl login alice --server wss://chat.example.org/skaro_client/
  skaroctl login alice --store file --password-stdin < password.txt`,
		Args: cli.CheckArgs,
		RunE: a.does(func(ctx context.Context, args []string) error { return a.login(ctx, o, args) }),
	}
	o.addFlags(c)
	c.Flags().BoolVar(&o.sessionOnly, "session-only", false, "save the SID alone: good until five minutes after its last use")
	cli.Exclusive(c, "session-only", "print-token")
	return c
}

func (o *loginOptions) addFlags(c *cobra.Command) {
	o.AddFlags(c)
	c.Flags().StringVar(&o.store, "store", "", "where to keep the credentials: keyring or file (default keyring)")
	cli.CompleteFlag(c, "store", "keyring", "file")
	c.Flags().BoolVar(&o.printToken, "print-token", false, "print the token, for SKAROCTL_TOKEN, and save nothing")
	cli.Exclusive(c, "store", "print-token")
}

func (a *app) login(ctx context.Context, o loginOptions, args []string) error {
	e, err := a.entrant(ctx, o, args)
	if err != nil {
		return err
	}
	if err := a.canSave(ctx, e, o); err != nil {
		return err
	}
	if name := e.sharedWith(); o.sessionOnly && name != "" {
		return &usageError{
			fmt.Sprintf("the profile %q has the same account in the same store, and would lose its token", name),
			"leave out --session-only, or keep the SID in the other store, with --store",
		}
	}
	if err := a.askPassword(ctx, o, &e, false); err != nil {
		return err
	}
	ctx, cancel := a.oneShot(ctx) // the clock starts when the typing is done
	defer cancel()
	return a.enter(ctx, o, e)
}

// entrant is who logs in, and where that is to be remembered.
type entrant struct {
	target
	token    proto.Token
	newStore account.Store // where the credentials go; target's store is where the profile has them now
}

// entrant finds out who logs in, and asks for the login where nothing gives it.
func (a *app) entrant(ctx context.Context, o loginOptions, args []string) (entrant, error) {
	t, err := a.place(o.printToken)
	if err != nil {
		return entrant{}, err
	}
	if t.endpoint.URL == "" {
		return entrant{}, &usageError{"no server is known", "give its URL with --server or SKAROCTL_SERVER"}
	}
	if err := t.endpoint.Check(); err != nil {
		return entrant{}, err
	}
	if a.flags.caFile != "" {
		if _, err := os.Stat(t.endpoint.CAFile); err != nil {
			return entrant{}, &usageError{fmt.Sprintf("--ca-file: %v", err), "give a PEM file with certificates"}
		}
	}
	e := entrant{target: t}
	if e.newStore, err = account.OpenStore(cmp.Or(o.store, t.saved.Store, "keyring"), t.files); err != nil {
		return e, &usageError{why: err.Error(), hint: "give --store keyring or --store file"}
	}
	switch {
	case len(args) == 1:
		e.login = args[0]
	case e.login == "":
		if e.login, err = cli.Ask(ctx, a.streams, "Login: ", "login", "give it as an argument: skaroctl login LOGIN"); err != nil {
			return e, err
		}
	}
	if e.login == "" {
		return e, &usageError{"the login is empty", "give it as an argument: skaroctl login LOGIN"}
	}
	return e, validText("the login", e.login)
}

// canSave is an error where the credentials could not be saved: better before a
// password is typed, or an account made, for nothing.
func (a *app) canSave(ctx context.Context, e entrant, o loginOptions) error {
	if o.printToken {
		return nil
	}
	ctx, cancel := a.oneShot(ctx) // a keyring may not answer
	defer cancel()
	_, err := e.newStore.Get(ctx, e.key())
	switch kind := account.KindOf(err); {
	case kind == account.KindNone, kind == account.KindDamaged:
		return nil
	case err != nil && e.newStore.Name() == "keyring":
		return cli.WithHint(fmt.Errorf("nothing was done: %w", err), "give --store file to keep the credentials in a private file instead")
	}
	return err
}

// sharedWith is another profile whose credentials are those that will be saved, or "".
func (e entrant) sharedWith() string {
	wanted := account.Profile{Server: e.endpoint.URL, Login: e.login, Store: e.newStore.Name()}
	for _, name := range slices.Sorted(maps.Keys(e.config.Profiles)) {
		if name != e.profile && sameCredentials(e.config.Profiles[name], wanted) {
			return name
		}
	}
	return ""
}

// askPassword gets the password, and keeps nothing but its token.
func (a *app) askPassword(ctx context.Context, o loginOptions, e *entrant, confirm bool) error {
	password, err := a.password(ctx, o.PasswordOptions, fmt.Sprintf("Password of %s at %s: ", output.Login(e.login), e.endpoint.URL), confirm)
	if err == nil {
		e.token = proto.NewToken(password)
	}
	return err
}

// enter logs in, saves what later commands need, and shows the account.
func (a *app) enter(ctx context.Context, o loginOptions, t entrant) error {
	s, err := session.Open(ctx, t.endpoint, func(context.Context) (session.Credentials, error) {
		return session.Credentials{Login: t.login, Token: t.token}, nil
	}, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	got, err := s.Account(ctx)
	if err != nil {
		if session.KindOf(err) == session.KindAuth {
			return cli.WithHint(err, "check the login and the password")
		}
		return err
	}
	if o.printToken {
		_, err := fmt.Fprintln(a.out, t.token.Text())
		return err
	}
	t.login = got.Login
	saved := account.Credentials{Token: t.token}
	if o.sessionOnly {
		if got.SID == "" {
			return errors.New("the server gave no SID, so that --session-only has nothing to save")
		}
		saved = account.Credentials{SID: got.SID, SIDUsed: time.Now()}
	}
	if err := t.newStore.Set(ctx, t.key(), saved); err != nil {
		return fmt.Errorf("logged in, but the credentials can't be saved: %w", err)
	}
	profile := account.Profile{
		Server: t.endpoint.URL, Login: t.login, Store: t.newStore.Name(), AllowPlaintext: t.endpoint.AllowPlaintext,
	}
	if t.endpoint.URL == t.saved.Server {
		profile.CAFile = t.saved.CAFile
	}
	switch {
	case a.flags.changed("ca-file") && irregular(t.endpoint.CAFile):
		a.notice("%s is no regular file, and is not remembered: give --ca-file with each command", a.flags.caFile)
	case a.flags.changed("ca-file"):
		profile.CAFile = t.endpoint.CAFile
	}
	err = account.UpdateConfig(ctx, t.files.Config, func(c *account.Config) error {
		c.Profiles[t.profile] = profile
		if c.DefaultProfile == "" {
			c.DefaultProfile = t.profile
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("logged in, but the profile can't be saved: %w", err)
	}
	if t.saved.Login != "" && !sameCredentials(t.saved, profile) {
		// Nobody would look for a token in a store that no profile names.
		if err := t.drop(ctx, t.profile, t.saved); err != nil {
			a.notice("the old credentials of %s at %s could not be removed: %v", t.saved.Login, t.saved.Server, err)
		}
	}
	if t.saved.Login != "" && (t.saved.Login != t.login || t.saved.Server != t.endpoint.URL) {
		a.notice("the profile %q was that of %s at %s", t.profile, output.Login(t.saved.Login), t.saved.Server)
	}
	a.notice("logged in as %s; the credentials are in the %s store", output.Login(t.login), t.newStore.Name())
	p := a.printer()
	if err := p.Account(output.Account{
		Profile: t.profile, Server: t.endpoint.URL, Login: t.login, Store: t.newStore.Name(), Credentials: held(saved),
		ServerVersion: s.Greeting().Server, Extensions: s.Greeting().Extensions,
	}); err != nil {
		return err
	}
	return p.Flush()
}

// held says in words what credentials there are.
func held(c account.Credentials) string {
	switch {
	case !c.Token.IsZero():
		return "token"
	case c.SID != "":
		return "SID"
	}
	return ""
}
