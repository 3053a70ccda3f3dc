package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// Every dependency is made when a command asks for it, not before.
func TestFactoryReadsProfilesOnce(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, nil)
	if _, err := f.Profiles(); err == nil {
		t.Error("there are profiles without a home")
	}
	if _, err := f.OptionalProfiles(); err != nil {
		t.Errorf("without a home: %v", err)
	}
	damaged := errors.New("damaged")
	p := profiles{}
	p.files.Config = "config.toml"
	f.loadProfiles = func() (profiles, error) { return p, damaged }
	if _, err := f.OptionalProfiles(); !errors.Is(err, damaged) {
		t.Errorf("a damaged config file: %v", err)
	}
	f.loadProfiles = func() (profiles, error) { return p, &account.Error{Kind: account.KindForeign} }
	if _, err := f.OptionalProfiles(); account.KindOf(err) != account.KindForeign {
		t.Errorf("a config file of another user: %v", err)
	}
	f.flags.server = "wss://chat.example.org/"
	if got, err := f.OptionalProfiles(); err != nil || got.files != p.files {
		t.Errorf("a config file of another user, which is not needed: %v", err)
	}
}

func TestNoticeObeysQuiet(t *testing.T) {
	for _, c := range []struct {
		quiet, terminal bool
		want            string
	}{{false, false, "skaroctl: one\n"}, {false, true, "skaroctl: one\nskaroctl: two\n"}, {true, true, ""}} {
		var errs strings.Builder
		f := newTestFactory(t, terminal.Streams{Err: &errs, OutTerminal: c.terminal}, nil)
		f.given.quiet = c.quiet
		f.notice("one")
		f.noticeNone("two")
		if errs.String() != c.want {
			t.Errorf("%+v: %q", c, &errs)
		}
	}
}

func TestCheckLogin(t *testing.T) {
	for login, says := range map[string]string{"bob": "", "Grüße": "", "": "is empty", "b\xff": "not UTF-8"} {
		err := checkLogin(login, "give one")
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || kindOf(err) != cli.KindUsage) {
			t.Errorf("%q: %v", login, err)
		}
	}
}

// What a server says may have several lines: a notice and the trace stay one line each.
func TestStandardErrorHasALineForEachText(t *testing.T) {
	var b strings.Builder
	e := &stderr{w: &b}
	e.line("skaroctl: the server says: one\ntwo\r\nthree\x1b[2J\u2028four")
	if want := `skaroctl: the server says: one\ntwo\r\nthree\x1b[2J\u2028four` + "\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
