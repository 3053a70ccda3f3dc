package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
)

func TestInviteParsing(t *testing.T) {
	checkParsing(t, newInviteCreateCmd,
		parsed[inviteCreateOptions]{"create", inviteCreateOptions{cli.Duration(7 * 24 * time.Hour)}, true},
		parsed[inviteCreateOptions]{"create --expires 1d12h", inviteCreateOptions{cli.Duration(36 * time.Hour)}, true},
		parsed[inviteCreateOptions]{args: "create --expires 0s"},
		parsed[inviteCreateOptions]{args: "create bob"},
	)
	checkParsing(t, newInviteRevokeCmd,
		parsed[inviteRevokeOptions]{"revoke 3", inviteRevokeOptions{"3"}, true},
		parsed[inviteRevokeOptions]{args: "revoke"},
	)
}

func TestInviteCommandsExplainRefusals(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice")
	runCommands(t, data, []commandCase{
		{"", "invite create --expires 0s", 2, "", "must be longer than 0"},
		{"", "invite create --expires 7", 2, "", "--expires: \"7\" has no unit: write 7s for seconds\nhint: give --expires DURATION: how long the invitation is valid, like 24h or 7d"},
		{"", "invite create --expires 1y", 2, "", "\"1y\" is not a duration like 10s, 5m, 24h or 7d"},
		{"", "invite revoke 1", 5, "", "skarod: invite revoke: no such invitation\nhint: run `skarod invite list`"},
		{"", "invite list", 0, "", ""},
	}...)
}

func TestInvitationsAreCreatedListedAndRevoked(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice")
	code, first, errs := skarod("", "invite", "create", "--data", data)
	if !regexp.MustCompile(`^([a-z2-7]{4}-){3}[a-z2-7]{4}\n$`).MatchString(first) || code != 0 || !strings.Contains(errs, "for one account, until ") {
		t.Fatalf("exit %d, output %q, errors %q", code, first, errs)
	}
	_, second, _ := skarod("", "invite", "create", "--expires", "1ns", "--data", data)
	if first == second {
		t.Error("the same code twice")
	}
	_, _, errs = skarod("", "invite", "create", "--expires", "2d12h", "--data", data)
	_, said, _ := strings.Cut(errs, "until ")
	until, err := time.ParseInLocation("2006-01-02 15:04\n", said, time.Local)
	if left := time.Until(until); err != nil || left < 59*time.Hour || left > 61*time.Hour {
		t.Errorf("two days and a half end at %q: %v", errs, err)
	}
	path := filepath.Join(data, "skarod.db")
	if b, err := os.ReadFile(path); err != nil || bytes.Contains(b, []byte(strings.TrimSpace(first))) {
		t.Errorf("the code is in the database (%v)", err)
	}
	states := func() (states []string) {
		_, out, _ := skarod("", "invite", "list", "-o", "json", "--data", data)
		for line := range strings.Lines(out) {
			var i struct{ Type, State, Created, Expires string }
			if err := json.Unmarshal([]byte(line), &i); err != nil || i.Type != "invite" || i.Created == "" || i.Expires <= i.Created[:10] {
				t.Errorf("%s: %v", line, err)
			}
			states = append(states, i.State)
		}
		return states
	}
	if got := states(); !slices.Equal(got, []string{"open", "expired", "open"}) {
		t.Errorf("states %v", got)
	}
	if code, _, errs := skarod("", "invite", "revoke", strings.ToUpper(strings.TrimSpace(first)), "--data", data); code != 0 || errs != "" {
		t.Errorf("revoke by code: %d, %s", code, errs)
	}
	if code, _, errs := skarod("", "invite", "revoke", "2", "--data", data); code != 0 || errs != "" {
		t.Errorf("revoke by id: %d, %s", code, errs)
	}
	if got := states(); !slices.Equal(got, []string{"open"}) {
		t.Errorf("states %v", got)
	}
}
