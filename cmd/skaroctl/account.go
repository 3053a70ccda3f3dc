package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// Account is the account and the server that a command is for, as resolved from flags,
// environment and profile.
type Account struct {
	profiles
	profile  string          // the name of the profile
	saved    account.Profile // what the config file has; zero if it has no such profile
	endpoint session.Endpoint
	login    string
	env      *account.Environment // the token comes from here; nil means from the store
}

// ResolveAccount finds out which account and server are meant, and which token the
// environment gives. It uses neither keyring nor network.
func (f *Factory) ResolveAccount(ctx context.Context) (Account, error) {
	env, err := f.readEnvironment(ctx)
	if err != nil {
		return Account{}, err
	}
	p, err := f.Profiles()
	if env != nil {
		p, err = f.OptionalProfiles()
	}
	if err != nil {
		return Account{}, err
	}
	return resolveAccount(p, f.flags, f.getenv, f.stderr.line, env)
}

// resolveLogin is ResolveAccount for an account that must be able to log in.
func (f *Factory) resolveLogin(ctx context.Context) (Account, error) {
	acct, err := f.ResolveAccount(ctx)
	if err == nil {
		err = acct.needLogin()
	}
	return acct, err
}

// readEnvironment returns the token of the environment, or nil if there is none. --profile
// overrides it.
func (f *Factory) readEnvironment(ctx context.Context) (*account.Environment, error) {
	if f.flags.profileGiven {
		return nil, nil
	}
	// The file of a token may be a pipe of a program that asks the user first.
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	return terminal.Await(ctx, func() (*account.Environment, error) {
		env, ok, err := account.FromEnvironment(f.getenv)
		if !ok {
			return nil, err
		}
		return &env, err
	})
}

// ResolveProfile is ResolveAccount for a command that reads no token, so that a damaged
// one does not stop the command that makes a new one.
func (f *Factory) ResolveProfile() (Account, error) {
	p, err := f.Profiles()
	if err != nil {
		return Account{}, err
	}
	return resolve(p, f.flags, f.getenv, f.stderr.line)
}

// ResolveServer is ResolveProfile for a command that works without a config file too.
func (f *Factory) ResolveServer() (Account, error) {
	p, err := f.OptionalProfiles()
	if err != nil {
		return Account{}, err
	}
	return resolve(p, f.flags, f.getenv, f.stderr.line)
}

// resolveAccount is resolve for a command that logs in: with the token of env, or with
// what the store has if env is nil.
func resolveAccount(p profiles, flags commonFlags, getenv func(string) string, trace func(string), env *account.Environment) (Account, error) {
	acct, err := resolve(p, flags, getenv, trace)
	if err != nil {
		return Account{}, err
	}
	acct.env = env
	if acct.login, err = acct.chooseLogin(getenv("SKAROCTL_LOGIN"), flags); err != nil {
		return Account{}, err
	}
	from := "the profile " + strconv.Quote(acct.profile)
	if env != nil {
		from = env.Source
	}
	acct.trace("the account is %s at %s, from %s", acct.login, acct.endpoint.URL, from)
	return acct, nil
}

// chooseLogin returns the login of a command that logs in. SKAROCTL_LOGIN says whose
// token is in the environment. If it contradicts a profile, chooseLogin does not guess.
func (acct Account) chooseLogin(variable string, flags commonFlags) (string, error) {
	saved, named := acct.saved.Login, flags.profile != ""
	switch {
	case saved == "" || variable == "" || strings.EqualFold(saved, variable):
		return cmp.Or(saved, variable), nil
	case acct.env == nil && named:
		return saved, nil
	case acct.env != nil && !named:
		return variable, nil
	case acct.env != nil:
		return "", cli.Usage(
			fmt.Sprintf("%s and SKAROCTL_LOGIN are for %s, but SKAROCTL_PROFILE names the profile %q of %s", acct.env.Source, output.Login(variable), acct.profile, output.Login(saved)),
			"unset SKAROCTL_PROFILE to use the token; or give --profile, which overrides it",
		)
	}
	return "", cli.Usage(
		fmt.Sprintf("SKAROCTL_LOGIN is %s, but there is no token in the environment, and the profile %q belongs to %s", output.Login(variable), acct.profile, output.Login(saved)),
		"name the profile with --profile, or unset SKAROCTL_LOGIN",
	)
}

