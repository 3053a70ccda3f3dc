package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// app is what the commands share: the streams, the environment, the common
// flags, and what is made of them when a command needs it.
type app struct {
	streams  terminal.Streams
	out, err *terminal.InterruptibleWriter // on two of the streams: an interrupt ends the wait for their readers
	getenv   func(string) string
	flags    commonFlags
	profiles func() profiles // reads them the first time

	loginHint string // what to do when the credentials are refused
	ran       bool   // a command's own code was reached: an error before is one of usage

	errMu sync.Mutex // the trace and the notices come from several goroutines
	bar   *progress  // what they must not write into; nil where there is none
}

// profiles are what the config file has, and where that and the other files are.
type profiles struct {
	files  account.Files
	config account.Config
	err    error
}

func (a *app) loadProfiles(args []string) profiles {
	files, err := account.FindFiles(a.getenv)
	if err != nil {
		return profiles{err: err}
	}
	config, err := account.LoadConfig(files.Config)
	if config.UsesKeyring() && a.logsIn(args) {
		account.Approach() // the keyring is what such a command waits for longest
	}
	return profiles{files, config, err}
}

// commonFlags are the flags of every command.
type commonFlags struct {
	server, profile, output, colour, caFile string
	timeout                                 cli.Duration
	verbose, quiet, allowPlaintext, utc     bool

	changed func(name string) bool // whether a flag was given
}

const defaultTimeout = 10 * time.Second

func (a *app) addCommonFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	a.flags.timeout = cli.Duration(defaultTimeout)
	f.StringVarP(&a.flags.server, "server", "s", "", "server `URL`, ws:// or wss://, path included (SKAROCTL_SERVER)")
	f.StringVarP(&a.flags.profile, "profile", "p", "", "account to use, by its profile `NAME` (SKAROCTL_PROFILE)")
	f.StringVarP(&a.flags.output, "output", "o", "auto", "`FORMAT` of results: auto, text or json; auto is text on a terminal, JSON Lines elsewhere (SKAROCTL_OUTPUT)")
	f.Var(&a.flags.timeout, "timeout", "how long a command may take, reading its input and --retry not counted; for listen, how long each attempt to connect (SKAROCTL_TIMEOUT)")
	f.StringVar(&a.flags.colour, "color", "auto", "`WHEN` to colour text: auto, always or never (NO_COLOR, CLICOLOR_FORCE)")
	f.BoolVar(&a.flags.utc, "utc", false, "times in text, and those given without a zone, are UTC and not local time")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "show every frame and state change on standard error, secrets replaced")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "nothing on standard error but errors")
	f.StringVar(&a.flags.caFile, "ca-file", "", "PEM `FILE` with further root certificates (SSL_CERT_FILE)")
	f.BoolVar(&a.flags.allowPlaintext, "allow-plaintext", false, "permit ws:// to a host that is not this one")
	root.MarkFlagsMutuallyExclusive("quiet", "verbose")
	a.flags.changed = f.Changed
	cli.Choices(root, "output", "auto", "text", "json")
	cli.Choices(root, "color", "auto", "always", "never")
	cli.Completes(root, "profile", a.completeProfile)
}

// settle fills in from the environment what no flag gave, and checks the values.
func (a *app) settle() error {
	for _, v := range []struct {
		flag, env string
		set       func(string) error
	}{
		{"server", "SKAROCTL_SERVER", func(s string) error { a.flags.server = s; return nil }},
		{"profile", "SKAROCTL_PROFILE", func(s string) error { a.flags.profile = s; return nil }},
		{"output", "SKAROCTL_OUTPUT", func(s string) error { a.flags.output = s; return nil }},
		{"timeout", "SKAROCTL_TIMEOUT", a.flags.timeout.Set},
		{"ca-file", "SSL_CERT_FILE", func(s string) error { a.flags.caFile = s; return nil }},
	} {
		if v.env == "SSL_CERT_FILE" && runtime.GOOS != "windows" && runtime.GOOS != "darwin" {
			continue // there crypto/x509 reads it by itself: twice would cost a start 20 ms
		}
		if s := a.getenv(v.env); s != "" && !a.flags.changed(v.flag) {
			if err := v.set(s); err != nil {
				return &usageError{fmt.Sprintf("%s: %v", v.env, err), "correct the variable, or unset it"}
			}
		}
	}
	if trimmed := strings.TrimSpace(a.flags.server); trimmed != "" {
		a.flags.server = trimmed // what a file or a copied text has at its end is no part of a URL
	}
	outputName := "--output"
	if !a.flags.changed("output") {
		outputName = "SKAROCTL_OUTPUT"
	}
	for _, v := range []struct {
		name    string
		value   *string
		allowed []string
	}{
		{outputName, &a.flags.output, []string{"auto", "text", "json"}},
		{"--color", &a.flags.colour, []string{"auto", "always", "never"}},
	} {
		ok := false
		for _, w := range v.allowed {
			ok = ok || *v.value == w
		}
		if !ok {
			return usagef("%s is %q, not one of %s", v.name, *v.value, strings.Join(v.allowed, ", "))
		}
	}
	return nil
}

