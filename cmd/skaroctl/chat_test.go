package main

import (
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestChatOptions(t *testing.T) {
	testParse(t, newChatCmd, []parseCase[chatOptions]{
		{name: "a login", args: []string{"bob"}, want: chatOptions{login: "bob"}},
		{name: "no login", err: "LOGIN"},
		{name: "two logins", args: []string{"bob", "carol"}, err: "takes one argument"},
	})
}

// A chat is for people: it is refused before anything is sent.
func TestChatNeedsATerminal(t *testing.T) {
	for _, c := range []struct {
		terminal      bool
		output, login string
	}{{false, "auto", "bob"}, {true, "json", "bob"}, {true, "auto", ""}, {true, "auto", "\xff"}} {
		f := newTestFactory(t, terminal.Streams{InTerminal: c.terminal}, nil)
		f.given.output = c.output
		if err := (&chatOptions{c.login}).check(f); kindOf(err) != cli.KindUsage {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
