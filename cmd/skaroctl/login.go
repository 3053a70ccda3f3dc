package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

type loginOptions struct {
	login       string
	loginGiven  bool // login is an argument, so the user is not asked for it
	password    cli.PasswordOptions
	store       string
	replace     bool // take over the profile of another account
	sessionOnly bool
	printToken  bool
}

func newLoginCmd(f *Factory, run runFunc[loginOptions]) *cobra.Command {
	var o loginOptions
	c := &cobra.Command{
		Use:   "login [LOGIN]",
		Short: "Log in to a server and save the account",
		Long: `login saves a token in the credential store. It saves the account, --ca-file and
--allow-plaintext in the config file. It asks for the password, and neither
stores nor sends it. For a second account, name a profile with --profile.`,
		Example: `  skaroctl login alice --server wss://chat.example.org/skaro_client/
  skaroctl login alice --store file --password-stdin <password.txt`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.login, o.loginGiven = args[0], true
			}
			return runCommand(c, f, &o, run)
		},
	}
	o.addFlags(c)
	c.Flags().BoolVar(&o.sessionOnly, "session-only", false, "save the SID instead of a token; it is good until five minutes after its last use")
	cli.Exclusive(c, "session-only", "print-token")
	return c
}

// addFlags adds the flags that login and register share.
func (o *loginOptions) addFlags(c *cobra.Command) {
	o.password.AddFlags(c)
	c.Flags().StringVar(&o.store, "store", "", "`STORE` of the credentials: keyring or file (default keyring) (SKAROCTL_STORE)")
	c.Flags().BoolVar(&o.replace, "replace", false, "replace the profile if it belongs to another account")
	cli.CompleteFlag(c, "store", "keyring", "file")
	c.Flags().BoolVar(&o.printToken, "print-token", false, "print the token, for SKAROCTL_TOKEN, and save nothing")
	cli.Exclusive(c, "store", "print-token")
	cli.Exclusive(c, "replace", "print-token")
}

func runLogin(ctx context.Context, f *Factory, o *loginOptions) error {
	l, err := prepareLogin(ctx, f, o)
	if err != nil {
		return err
	}
	if err := l.checkTakeover(l.saved, strings.EqualFold); err != nil {
		return err
	}
	if err := l.checkStore(ctx, f); err != nil {
		return err
	}
	if name := l.sharedWith(); o.sessionOnly && name != "" {
		return cli.Usage(
			fmt.Sprintf("the profile %q has the same account in the same store, and would lose its token", name),
			"leave out --session-only, or keep the SID in the other store, with --store",
		)
	}
	if l.token, err = l.readPassword(ctx, f, false); err != nil {
		return err
	}
	ctx, cancel := f.withTimeout(ctx) // the time starts when the password is typed
	defer cancel()
	return l.finish(ctx, f)
}

// loginAttempt is an account that logs in, and the store for its credentials.
type loginAttempt struct {
	Account
	options  *loginOptions
	newStore account.Store // Account.store is where the profile has its credentials now
	token    proto.Token
}

// prepareLogin resolves the account and the store, and asks for the login if nothing
// gives it.
func prepareLogin(ctx context.Context, f *Factory, o *loginOptions) (loginAttempt, error) {
	resolve := f.ResolveProfile
	if o.printToken {
		resolve = f.ResolveServer // it saves nothing
	}
	acct, err := resolve()
	if err != nil {
		return loginAttempt{}, err
	}
	if err := checkServer(f, acct); err != nil {
		return loginAttempt{}, err
	}
	store, err := o.openStore(acct, f.getenv)
	if err != nil {
		return loginAttempt{}, err
	}
	const hint = "give it as an argument: skaroctl login LOGIN"
	switch {
	case o.loginGiven:
		acct.login = o.login
	case acct.login == "":
		if acct.login, err = cli.Ask(ctx, f.streams, "Login: ", "login", hint); err != nil {
			return loginAttempt{}, err
		}
	}
	return loginAttempt{Account: acct, options: o, newStore: store}, checkLogin(acct.login, hint)
}

// openStore returns the store for the credentials: that of --store, of SKAROCTL_STORE, of
// the profile, or else the keyring.
func (o *loginOptions) openStore(acct Account, getenv func(string) string) (account.Store, error) {
	variable := getenv("SKAROCTL_STORE")
	store, err := account.OpenStore(cmp.Or(o.store, variable, acct.saved.Store, "keyring"), acct.files)
	switch {
	case err == nil:
		return store, nil
	case o.store == "" && variable != "":
		return nil, cli.Usage("SKAROCTL_STORE: "+err.Error(), "set it to keyring or to file, or unset it")
	}
	return nil, cli.Usage(err.Error(), "give --store keyring or --store file")
}