// jsonAsked reports whether JSON was asked for by flag or environment, and not
// only chosen because standard output is no terminal.
func (a *app) jsonAsked() bool {
	if a.flags.output == "auto" {
		return a.getenv("SKAROCTL_OUTPUT") == "json" // settle might not have been reached
	}
	return a.flags.output == "json"
}

func (a *app) json() bool {
	return a.flags.output == "json" || a.flags.output == "auto" && !a.streams.OutTerminal
}

func (a *app) colour(terminal bool) bool {
	return output.UseColour(a.flags.colour, terminal && !a.streams.Plain, a.getenv)
}

// now is the time, in the zone that times are shown and read in.
func (a *app) now() time.Time {
	if a.flags.utc {
		return time.Now().UTC()
	}
	return time.Now()
}

func (a *app) printer() *output.Printer { return a.formatPrinter(nil) }

// formatPrinter is a printer whose messages go through a format, where that is not
// nil.
func (a *app) formatPrinter(f *output.Format) *output.Printer {
	return output.NewPrinter(a.out, output.Options{
		JSON: a.json(), Format: f, Colour: a.colour(a.streams.OutTerminal), Terminal: a.streams.OutTerminal, Now: a.now,
	})
}

// notice tells the user something that is no result and no error.
func (a *app) notice(format string, args ...any) {
	if !a.flags.quiet {
		a.errLine("skaroctl: " + fmt.Sprintf(format, args...))
	}
}

// none tells somebody at a terminal that there is no result.
func (a *app) none(format string, args ...any) {
	if a.streams.OutTerminal {
		a.notice(format, args...)
	}
}

func (a *app) errLine(line string) {
	a.errMu.Lock()
	defer a.errMu.Unlock()
	a.bar.clear()
	_, _ = io.WriteString(a.err, output.Line(line)+"\n")
}

// target is the account and the server that a command is for.
type target struct {
	profile  string
	saved    account.Profile // what the config file has; zero where it has nothing
	endpoint session.Endpoint
	login    string
	files    account.Files
	config   account.Config
	env      *account.Environment // the token comes from here, not from a store
}

// target finds out which account and server are meant, and with which token where
// the environment gives one. It touches neither keyring nor network.
func (a *app) target(ctx context.Context) (target, error) {
	// The file of a token may be the pipe of a program that asks somebody first.
	waiting, cancel := a.oneShot(ctx)
	defer cancel()
	env, err := terminal.Await(waiting, func() (*account.Environment, error) {
		env, ok, err := account.FromEnvironment(a.getenv)
		if !ok {
			return nil, err
		}
		return &env, err
	})
	if err != nil {
		return target{}, err
	}
	t, err := a.place(env != nil)
	t.env = env
	a.loginHint = t.loginHint()
	return t, err
}

// loginHint is what to do when the server refuses the credentials.
func (t target) loginHint() string {
	if t.env != nil {
		return fmt.Sprintf("%s gives the token of another login or of an older password: check SKAROCTL_LOGIN, or make a new one with `skaroctl login --print-token`", t.env.Source)
	}
	return fmt.Sprintf("log in again with `%s`", t.loginCommand())
}