// resolve makes an Account: a flag overrides the environment, which overrides the profile.
// A profile that --profile names is used as a whole. trace gets what --verbose shows.
func resolve(p profiles, flags commonFlags, getenv func(string) string, trace func(string)) (Account, error) {
	acct := Account{profiles: p, profile: cmp.Or(flags.profile, p.defaultName())}
	acct.saved = p.config.Profiles[acct.profile]
	acct.login = cmp.Or(getenv("SKAROCTL_LOGIN"), acct.saved.Login)
	if flags.profile != "" && acct.saved.Login != "" {
		acct.login = acct.saved.Login
	}
	acct.endpoint = session.Endpoint{
		URL: acct.saved.Server, CAFile: acct.saved.CAFile, AllowPlaintext: acct.saved.AllowPlaintext || flags.allowPlaintext,
		UserAgent: "skaroctl",
	}
	if server := flags.serverFor(acct.saved); server != acct.saved.Server {
		// What the profile permits applies to its own server only.
		acct.endpoint.URL, acct.endpoint.CAFile, acct.endpoint.AllowPlaintext = server, "", flags.allowPlaintext
	}
	if flags.caFile != "" {
		var err error
		if acct.endpoint.CAFile, err = filepath.Abs(flags.caFile); err != nil {
			return Account{}, err
		}
	}
	if acct.endpoint.CAFile != "" {
		acct.endpoint.ReadCA = certificates(acct.endpoint.CAFile)
	}
	if flags.verbose {
		acct.endpoint.Trace = trace
	}
	return acct, nil
}

// serverFor returns the server for a command with these flags and a profile.
func (o commonFlags) serverFor(saved account.Profile) string {
	byProfile := o.profileGiven && !o.serverGiven // o.server is SKAROCTL_SERVER
	if saved.Server != "" && (byProfile || o.server == "" || o.server == saved.Server) {
		return saved.Server
	}
	return session.CompleteURL(o.server)
}

// certificates returns a function that reads root certificates again for each connection,
// since they may be renewed; but only once from a pipe, like that of <(command).
func certificates(path string) func(context.Context) ([]byte, error) {
	read := func(ctx context.Context) ([]byte, error) {
		return session.ReadCertificates(ctx, path)
	}
	if !irregular(path) {
		return read
	}
	once := sync.OnceValues(func() ([]byte, error) { return read(context.Background()) })
	return func(ctx context.Context) ([]byte, error) { return terminal.Await(ctx, once) }
}

// irregular reports whether a file is there and is not a regular one.
func irregular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

// needServer returns an error if no server is known.
func (acct Account) needServer() error {
	if acct.endpoint.URL == "" {
		return cli.Usage("no server is known", "give its URL with --server or SKAROCTL_SERVER, or log in first with `skaroctl login`")
	}
	return acct.endpoint.Check()
}

// needLogin returns an error if login or server are not known.
func (acct Account) needLogin() error {
	needed := acct.needProfile
	if acct.env != nil {
		needed = acct.needEnvironment
	}
	if err := needed(); err != nil {
		return err
	}
	return acct.endpoint.Check()
}

// needEnvironment returns an error if the environment gives a token and nothing says for
// which account it is.
func (acct Account) needEnvironment() error {
	switch {
	case acct.login == "":
		return notLoggedIn(acct.env.Source+" gives a token, but nothing says whose it is", "set SKAROCTL_LOGIN")
	case acct.endpoint.URL == "":
		return notLoggedIn(acct.env.Source+" gives a token, but nothing says for which server", "set SKAROCTL_SERVER, or give --server")
	}
	return nil
}

// needProfile returns an error if there is no profile with a login and a server.
func (acct Account) needProfile() error {
	hint := fmt.Sprintf("log in first with `%s`", acct.loginCommand())
	switch {
	case acct.saved == account.Profile{}:
		return notLoggedIn(fmt.Sprintf("not logged in: there is no profile %q", acct.profile), hint)
	case acct.saved.Login == "" || acct.saved.Server == "":
		return notLoggedIn(fmt.Sprintf("the profile %q of %s lacks its login or its server", acct.profile, acct.files.Config), hint)
	}
	return nil
}

// notLoggedIn returns the error of a command that needs a login.
func notLoggedIn(msg, hint string) error {
	return &cli.Error{Kind: cli.KindAuth, Msg: msg, Hint: hint}
}

// loginCommand returns the command that logs in with this account.
func (acct Account) loginCommand() string {
	command := "skaroctl login"
	if acct.saved.Login == "" || acct.saved.Login != acct.login || acct.saved.Server != acct.endpoint.URL {
		command += " " + terminal.ShellWord(cmp.Or(acct.login, "LOGIN")) + " --server " + terminal.ShellWord(cmp.Or(acct.endpoint.URL, "URL"))
	}
	switch saved := acct.saved; {
	case saved.Login != "" && saved.Server != "" && (saved.Login != acct.login || saved.Server != acct.endpoint.URL):
		command += " --profile NAME" // the profile belongs to another account
	case acct.profile != usualProfile:
		command += " --profile " + terminal.ShellWord(acct.profile)
	}
	return command
}

// hintLogin adds to the error of a refused login what to do about it.
func (acct Account) hintLogin(err error) error {
	switch {
	case session.KindOf(err) != session.KindAuth, hintOf(err) != "":
		return err
	case acct.env != nil:
		return cli.WithHint(err, fmt.Sprintf("check SKAROCTL_LOGIN, or make a new token with `skaroctl login --print-token`: the one from %s is for another login or an older password", acct.env.Source))
	}
	return cli.WithHint(err, fmt.Sprintf("log in again with `%s`", acct.loginCommand()))
}