// checkTakeover returns an error if the profile belongs to another account, and --replace
// is not given. Before the login, logins that differ in case count as the same one.
func (l loginAttempt) checkTakeover(old account.Profile, same func(a, b string) bool) error {
	if l.options.replace || l.options.printToken || old.Login == "" || old.Server == "" || same(old.Login, l.login) && old.Server == l.endpoint.URL {
		return nil
	}
	own := "--profile " + terminal.ShellWord(l.login)
	if _, taken := l.config.Profiles[l.login]; taken {
		own = "--profile NAME"
	}
	return cli.Usage(
		fmt.Sprintf("the profile %q belongs to %s at %s", l.profile, output.Login(old.Login), old.Server),
		fmt.Sprintf("give this account a profile of its own with `%s`, or replace the other one with --replace", own),
	)
}

// exactly reports whether two logins are the same, in the server's spelling.
func exactly(a, b string) bool { return a == b }

// checkServer returns an error if the server or its certificates can't be used.
func checkServer(f *Factory, acct Account) error {
	if acct.endpoint.URL == "" {
		return cli.Usage("no server is known", "give its URL with --server or SKAROCTL_SERVER")
	}
	if err := acct.endpoint.Check(); err != nil {
		return err
	}
	if f.flags.caFile != "" {
		if _, err := os.Stat(acct.endpoint.CAFile); err != nil {
			return cli.Usage(fmt.Sprintf("--ca-file: %v", err), "give a PEM file with certificates")
		}
	}
	return nil
}

// checkStore returns an error if the credentials can't be saved. That is better found before
// a password is typed or an account is made.
func (l loginAttempt) checkStore(ctx context.Context, f *Factory) error {
	if l.options.printToken {
		return nil
	}
	ctx, cancel := f.withTimeout(ctx) // a keyring may not answer
	defer cancel()
	_, err := l.newStore.Get(ctx, l.key())
	switch kind := account.KindOf(err); {
	case kind == account.KindNone, kind == account.KindDamaged:
		return nil
	case err != nil && l.newStore.Name() == "keyring":
		return cli.WithHint(fmt.Errorf("nothing was done: %w", err), "give --store file to keep the credentials in a private file instead")
	}
	return err
}

// sharedWith returns another profile that uses the credentials that will be saved, or "".
func (l loginAttempt) sharedWith() string {
	wanted := account.Profile{Server: l.endpoint.URL, Login: l.login, Store: l.newStore.Name()}
	for _, name := range slices.Sorted(maps.Keys(l.config.Profiles)) {
		if name != l.profile && sameCredentials(l.config.Profiles[name], wanted) {
			return name
		}
	}
	return ""
}

// readPassword reads the password and returns its token; the password is not kept. confirm
// means that a prompt asks twice.
func (l loginAttempt) readPassword(ctx context.Context, f *Factory, confirm bool) (proto.Token, error) {
	prompt := fmt.Sprintf("Password of %s at %s: ", output.Login(l.login), l.endpoint.URL)
	password, err := cli.ReadPassword(ctx, f.streams, l.options.password, prompt, confirm)
	if err != nil {
		return proto.Token{}, err
	}
	return proto.NewToken(password)
}

// finish logs in, saves what later commands need, and shows the account.
func (l loginAttempt) finish(ctx context.Context, f *Factory) error {
	got, server, err := l.authenticate(ctx)
	if err != nil {
		return err
	}
	if l.options.printToken {
		_, err := fmt.Fprintln(f.out, l.token.Text())
		return err
	}
	l.login = got.Login // in the server's spelling
	if err := l.checkTakeover(l.saved, exactly); err != nil {
		return err
	}
	stored, err := l.saveCredentials(ctx, got.SID)
	if err != nil {
		return err
	}
	profile := l.newProfile(f)
	isDefault, err := l.saveProfile(ctx, profile)
	if err != nil {
		return err
	}
	l.dropOld(ctx, f, profile)
	if f.flags.allowPlaintext && profile.AllowPlaintext {
		f.notice("--allow-plaintext is remembered: every command uses %s without encryption", profile.Server)
	}
	f.notice("logged in as %s; the credentials are in the %s store", output.Login(l.login), profile.Store)
	return f.confirm(func(p *output.Printer) error {
		return p.Account(output.Account{
			Profile: l.profile, Server: profile.Server, Login: l.login, Store: profile.Store, Credentials: describeCredentials(stored),
			ServerVersion: server.Server, Extensions: server.Extensions, Default: isDefault,
		})
	})
}

