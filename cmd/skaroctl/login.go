package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/commandline"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

type loginOptions struct {
	passwordOptions
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
		Args: cobra.MaximumNArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error { return a.login(ctx, o, args) }),
	}
	o.addFlags(c)
	c.Flags().StringVar(&o.store, "store", "", "where to keep the credentials: keyring or file (default keyring)")
	commandline.Choices(c, "store", "keyring", "file")
	c.Flags().BoolVar(&o.sessionOnly, "session-only", false, "save the SID alone: good until five minutes after its last use")
	c.Flags().BoolVar(&o.printToken, "print-token", false, "print the token, for SKAROCTL_TOKEN, and save nothing")
	c.MarkFlagsMutuallyExclusive("session-only", "print-token")
	c.MarkFlagsMutuallyExclusive("store", "print-token")
	return c
}

func (a *app) login(ctx context.Context, o loginOptions, args []string) error {
	t, err := a.place(o.printToken)
	if err != nil {
		return err
	}
	if err := t.needServer(); err != nil {
		return err
	}
	storeName := o.store
	if storeName == "" {
		storeName = t.saved.Store
	}
	if storeName == "" {
		storeName = "keyring"
	}
	store, err := account.OpenStore(storeName, t.files)
	if err != nil {
		return &usageError{why: err.Error(), hint: "give --store keyring or --store file"}
	}
	switch {
	case len(args) == 1:
		t.login = args[0]
	case t.login == "":
		if t.login, err = a.ask(ctx, "Login: ", true); err != nil {
			return &usageError{"no login was given: " + err.Error(), "give it as an argument: skaroctl login LOGIN"}
		}
	}
	if t.login == "" {
		return &usageError{"the login is empty", "give it as an argument: skaroctl login LOGIN"}
	}
	if err := validText("the login", t.login); err != nil {
		return err
	}
	password, err := a.password(ctx, o.passwordOptions, fmt.Sprintf("Password of %s at %s: ", t.login, t.endpoint.URL), false)
	if err != nil {
		return err
	}
	ctx, cancel := a.oneShot(ctx) // the clock starts when the typing is done
	defer cancel()
	token := proto.NewToken(password)
	s, err := session.Open(ctx, t.endpoint, func(context.Context) (session.Credentials, error) {
		return session.Credentials{Login: t.login, Token: token}, nil
	}, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	got, err := s.Account(ctx)
	if err != nil {
		var auth *session.AuthError
		if errors.As(err, &auth) {
			return &wrongPassword{auth}
		}
		return err
	}
	if o.printToken {
		_, err := fmt.Fprintln(a.streams.Out, token.Text())
		return err
	}
	t.login = got.Login
	saved := account.Credentials{Token: token, SID: got.SID, SIDUsed: time.Now()}
	if o.sessionOnly {
		if got.SID == "" {
			return errors.New("the server gave no SID, so that --session-only has nothing to save")
		}
		saved.Token = proto.Token{}
	}
	if err := store.Set(ctx, t.key(), saved); err != nil {
		return fmt.Errorf("logged in, but the credentials can't be saved: %w", err)
	}
	profile := account.Profile{
		Server: t.endpoint.URL, Login: t.login, Store: storeName, CAFile: t.saved.CAFile, AllowPlaintext: t.endpoint.AllowPlaintext,
	}
	if a.flags.changed("ca-file") {
		profile.CAFile = t.endpoint.CAFile
	}
	err = account.UpdateConfig(t.files.Config, func(c *account.Config) error {
		if c.Profiles == nil {
			c.Profiles = map[string]account.Profile{}
		}
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
	a.notice("logged in as %s; the credentials are in the %s store", t.login, store.Name())
	p := a.printer()
	if err := p.Account(output.Account{
		Profile: t.profile, Server: t.endpoint.URL, Login: t.login, Store: storeName, Credentials: held(saved),
		ServerVersion: s.Greeting().Server, Extensions: s.Greeting().Extensions,
	}); err != nil {
		return err
	}
	return p.Flush()
}

// wrongPassword is a refused login by somebody who has just typed a password.
type wrongPassword struct{ *session.AuthError }

func (e *wrongPassword) Unwrap() error { return e.AuthError }
func (e *wrongPassword) Hint() string  { return "check the login and the password" }

// held says in words what credentials there are.
func held(c account.Credentials) string {
	switch {
	case !c.Token.IsZero() && c.SID != "":
		return "token and SID"
	case !c.Token.IsZero():
		return "token"
	case c.SID != "":
		return "SID"
	}
	return ""
}
