package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// Factory makes what a command needs, when the command asks for it, in this order: the
// profiles, the account (account.go), a session with its server, a printer. It does not
// change while a command runs.
type Factory struct {
	streams terminal.Streams
	getenv  func(string) string
	out     *terminal.InterruptibleWriter // standard output; an interrupt ends the wait for its reader
	stderr  *stderr
	write   func(error) error // cli.Process.Report

	given commonFlags // as the command line has them
	flags commonFlags // as resolved before the command's run function is called

	loadProfiles func() (profiles, error) // reads the config file the first time
	zone         sync.Once                // checks the time zone the first time
}

// newFactory makes the Factory of a process.
func newFactory(p *cli.Process) *Factory {
	f := &Factory{
		streams: p.Streams, getenv: p.Getenv, out: p.Out, stderr: &stderr{w: p.Err}, write: p.Report,
	}
	f.loadProfiles = sync.OnceValues(func() (profiles, error) {
		profiles, err := loadProfiles(p.Getenv)
		if f.flags.verbose && profiles.files.Config != "" {
			f.stderr.line("the config file is " + profiles.files.Config)
		}
		return profiles, err
	})
	return f
}

// profiles is the content of the config file, with the paths of all files.
type profiles struct {
	files  account.Files
	config account.Config
}

func loadProfiles(getenv func(string) string) (profiles, error) {
	files, err := account.FindFiles(getenv)
	if err != nil {
		return profiles{}, err
	}
	config, err := account.LoadConfig(files.Config)
	return profiles{files, config}, err
}

// Profiles reads the config file. A missing file has no profiles.
func (f *Factory) Profiles() (profiles, error) { return f.loadProfiles() }

// OptionalProfiles is Profiles for a command that may need no config file. Without a home,
// as in a container, there are no profiles. If a server is given, the config file of
// another user counts as missing; else it is an error.
func (f *Factory) OptionalProfiles() (profiles, error) {
	p, err := f.loadProfiles()
	if p.files == (account.Files{}) {
		return p, nil
	}
	if account.KindOf(err) == account.KindForeign && f.flags.server != "" {
		return profiles{files: p.files}, nil
	}
	return p, err
}

// WithSession resolves the account, and runs do on an authenticated session, within the
// time of --timeout.
func (f *Factory) WithSession(ctx context.Context, do func(context.Context, Account, *session.Session) error) error {
	acct, err := f.resolveLogin(ctx)
	if err != nil {
		return err
	}
	return f.withAccount(ctx, acct, func(ctx context.Context, s *session.Session) error { return do(ctx, acct, s) })
}

// withAccount is WithSession for an account that is resolved.
func (f *Factory) withAccount(ctx context.Context, acct Account, do func(context.Context, *session.Session) error) error {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	source := newCredentialSource(acct)
	s, err := session.Open(ctx, acct.endpoint, source.read, nil)
	if err != nil {
		return err
	}
	err = do(ctx, s)
	got, refused := s.Account(ctx)
	s.Close()
	if refused == nil {
		source.renewSID(ctx, got)
	}
	return acct.hintLogin(err)
}

// WithoutLogin runs do on a session with the server of acct that is not authenticated.
func (f *Factory) WithoutLogin(ctx context.Context, acct Account, do func(context.Context, *session.Session) error) error {
	if err := acct.needServer(); err != nil {
		return err
	}
	s, err := session.Open(ctx, acct.endpoint, nil, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	return do(ctx, s)
}

// withTimeout bounds a command by --timeout.
func (f *Factory) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return session.WithTimeout(ctx, time.Duration(f.flags.timeout))
}

// Printer makes a printer of results.
func (f *Factory) Printer() *output.Printer { return f.FormatPrinter(nil) }

// FormatPrinter makes a printer whose messages go through a format. A nil format means
// the usual form.
func (f *Factory) FormatPrinter(format *output.Format) *output.Printer {
	return output.NewPrinter(f.out, output.Options{
		JSON: f.json(), Format: format, Colour: f.colour(f.streams.OutTerminal), Terminal: f.streams.OutTerminal, Now: f.now,
	})
}

// json reports whether results are JSON.
func (f *Factory) json() bool {
	return f.flags.output == "json" || f.flags.output == "auto" && !f.streams.OutTerminal
}

// colour reports whether text on a stream is in colour.
func (f *Factory) colour(terminal bool) bool {
	return output.UseColour(f.given.colour, terminal && !f.streams.Plain, f.getenv)
}

// now is the time, in the zone that times are shown and read in.
func (f *Factory) now() time.Time {
	if f.flags.utc {
		return time.Now().UTC()
	}
	f.zone.Do(func() {
		if text := cli.ZoneNotice(f.getenv); text != "" {
			f.notice("%s", text)
		}
	})
	return time.Now()
}

// confirm prints a result that only confirms what was done. With --quiet it prints nothing.
func (f *Factory) confirm(print func(*output.Printer) error) error {
	if f.given.quiet {
		return nil
	}
	p := f.Printer()
	if err := print(p); err != nil {
		return err
	}
	return p.Flush()
}

// report writes an error while the command goes on (cli.Process.Report).
func (f *Factory) report(err error) error {
	f.stderr.mu.Lock()
	defer f.stderr.mu.Unlock()
	f.stderr.bar.clear()
	return f.write(err)
}

// notice tells the user something that is neither a result nor an error.
func (f *Factory) notice(format string, args ...any) {
	if !f.given.quiet {
		f.stderr.line("skaroctl: " + fmt.Sprintf(format, args...))
	}
}

// noticeLost tells the user that a connection was lost or not made, and that the command reconnects.
func (f *Factory) noticeLost(err error, pause time.Duration) {
	f.notice("%v; trying again in %v", err, pause.Round(100*time.Millisecond))
}

// noticeNone tells a user at a terminal that there is no result. A pipe shows that by
// itself.
func (f *Factory) noticeNone(format string, args ...any) {
	if f.streams.OutTerminal {
		f.notice(format, args...)
	}
}

// stderr is standard error, which the notices, the trace and the progress bar share:
// several goroutines write to it, and their lines do not mix.
type stderr struct {
	mu  sync.Mutex
	w   io.Writer
	bar *progress // taken away before each line; nil means none
}

// show sets the bar.
func (s *stderr) show(bar *progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar = bar
}

// divert lets what follows go to another writer.
func (s *stderr) divert(to io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w = to
}

func (s *stderr) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar.clear()
	_, _ = io.WriteString(s.w, output.Line(text)+"\n")
}

// runFunc does the work of a command, with its options and what it needs of f.
type runFunc[O any] func(ctx context.Context, f *Factory, o *O) error

// noOptions are the options of a command that has none of its own.
type noOptions struct{}

// runCommand resolves the common flags and calls the run function of a command.
func runCommand[O any](c *cobra.Command, f *Factory, o *O, run runFunc[O]) error {
	return cli.Run(func(ctx context.Context, _ []string) error {
		var err error
		if f.flags, err = f.given.resolve(f.getenv); err != nil {
			return err
		}
		return run(ctx, f, o)
	})(c, nil)
}

// checkLogin returns an error for a LOGIN that no user can have.
func checkLogin(login, hint string) error {
	if login == "" {
		return cli.Usage("the login is empty", hint)
	}
	return cli.CheckUTF8("the login", login)
}
