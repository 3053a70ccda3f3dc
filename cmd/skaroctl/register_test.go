package main

import (
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