// place is target for a command that uses no token, so that a damaged one does not
// stop who makes a new one: flag, then environment, then the profile of the config
// file. homeless tells that the command needs no file where the environment and the flags
// say enough, and that what they lack is told later: a container may have no home.
func (a *app) place(homeless bool) (target, error) {
	p := a.profiles()
	nowhere := p.files == account.Files{} // there is no home
	if p.err != nil && !(nowhere && homeless) {
		return target{}, p.err
	}
	t := target{files: p.files, config: p.config, profile: a.flags.profile, login: a.getenv("SKAROCTL_LOGIN")}
	if t.profile == "" {
		t.profile = p.config.DefaultProfile
	}
	if t.profile == "" {
		t.profile = "default"
	}
	t.saved = p.config.Profiles[t.profile]
	t.endpoint = session.Endpoint{
		URL: t.saved.Server, CAFile: t.saved.CAFile, AllowPlaintext: t.saved.AllowPlaintext || a.flags.allowPlaintext,
		UserAgent: "skaroctl",
	}
	if a.flags.server != "" && a.flags.server != t.saved.Server {
		// What the profile permits, it permits for its own server.
		t.endpoint.URL, t.endpoint.CAFile, t.endpoint.AllowPlaintext = a.flags.server, "", a.flags.allowPlaintext
	}
	if a.flags.caFile != "" {
		var err error
		if t.endpoint.CAFile, err = filepath.Abs(a.flags.caFile); err != nil {
			return target{}, err
		}
	}
	if t.endpoint.CAFile != "" {
		t.endpoint.ReadCA = certificates(t.endpoint.CAFile)
	}
	if t.login == "" {
		t.login = t.saved.Login
	}
	if a.flags.verbose {
		t.endpoint.Trace = a.errLine
	}
	return t, nil
}

// maxCertificates bounds what is read as root certificates, in bytes: those of a whole
// system have a quarter of a megabyte.
const maxCertificates = 16 << 20

// certificates reads root certificates for each connection anew, since they may be
// renewed; but only once from what is no regular file, like the pipe of <(command).
func certificates(path string) func(context.Context) ([]byte, error) {
	read := func(ctx context.Context) ([]byte, error) { return terminal.ReadFile(ctx, path, maxCertificates) }
	if !irregular(path) {
		return read
	}
	once := sync.OnceValues(func() ([]byte, error) { return read(context.Background()) })
	return func(ctx context.Context) ([]byte, error) { return terminal.Await(ctx, once) }
}

// irregular tells that a file is there, and is no regular one.
func irregular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

// needServer is an error where no server is known.
func (t target) needServer() error {
	if t.endpoint.URL == "" {
		return &usageError{"no server is known", "give its URL with --server or SKAROCTL_SERVER, or log in first with `skaroctl login`"}
	}
	return t.endpoint.Check()
}

// loginCommand is the command that logs in where this command was meant to go.
func (t target) loginCommand() string {
	command := "skaroctl login"
	if t.saved.Login == "" || t.saved.Login != t.login || t.saved.Server != t.endpoint.URL {
		command += " " + account.ShellWord(cmp.Or(t.login, "LOGIN")) + " --server " + account.ShellWord(cmp.Or(t.endpoint.URL, "URL"))
	}
	if t.profile != "default" {
		command += " --profile " + account.ShellWord(t.profile)
	}
	return command
}

// needLogin is an error where it is not known who to log in as.
func (t target) needLogin() error {
	hint := fmt.Sprintf("log in first with `%s`", t.loginCommand())
	switch {
	case t.env != nil && t.login == "":
		return &loginError{t.env.Source + " gives a token, but nothing says whose it is", "set SKAROCTL_LOGIN"}
	case t.env != nil && t.endpoint.URL == "":
		return &loginError{t.env.Source + " gives a token, but nothing says for which server", "set SKAROCTL_SERVER, or give --server"}
	case t.env == nil && t.saved != (account.Profile{}) && (t.saved.Login == "" || t.saved.Server == ""):
		return &loginError{fmt.Sprintf("the profile %q of %s lacks its login or its server", t.profile, t.files.Config), hint}
	case t.login == "" || t.endpoint.URL == "" || t.env == nil && t.saved.Login == "":
		return &loginError{fmt.Sprintf("not logged in: there is no profile %q", t.profile), hint}
	}
	return t.endpoint.Check()
}

func (t target) key() account.Key { return account.Key{Server: t.endpoint.URL, Login: t.login} }

func (t target) store() (account.Store, error) { return account.OpenStore(t.saved.Store, t.files) }

// environ are the variables that make another skaroctl that of the same account, where
// nothing else in its environment has changed.
func (t target) environ() []string {
	same := []string{"SKAROCTL_PROFILE=" + t.profile}
	if t.endpoint.URL != t.saved.Server {
		same = append(same, "SKAROCTL_SERVER="+t.endpoint.URL)
	}
	return same
}

// storeName says where the credentials come from, for people.
func (t target) storeName() string {
	if t.env != nil {
		return "environment"
	}
	return t.saved.Store
}