// authenticate logs in with the token, and returns what the server said.
func (l loginAttempt) authenticate(ctx context.Context) (session.Account, proto.Greeting, error) {
	s, err := session.Open(ctx, l.endpoint, func(context.Context) (session.Credentials, error) {
		return session.Credentials{Login: l.login, Token: l.token}, nil
	}, nil)
	if err != nil {
		return session.Account{}, proto.Greeting{}, err
	}
	defer s.Close()
	got, err := s.Account(ctx)
	if session.KindOf(err) == session.KindAuth && hintOf(err) == "" {
		err = cli.WithHint(err, "check the login and the password")
	}
	return got, s.Greeting(), err
}

// saveCredentials stores the token, or only the SID with --session-only.
func (l loginAttempt) saveCredentials(ctx context.Context, sid string) (account.Credentials, error) {
	c := account.Credentials{Token: l.token}
	if l.options.sessionOnly {
		if sid == "" {
			return c, errors.New("the server gave no SID, so that --session-only has nothing to save")
		}
		c = account.Credentials{SID: sid, SIDUsed: time.Now()}
	}
	if err := l.newStore.Set(ctx, l.key(), c); err != nil {
		return c, fmt.Errorf("logged in, but the credentials can't be saved: %w", err)
	}
	return c, nil
}

// newProfile returns the profile to save. It keeps the certificates of --ca-file, or those
// that the profile has for the same server.
func (l loginAttempt) newProfile(f *Factory) account.Profile {
	profile := account.Profile{
		Server: l.endpoint.URL, Login: l.login, Store: l.newStore.Name(), AllowPlaintext: l.endpoint.AllowPlaintext && !strings.HasPrefix(strings.ToLower(l.endpoint.URL), "wss:"),
	}
	if l.endpoint.URL == l.saved.Server {
		profile.CAFile = l.saved.CAFile
	}
	switch {
	case !f.flags.changed("ca-file"):
	case irregular(l.endpoint.CAFile):
		f.notice("%s is not a regular file, and is not remembered: give --ca-file with each command", f.flags.caFile)
	default:
		profile.CAFile = l.endpoint.CAFile
	}
	return profile
}

// saveProfile writes the profile to the config file, and reports whether it is the default.
// The first profile is.
func (l loginAttempt) saveProfile(ctx context.Context, profile account.Profile) (isDefault bool, err error) {
	var taken error
	err = account.UpdateConfig(ctx, l.files.Config, func(c *account.Config) error {
		if taken = l.checkTakeover(c.Profiles[l.profile], exactly); taken != nil {
			return taken
		}
		if _, usual := c.Profiles[usualProfile]; !usual {
			c.DefaultProfile = cmp.Or(c.DefaultProfile, l.profile)
		}
		c.Profiles[l.profile] = profile
		isDefault = l.profile == profiles{config: *c}.defaultName()
		return nil
	})
	switch {
	case taken != nil: // by another login at the same time
		if l.sharedWith() == "" {
			err = errors.Join(err, l.newStore.Delete(ctx, l.key()))
		}
	case err != nil:
		err = fmt.Errorf("logged in, but the profile can't be saved: %w", err)
	}
	return isDefault, err
}

// dropOld removes the credentials that the profile had before, if no profile uses them now.
func (l loginAttempt) dropOld(ctx context.Context, f *Factory, profile account.Profile) {
	old := l.saved
	if old.Login == "" {
		return
	}
	if !sameCredentials(old, profile) {
		if err := dropCredentials(ctx, l.profiles, l.profile); err != nil {
			f.notice("the old credentials of %s at %s could not be removed: %v", old.Login, old.Server, err)
		}
	}
	if old.Login != profile.Login || old.Server != profile.Server {
		f.notice("the profile %q belonged to %s at %s", l.profile, output.Login(old.Login), old.Server)
	}
}

// describeCredentials names the stored credentials.
func describeCredentials(c account.Credentials) string {
	switch {
	case !c.Token.IsZero():
		return "token"
	case c.SID != "":
		return "SID"
	}
	return ""
}