func (acct Account) key() account.Key {
	return account.Key{Server: acct.endpoint.URL, Login: acct.login}
}

func (acct Account) store() (account.Store, error) {
	return account.OpenStore(acct.saved.Store, acct.files)
}

// environ returns the variables that make a skaroctl with this environment use the same
// account. getenv reads the environment of this process.
func (acct Account) environ(getenv func(string) string) []string {
	same := []string{"SKAROCTL_SERVER=" + acct.endpoint.URL}
	if acct.env == nil {
		// An empty variable counts as not set.
		for _, variable := range account.TokenVariables(getenv) {
			same = append(same, variable+"=")
		}
		return append(same, "SKAROCTL_PROFILE="+acct.profile)
	}
	if named := getenv("SKAROCTL_PROFILE"); named != "" {
		same = append(same, "SKAROCTL_PROFILE="+named)
	}
	return same
}

// storeName says where the credentials come from, for people.
func (acct Account) storeName() string {
	if acct.env != nil {
		return "environment"
	}
	return storeOf(acct.saved)
}

// storeOf returns the name of the store that has the credentials of a profile.
func storeOf(p account.Profile) string { return cmp.Or(p.Store, "keyring") }

// credentialSource reads the credentials of an account for one connection after another.
type credentialSource struct {
	acct Account
	last account.Credentials // what the store had; zero if it was not read
	used bool                // the token that ResolveAccount read has been used
}

func newCredentialSource(acct Account) *credentialSource { return &credentialSource{acct: acct} }

// read returns the token, or the SID if the profile has no token.
func (s *credentialSource) read(ctx context.Context) (session.Credentials, error) {
	if s.acct.env != nil {
		token, err := s.readToken(ctx)
		return session.Credentials{Login: s.acct.login, Token: token}, err
	}
	stored, err := s.readStore(ctx)
	if err != nil {
		return session.Credentials{}, err
	}
	s.last = stored
	if n := len(stored.SID); n > proto.MaxSID {
		return session.Credentials{}, notLoggedIn(
			fmt.Sprintf("the SID of %s at %s can't be used: it has %d bytes, and %d at most are expected", s.acct.login, s.acct.endpoint.URL, n, proto.MaxSID),
			fmt.Sprintf("log in again with `%s`", s.acct.loginCommand()),
		)
	}
	return session.Credentials{Login: s.acct.login, Token: stored.Token, SID: stored.SID}, nil
}

// readToken returns the token of the environment: for the first connection the one that
// ResolveAccount has read, for each later one what its file has then.
func (s *credentialSource) readToken(ctx context.Context) (proto.Token, error) {
	if !s.used {
		s.used = true
		return s.acct.env.Token, nil
	}
	return terminal.Await(ctx, s.acct.env.Reread)
}

// readStore returns what the store has. If it can't be read any more, because a keyring
// was locked for example, readStore returns what it had before.
func (s *credentialSource) readStore(ctx context.Context) (account.Credentials, error) {
	acct, first := s.acct, s.last == (account.Credentials{})
	store, err := acct.store()
	if err != nil {
		return account.Credentials{}, err
	}
	stored, err := store.Get(ctx, acct.key())
	switch {
	case account.KindOf(err) == account.KindNone:
		if !first {
			acct.saved = account.Profile{} // logout has removed it meanwhile: the hint must name the server
		}
		return account.Credentials{}, notLoggedIn(
			fmt.Sprintf("not logged in: the %s store has no credentials for %s at %s", store.Name(), acct.login, acct.endpoint.URL),
			fmt.Sprintf("log in with `%s`", acct.loginCommand()),
		)
	case err != nil && !first:
		acct.trace("using the credentials from before: %v", err)
		return s.last, nil
	case err == nil && first && stored.SessionEnded(time.Now()):
		return account.Credentials{}, notLoggedIn(
			fmt.Sprintf("the session of %s at %s ended: it was last used at %s", acct.login, acct.endpoint.URL, stored.SIDUsed.UTC().Format(time.RFC3339)),
			fmt.Sprintf("log in again with `%s`", acct.loginCommand()),
		)
	}
	return stored, err
}

// sidTimeout bounds the wait for a store that another process keeps locked: a SID is not
// worth a longer wait.
const sidTimeout = 3 * time.Second

// renewSID records that the SID was used, if the store has only a SID. A failure is not an
// error of this command: at worst, the next one needs a new login.
func (s *credentialSource) renewSID(ctx context.Context, got session.Account) {
	store, err := s.acct.store()
	if err == nil {
		ctx, cancel := session.WithTimeout(ctx, sidTimeout)
		defer cancel()
		err = account.RenewSession(ctx, store, s.acct.key(), s.last, got.SID)
	}
	if err != nil {
		s.acct.trace("the SID could not be stored: %v", err)
	}
}

// trace shows a line with --verbose.
func (acct Account) trace(format string, args ...any) {
	if acct.endpoint.Trace != nil {
		acct.endpoint.Trace(fmt.Sprintf(format, args...))
	}
}