// credentials reads the token and the SID. stored gets what the store had, and has
// what it had before a connection was lost: where the store can't be read any more, a
// locked keyring say, that is still good.
func (t target) credentials(ctx context.Context, stored *account.Credentials) (session.Credentials, error) {
	if t.env != nil {
		return session.Credentials{Login: t.login, Token: t.env.Token}, nil
	}
	store, err := t.store()
	if err != nil {
		return session.Credentials{}, err
	}
	c, err := store.Get(ctx, t.key())
	switch {
	case account.KindOf(err) == account.KindNone:
		return session.Credentials{}, &loginError{
			fmt.Sprintf("not logged in: the %s store has no credentials for %s at %s", store.Name(), t.login, t.endpoint.URL),
			fmt.Sprintf("log in with `%s`", t.loginCommand()),
		}
	case err != nil && *stored == (account.Credentials{}):
		return session.Credentials{}, err
	case err != nil:
		c = *stored
		if t.endpoint.Trace != nil {
			t.endpoint.Trace(fmt.Sprintf("using the credentials from before: %v", err))
		}
	}
	*stored = c
	cred := session.Credentials{Login: t.login, Token: c.Token}
	// An old SID is not even tried, unless there is nothing else.
	if c.SIDFresh(time.Now()) || c.Token.IsZero() {
		cred.SID = c.SID
	}
	return cred, nil
}

// sidRefresh is how old the stored time of a SID's last use may become before it
// is written again: a store is not to be written at every command.
const sidRefresh = time.Minute

// sidPatience bounds the wait for a store that another program keeps locked: it may
// have been stopped, and nobody should wait for a SID.
const sidPatience = 3 * time.Second

// keepSID stores the SID that the server gave, where it is news. A command has
// done its work by then: a SID that can't be kept costs the next one nothing but a
// fresh login.
func (a *app) keepSID(ctx context.Context, t target, stored account.Credentials, got session.Account) {
	now := time.Now()
	age := now.Sub(stored.SIDUsed)
	if t.env != nil || got.SID == "" || got.SID == stored.SID && age >= 0 && age < sidRefresh {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, sidPatience, &session.TimeoutError{After: sidPatience})
	defer cancel()
	store, err := t.store()
	if err == nil {
		err = account.UpdateSID(ctx, store, t.key(), got.SID, now)
	}
	if err != nil && a.flags.verbose {
		a.errLine(fmt.Sprintf("the SID could not be stored: %v", err))
	}
}

// withSession runs a one-shot command on an authenticated session, within the
// time of --timeout.
func (a *app) withSession(ctx context.Context, do func(context.Context, *session.Session) error) error {
	return a.withAccount(ctx, func(ctx context.Context, _ target, s *session.Session) error { return do(ctx, s) })
}

// withAccount is withSession for a command that needs to know whose it is.
func (a *app) withAccount(ctx context.Context, do func(context.Context, target, *session.Session) error) error {
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	if err := t.needLogin(); err != nil {
		return err
	}
	ctx, cancel := a.oneShot(ctx)
	defer cancel()
	var stored account.Credentials
	s, err := session.Open(ctx, t.endpoint, func(ctx context.Context) (session.Credentials, error) {
		return t.credentials(ctx, &stored)
	}, nil)
	if err != nil {
		return err
	}
	err = do(ctx, t, s)
	got, authErr := s.Account(ctx)
	s.Close()
	if authErr == nil {
		a.keepSID(ctx, t, stored, got)
	}
	return err
}

// withoutLogin runs a request on a connection that is not logged in.
func (a *app) withoutLogin(ctx context.Context, t target, do func(context.Context, *session.Session) error) error {
	if err := t.needServer(); err != nil {
		return err
	}
	s, err := session.Open(ctx, t.endpoint, nil, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	return do(ctx, s)
}

// oneShot bounds a command by --timeout.
func (a *app) oneShot(ctx context.Context) (context.Context, context.CancelFunc) {
	d := time.Duration(a.flags.timeout)
	return context.WithTimeoutCause(ctx, d, &session.TimeoutError{After: d})
}

// validText is an error for a login or a text that is not UTF-8.
func validText(what, s string) error {
	if strings.ToValidUTF8(s, "") != s {
		return &usageError{what + " is not UTF-8", "Skaro carries UTF-8 text only; convert it, with iconv for example"}
	}
	return nil
}
