package main

import (
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestLogoutParse(t *testing.T) {
	testParse(t, newLogoutCmd, []parseCase[logoutOptions]{
		{name: "one profile"},
		{name: "every profile", args: []string{"--all"}, want: logoutOptions{all: true}},
		{name: "an argument", args: []string{"alice"}, err: `logout takes no argument, and got "alice"`},
	})
}

// logout forgets the credentials, then the profile, and leaves the others alone.
func TestLogoutForgetsOneProfile(t *testing.T) {
	variables := homeWith(t, twoProfiles)
	f := newTestFactory(t, terminal.Streams{}, variables)
	p, err := f.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	store, err := account.OpenStore("file", p.files)
	if err != nil {
		t.Fatal(err)
	}
	key := func(login string) account.Key { return account.Key{Server: "ws://127.0.0.1:1/", Login: login} }
	for _, login := range []string{"alice", "bob"} {
		if err := store.Set(t.Context(), key(login), account.Credentials{Token: newToken(login)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := runLogout(t.Context(), f, &logoutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), key("alice")); account.KindOf(err) != account.KindNone {
		t.Errorf("alice is still there: %v", err)
	}
	if _, err := store.Get(t.Context(), key("bob")); err != nil {
		t.Errorf("bob is gone: %v", err)
	}
	config, err := account.LoadConfig(p.files.Config)
	if _, left := config.Profiles["a"]; err != nil || left || len(config.Profiles) != 1 || config.DefaultProfile != "" {
		t.Errorf("%+v, %v", config, err)
	}
	if err := runLogout(t.Context(), newTestFactory(t, terminal.Streams{}, variables), &logoutOptions{}); kindOf(err) != cli.KindAuth || !strings.Contains(err.Error(), `no profile "default"`) {
		t.Errorf("once more: %v", err)
	}
	if err := runLogout(t.Context(), newTestFactory(t, terminal.Streams{}, variables), &logoutOptions{all: true}); err != nil {
		t.Error(err)
	}
	if config, err := account.LoadConfig(p.files.Config); err != nil || len(config.Profiles) != 0 {
		t.Errorf("%+v, %v", config, err)
	}
}

// Two profiles with one account share its credentials.
func TestLogoutKeepsSharedCredentials(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, homeWith(t, strings.ReplaceAll(twoProfiles, "bob", "alice")))
	p, err := f.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	store, err := account.OpenStore("file", p.files)
	if err != nil {
		t.Fatal(err)
	}
	key := account.Key{Server: "ws://127.0.0.1:1/", Login: "alice"}
	if err := store.Set(t.Context(), key, account.Credentials{Token: newToken("pw")}); err != nil {
		t.Fatal(err)
	}
	if err := runLogout(t.Context(), f, &logoutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), key); err != nil {
		t.Errorf("the other profile has lost its token: %v", err)
	}
}

// A token of the environment can't be forgotten.
func TestLogoutRefusesTokenOfTheEnvironment(t *testing.T) {
	variables := homeWith(t, twoProfiles)
	variables["SKAROCTL_TOKEN"] = newToken("pw").Text()
	f := newTestFactory(t, terminal.Streams{}, variables)
	if err := runLogout(t.Context(), f, &logoutOptions{}); kindOf(err) != cli.KindUsage || !strings.Contains(err.Error(), "SKAROCTL_TOKEN") {
		t.Errorf("%v", err)
	}
}
