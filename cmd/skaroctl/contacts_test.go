package main

import (
	"context"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestContactsParse(t *testing.T) {
	testParse(t, newContactsCmd, []parseCase[noOptions]{
		{name: "nothing"},
		{name: "an argument", args: []string{"bob"}, err: "contacts takes no argument"},
	})
	for name, newCmd := range map[string]func(*Factory, runFunc[contactOptions]) *cobra.Command{"add": newContactsAddCmd, "remove": newContactsRemoveCmd} {
		testParse(t, newCmd, []parseCase[contactOptions]{
			{name: name + " a login", args: []string{"bob"}, want: contactOptions{"bob"}},
			{name: name + " nothing", err: name + " needs LOGIN"},
			{name: name + " two", args: []string{"bob", "carol"}, err: "takes one argument"},
		})
	}
	testParse(t, newContactsSearchCmd, []parseCase[searchOptions]{
		{name: "search a text", args: []string{"bo"}, want: searchOptions{"bo"}},
		{name: "search nothing", err: "search needs TEXT"},
	})
}

// Wrong arguments are refused before the account is resolved.
func TestContactsRefuseBadText(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, nil)
	for _, text := range []string{"", "b\xff"} {
		for name, err := range map[string]error{
			"add":    runContactsAdd(t.Context(), f, &contactOptions{text}),
			"remove": runContactsRemove(t.Context(), f, &contactOptions{text}),
			"search": runContactsSearch(t.Context(), f, &searchOptions{text}),
		} {
			if kindOf(err) != cli.KindUsage {
				t.Errorf("%s %q: %v", name, text, err)
			}
		}
	}
}

// A command that needs a login says how to log in, without a connection.
func TestCommandsNeedALogin(t *testing.T) {
	f := func() *Factory { return newTestFactory(t, terminal.Streams{}, homeWith(t, "")) }
	for name, run := range map[string]func(context.Context) error{
		"status":   func(ctx context.Context) error { return runStatus(ctx, f(), &statusOptions{}) },
		"contacts": func(ctx context.Context) error { return runContacts(ctx, f(), &noOptions{}) },
		"history":  func(ctx context.Context) error { return runHistory(ctx, f(), &historyOptions{login: "bob"}) },
		"request":  func(ctx context.Context) error { return runRequest(ctx, f(), &requestOptions{typ: "x"}) },
	} {
		err := run(t.Context())
		if kindOf(err) != cli.KindAuth || !strings.Contains(err.Error(), `not logged in: there is no profile "default"`) || !strings.Contains(hintOf(err), "skaroctl login LOGIN --server URL") {
			t.Errorf("%s: %v; hint: %s", name, err, hintOf(err))
		}
	}
	for name, run := range map[string]func(context.Context) error{
		"register-type": func(ctx context.Context) error { return runRegisterType(ctx, f(), &noOptions{}) },
		"request":       func(ctx context.Context) error { return runRequest(ctx, f(), &requestOptions{typ: "x", noAuth: true}) },
	} {
		if err := run(t.Context()); kindOf(err) != cli.KindUsage || !strings.Contains(err.Error(), "no server is known") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
