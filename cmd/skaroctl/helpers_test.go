package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/server"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// No completion in a test depends on the speed of the machine.
func init() { contactsWait = "10m" }

// testUser is a skaroctl of one user, with a home of its own.
type testUser struct {
	t         *testing.T
	login     string
	variables map[string]string
}

// newTestServer starts a server with open registration in this process, and returns its
// URL. The password of a user is "pw".
func newTestServer(t *testing.T, users ...string) (url string) {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "skarod.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range users {
		if err := s.AddUser(user, newToken("pw"), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	srv, err := server.New(server.Options{Store: s, Registration: server.RegistrationOpen, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := srv.HTTP()
	served := make(chan error, 1)
	go func() { served <- web.Serve(srv.Listener(ln)) }()
	t.Cleanup(func() {
		_ = web.Close()
		<-served
		srv.Close(t.Context())
		s.Close()
	})
	return "ws://" + ln.Addr().String() + server.Path
}

// newTestUser makes a user who has logged in, with the store "file".
func newTestUser(t *testing.T, url, login string) *testUser {
	t.Helper()
	u := &testUser{t: t, login: login, variables: homeWith(t, "")}
	u.run("pw\n", 0, "login", login, "--server", url, "--store", "file", "--password-stdin")
	return u
}

// run runs the program with stdin as its input, checks its exit status, and returns what
// it wrote.
func (u *testUser) run(stdin string, status int, args ...string) (out, errs string) {
	u.t.Helper()
	var outs, written strings.Builder
	streams := terminal.Streams{In: strings.NewReader(stdin), Out: &outs, Err: &written}
	if got := run(args, streams, u.getenv); got != status {
		u.t.Errorf("%s: %q: status %d, want %d; %s%s", u.login, args, got, status, &outs, &written)
	}
	return outs.String(), written.String()
}

// getenv is the environment of a user. A busy machine is no silent server.
func (u *testUser) getenv(name string) string {
	if name == "SKAROCTL_TIMEOUT" {
		return "10m"
	}
	return u.variables[name]
}

// newFactoryOf makes a Factory with the home of a user.
func newFactoryOf(u *testUser) *Factory {
	return newTestFactory(u.t, terminal.Streams{}, u.variables)
}

// storeToken stores the token of a password for an account, in the store "file".
func storeToken(t *testing.T, f *Factory, key account.Key, password string) {
	t.Helper()
	p, err := f.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	s, err := account.OpenStore("file", p.files)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), key, account.Credentials{Token: newToken(password)}); err != nil {
		t.Fatal(err)
	}
}

// newTestFactory makes a Factory whose environment has variables and nothing else. A
// stream that is nil is empty, or discards what is written to it.
func newTestFactory(t testing.TB, streams terminal.Streams, variables map[string]string) *Factory {
	t.Helper()
	var discarded strings.Builder
	if streams.In == nil {
		streams.In = strings.NewReader("")
	}
	if streams.Out == nil {
		streams.Out = &discarded
	}
	if streams.Err == nil {
		streams.Err = &discarded
	}
	f := newFactory(&cli.Process{
		Streams: streams, Getenv: func(name string) string { return variables[name] }, Report: func(err error) error { return cli.Reported{Err: err} },
		Out: terminal.NewInterruptibleWriter(t.Context(), streams.Out, 0, nil), Err: terminal.NewInterruptibleWriter(t.Context(), streams.Err, 0, nil),
	})
	newRootCmd(f) // which sets the defaults of the common flags
	f.flags = f.given
	return f
}

// parseCase is a command line and the options that the command's run function must get.
type parseCase[O any] struct {
	name string
	args []string
	want O
	err  string // a part of the error; then want is not looked at
}

// testParse checks what a command makes of its arguments. The run function is not called.
func testParse[O any](t *testing.T, newCmd func(*Factory, runFunc[O]) *cobra.Command, cases []parseCase[O]) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newTestFactory(t, terminal.Streams{}, nil)
			var got *O
			root := &cobra.Command{Use: "skaroctl", SilenceErrors: true, SilenceUsage: true}
			f.given.add(root, nil)
			cmd := newCmd(f, func(_ context.Context, _ *Factory, o *O) error { got = o; return nil })
			root.AddCommand(cmd)
			cli.Finish(root)
			root.SetArgs(append([]string{cmd.Name()}, c.args...))
			err := root.ExecuteContext(t.Context())
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) || kindOf(err) != cli.KindUsage {
					t.Errorf("the error is %v, not one of usage with %q", err, c.err)
				}
			case err != nil:
				t.Error(err)
			case got == nil:
				t.Error("the command was not run")
			case !reflect.DeepEqual(*got, c.want):
				t.Errorf("got  %+v\nwant %+v", *got, c.want)
			}
		})
	}
}

// homeWith makes a home whose config file has a text, and returns its variables.
func homeWith(t *testing.T, config string) map[string]string {
	t.Helper()
	home := t.TempDir()
	variables := map[string]string{"XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home}
	if err := os.MkdirAll(filepath.Join(home, "skaroctl"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "skaroctl", "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return variables
}

// newToken makes the token of a password.
func newToken(password string) proto.Token {
	token, err := proto.NewToken(password)
	if err != nil {
		panic(err)
	}
	return token
}

const twoProfiles = `default_profile = "a"
[profiles.a]
server = "ws://127.0.0.1:1/"
login = "alice"
store = "file"
[profiles.b]
server = "ws://127.0.0.1:1/"
login = "bob"
store = "file"
`
