package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestRegisterParse(t *testing.T) {
	testParse(t, newRegisterCmd, []parseCase[registerOptions]{
		{name: "a login", args: []string{"carol"}, want: registerOptions{loginOptions: loginOptions{login: "carol", loginGiven: true}}},
		{
			name: "an invitation", args: []string{"carol", "--invite", "code", "--store", "file"},
			want: registerOptions{loginOptions: loginOptions{login: "carol", loginGiven: true, store: "file"}, invite: "code"},
		},
		{name: "no login", err: "register needs LOGIN"},
		{name: "--session-only", args: []string{"carol", "--session-only"}, err: "unknown flag --session-only"},
	})
}

// A new account does not take the place of another one's credentials.
func TestRegisterKeepsTheProfileOfAnother(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, homeWith(t, twoProfiles))
	err := runRegister(t.Context(), f, &registerOptions{loginOptions: loginOptions{login: "carol", loginGiven: true}})
	if err == nil || !strings.Contains(err.Error(), `the profile "a" belongs to alice`) {
		t.Errorf("%v", err)
	}
}

func TestRegisterHint(t *testing.T) {
	for _, c := range []struct {
		status  string
		invited bool
		want    string
	}{{"403", true, "ask the administrator"}, {"403", false, "--invite"}, {"409", false, "choose another login"}, {"500", false, ""}} {
		got := registerHint(c.status, c.invited)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// If the new account can't be saved, the command in the hint works: it names the server.
func TestRegisterWithoutAProfileNamesTheServer(t *testing.T) {
	url := newTestServer(t)
	u := &testUser{t: t, login: "carol", variables: homeWith(t, "")}
	if err := os.Mkdir(filepath.Join(u.variables["XDG_CONFIG_HOME"], "skaroctl", "config.toml.lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, errs := u.run("pw\n", 1, "register", "carol", "--server", url, "--store", "file", "--password-stdin")
	if !strings.Contains(errs, "was created, but") || !strings.Contains(errs, "hint: log in with `skaroctl login carol --server "+url+"`\n") {
		t.Errorf("%s", errs)
	}
}
