package main

import (
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

// A user at a terminal reads what was done; a script reads nothing.
func TestDoneIsSaidAtATerminal(t *testing.T) {
	scripted, typed := t.TempDir(), t.TempDir()
	addUsers(t, scripted, "bob")
	addUsers(t, typed, "bob")
	skarod("", "invite", "create", "--data", scripted)
	skarod("", "invite", "create", "--data", typed)
	for _, c := range []struct{ args, said string }{
		{"user add Alice --password-stdin", "made the account of alice"},
		{"user passwd alice --password-stdin", "changed the password of alice, and ended the account's sessions"},
		{"conference create Ops alice bob", "made the conference ops"},
		{"conference create dev", "made the conference dev"},
		{"conference add dev ALICE", "put alice into the conference dev"},
		{"conference add dev alice bob", "put bob into the conference dev\nskarod: already in the conference dev: alice"},
		{"conference add dev alice bob", "already in the conference dev: alice, bob"},
		{"conference remove dev alice", "took alice out of the conference dev"},
		{"conference delete dev", "deleted the conference dev"},
		{"user remove alice", "removed the account of alice, and ended its sessions"},
		{"invite revoke 1", "revoked the invitation"},
	} {
		if code, out, errs := skarod("a long password", append(strings.Split(c.args, " "), "--data", scripted)...); code != 0 || out+errs != "" {
			t.Errorf("%s in a script: exit %d, %s%s", c.args, code, out, errs)
		}
		var out, errs strings.Builder
		streams := terminal.Streams{In: strings.NewReader("a long password"), Out: &out, Err: &errs, ErrTerminal: true}
		code := run(append(strings.Split(c.args, " "), "--data", typed), streams, func(string) string { return "" })
		if code != 0 || out.String() != "" || errs.String() != "skarod: "+c.said+"\n" {
			t.Errorf("%s at a terminal: exit %d, %s%s", c.args, code, &out, &errs)
		}
	}
	for _, plain := range []bool{false, true} {
		var errs strings.Builder
		run([]string{"nonsense"}, terminal.Streams{Err: &errs, ErrTerminal: true, Plain: plain}, func(string) string { return "" })
		if strings.Contains(errs.String(), "\x1b") == plain {
			t.Errorf("plain %v: %q", plain, &errs)
		}
	}
}
