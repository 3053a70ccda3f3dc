package main

import (
	"testing"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestStatusParse(t *testing.T) {
	testParse(t, newStatusCmd, []parseCase[statusOptions]{
		{name: "one"},
		{name: "all", args: []string{"--all"}, want: statusOptions{all: true}},
	})
}

// A profile that was written by hand may name no store. profile list and status agree on it.
func TestStatusNamesTheUsualStore(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, homeWith(t, "[profiles.default]\nserver = \"wss://a/\"\nlogin = \"alice\"\n"))
	acct, err := f.ResolveAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := acct.storeName(); got != "keyring" {
		t.Errorf("the store is %q", got)
	}
	if acct.env = (&account.Environment{}); acct.storeName() != "environment" {
		t.Errorf("with a token in the environment, the store is %q", acct.storeName())
	}
}
