package main

import (
	"runtime"
	"testing"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/session"
)

// A shell that runs a hint runs skaroctl and nothing else, whatever the login is.
func TestLoginCommand(t *testing.T) {
	bob := account.Profile{Server: "ws://h/", Login: "$(id)"}
	quoted := "skaroctl login '$(id)' --server 'ws://h/?a&b' --profile 'my work'"
	if runtime.GOOS == "windows" {
		quoted = `skaroctl login ... --server "ws://h/?a&b" --profile "my work"`
	}
	for want, at := range map[string]Account{
		"skaroctl login": {profile: "default", saved: bob, login: bob.Login, endpoint: session.Endpoint{URL: bob.Server}},
		quoted: {
			profile: "my work", saved: bob, login: bob.Login, endpoint: session.Endpoint{URL: "ws://h/?a&b"},
		},
		"skaroctl login LOGIN --server URL": {profile: "default"},
	} {
		if got := at.loginCommand(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
