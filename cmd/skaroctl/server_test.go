package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
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
	go func() { served <- web.Serve(server.Listener(ln)) }()
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
