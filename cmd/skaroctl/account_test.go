package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// A shell that runs a hint runs skaroctl and nothing else, whatever the login is.
func TestLoginCommand(t *testing.T) {
	bob := account.Profile{Server: "ws://h/", Login: "$(id)"}
	quoted, other := "skaroctl login '$(id)' --server 'ws://h/?a&b' --profile 'my work'", "skaroctl login '$(id)' --server ws://other/ --profile NAME"
	if runtime.GOOS == "windows" {
		quoted, other = `skaroctl login ... --server "ws://h/?a&b" --profile "my work"`, `skaroctl login ... --server ws://other/ --profile NAME`
	}
	for want, at := range map[string]Account{
		"skaroctl login": {profile: "default", saved: bob, login: bob.Login, endpoint: session.Endpoint{URL: bob.Server}},
		quoted: {
			profile: "my work", login: bob.Login, endpoint: session.Endpoint{URL: "ws://h/?a&b"},
		},
		other:                               {profile: "my work", saved: bob, login: bob.Login, endpoint: session.Endpoint{URL: "ws://other/"}},
		"skaroctl login LOGIN --server URL": {profile: "default"},
	} {
		if got := at.loginCommand(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The account that a command uses: a flag overrides a variable, which overrides the default
// profile. SKAROCTL_LOGIN belongs to a token in the environment and to login, and is ignored
// if a profile is named. Two variables that contradict each other are an error, so that no
// message is sent as the wrong account.
func TestWhichAccount(t *testing.T) {
	p := profiles{config: account.Config{Profiles: map[string]account.Profile{
		"default": {Server: "wss://a/", Login: "alice"}, "bob": {Server: "wss://b/", Login: "bob"},
	}}}
	none := profiles{config: account.Config{}}
	for _, c := range []struct {
		name string
		p    profiles
		args string // the flags
		env  string // SKAROCTL_ before each
		want string // login, server, where the credentials come from; or a part of the error
		auth string // what login does, if it is not the same account
	}{
		{"nothing", p, "", "", "alice wss://a/ store", ""},
		{"a profile", p, "-p bob", "", "bob wss://b/ store", ""},
		{"a profile in a variable", p, "", "PROFILE=bob", "bob wss://b/ store", ""},
		{"two profiles", p, "-p bob", "PROFILE=default", "bob wss://b/ store", ""},
		{"no such profile", p, "-p none", "", `there is no profile "none"`, ""},

		{"a login without a token", p, "", "LOGIN=bob", `SKAROCTL_LOGIN is bob, but there is no token in the environment, and the profile "default" belongs to alice`, "bob wss://a/"},
		{"the login of the default profile", p, "", "LOGIN=ALICE", "alice wss://a/ store", "ALICE wss://a/"},
		{"a login and no profile", none, "", "LOGIN=bob SERVER=wss://c/", `there is no profile "default"`, "bob wss://c/"},
		{"a profile and another login", p, "-p bob", "LOGIN=alice", "bob wss://b/ store", ""},
		{"a profile in a variable and another login", p, "", "PROFILE=bob LOGIN=alice", "bob wss://b/ store", ""},

		{"a token", p, "", "TOKEN=t", "alice wss://a/ token", ""},
		{"a token and its login", p, "", "TOKEN=t LOGIN=carol", "carol wss://a/ token", ""},
		{"a token, its login and server", p, "", "TOKEN=t LOGIN=carol SERVER=wss://c/", "carol wss://c/ token", ""},
		{"a token without profiles", none, "", "TOKEN=t LOGIN=carol SERVER=wss://c/", "carol wss://c/ token", ""},
		{"a token without its login", none, "", "TOKEN=t SERVER=wss://c/", "nothing says whose it is", ""},
		{"a token without its server", none, "", "TOKEN=t LOGIN=carol", "nothing says for which server", ""},
		{"a token and another profile", p, "-p bob", "TOKEN=t LOGIN=alice SERVER=wss://c/", "bob wss://b/ store", ""},
		{"a token and no such profile", p, "-p none", "TOKEN=t LOGIN=alice SERVER=wss://c/", `there is no profile "none"`, "alice wss://c/"},
		{"a token and a profile in a variable", p, "", "TOKEN=t PROFILE=bob", "bob wss://b/ token", ""},
		{"a token, its login, and the same profile", p, "", "TOKEN=t LOGIN=Bob PROFILE=bob", "bob wss://b/ token", ""},
		{"a token, its login, and another profile in a variable", p, "", "TOKEN=t LOGIN=alice PROFILE=bob", "SKAROCTL_TOKEN and SKAROCTL_LOGIN are for alice, but SKAROCTL_PROFILE names the profile \"bob\" of bob", "bob wss://b/"},

		{"a server", p, "-s wss://c/", "", "alice wss://c/ store", ""},
		{"a server in a variable", p, "", "SERVER=wss://c/", "alice wss://c/ store", ""},
		{"two servers", p, "-s wss://d/", "SERVER=wss://c/", "alice wss://d/ store", ""},
		{"a profile and a server in a variable", p, "-p bob", "SERVER=wss://c/", "bob wss://b/ store", ""},
		{"a profile and a server", p, "-p bob -s wss://d/", "SERVER=wss://c/", "bob wss://d/ store", ""},
		{"both in variables", p, "", "PROFILE=bob SERVER=wss://c/", "bob wss://c/ store", ""},
		{"a server in a variable for a new profile", p, "-p none", "SERVER=wss://c/", `there is no profile "none"`, " wss://c/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			variables := map[string]string{}
			for _, v := range strings.Fields(c.env) {
				name, value, _ := strings.Cut(v, "=")
				variables["SKAROCTL_"+name] = value
			}
			getenv := func(name string) string { return variables[name] }
			var flags commonFlags
			root := &cobra.Command{Use: "skaroctl"}
			flags.add(root, nil)
			if err := root.ParseFlags(strings.Fields(c.args)); err != nil {
				t.Fatal(err)
			}
			flags, err := flags.resolve(getenv)
			if err != nil {
				t.Fatal(err)
			}
			var env *account.Environment
			if getenv("SKAROCTL_TOKEN") != "" && !flags.profileGiven {
				env = &account.Environment{Source: "SKAROCTL_TOKEN"}
			}
			got := ""
			acct, err := resolveAccount(c.p, flags, getenv, nil, env)
			if err == nil {
				err = acct.needLogin()
			}
			if err != nil {
				got = err.Error()
				if hintOf(err) == "" {
					t.Error("the error has no hint")
				}
			} else {
				got = acct.login + " " + acct.endpoint.URL + " " + map[bool]string{true: "token", false: "store"}[acct.env != nil]
			}
			if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			auth, err := resolve(c.p, flags, getenv, nil)
			if c.auth == "" && acct.login != "" {
				c.auth = acct.login + " " + acct.endpoint.URL
			}
			if got := auth.login + " " + auth.endpoint.URL; err != nil || c.auth != "" && got != c.auth {
				t.Errorf("login: got %s, want %s; %v", got, c.auth, err)
			}
		})
	}
}

// What a profile permits applies to its own server only.
func TestResolveEndpoint(t *testing.T) {
	p := profiles{config: account.Config{DefaultProfile: "home", Profiles: map[string]account.Profile{
		"home": {Server: "wss://home/", Login: "alice", CAFile: "/home.pem"},
		"work": {Server: "ws://work/", Login: "bob", AllowPlaintext: true},
	}}}
	type want struct {
		profile, url, ca string
		plaintext        bool
	}
	for _, c := range []struct {
		name  string
		flags commonFlags
		want  want
	}{
		{name: "the default profile", want: want{"home", "wss://home/", "/home.pem", false}},
		{name: "another profile", flags: commonFlags{profile: "work"}, want: want{"work", "ws://work/", "", true}},
		{name: "no such profile", flags: commonFlags{profile: "none"}, want: want{profile: "none"}},
		{name: "another server", flags: commonFlags{server: "wss://other/"}, want: want{"home", "wss://other/", "", false}},
		{name: "another server in plain text", flags: commonFlags{server: "ws://other/", allowPlaintext: true}, want: want{"home", "ws://other/", "", true}},
		{name: "the same server", flags: commonFlags{profile: "work", server: "ws://work/"}, want: want{"work", "ws://work/", "", true}},
		{name: "certificates", flags: commonFlags{caFile: "/new.pem"}, want: want{"home", "wss://home/", "/new.pem", false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			acct, err := resolve(p, c.flags, func(string) string { return "" }, nil)
			got := want{acct.profile, acct.endpoint.URL, filepath.ToSlash(strings.TrimPrefix(acct.endpoint.CAFile, filepath.VolumeName(acct.endpoint.CAFile))), acct.endpoint.AllowPlaintext}
			if err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
			if acct.endpoint.Trace != nil || (acct.endpoint.ReadCA != nil) != (c.want.ca != "") {
				t.Errorf("a trace: %v, certificates: %v", acct.endpoint.Trace != nil, acct.endpoint.ReadCA != nil)
			}
		})
	}
}

// An error says which part of the login is missing.
func TestNeedLogin(t *testing.T) {
	full := account.Profile{Server: "ws://127.0.0.1/", Login: "alice"}
	env := &account.Environment{Source: "SKAROCTL_TOKEN"}
	at := session.Endpoint{URL: full.Server}
	for says, acct := range map[string]Account{
		"":                                       {saved: full, login: "alice", endpoint: at},
		"nothing says whose it is":               {env: env, endpoint: at},
		"nothing says for which server":          {env: env, login: "alice"},
		"lacks its login or its server":          {profile: "p", saved: account.Profile{Server: full.Server}, endpoint: at},
		`not logged in: there is no profile "p"`: {profile: "p"},
	} {
		err := acct.needLogin()
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || kindOf(err) != cli.KindAuth || hintOf(err) == "") {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// A skaroctl that --exec runs uses the same account.
func TestEnviron(t *testing.T) {
	acct := Account{profile: "p", saved: account.Profile{Server: "ws://a/"}, endpoint: session.Endpoint{URL: "ws://a/"}}
	withToken := acct
	withToken.env = &account.Environment{}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "skaroctl-token"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		acct Account
		env  map[string]string
		want []string
	}{
		{"a profile", acct, nil, []string{"SKAROCTL_SERVER=ws://a/", "SKAROCTL_PROFILE=p"}},
		{
			"a profile instead of a token", acct, map[string]string{"SKAROCTL_TOKEN_FILE": "t", "CREDENTIALS_DIRECTORY": folder},
			[]string{"SKAROCTL_SERVER=ws://a/", "SKAROCTL_TOKEN_FILE=", "CREDENTIALS_DIRECTORY=", "SKAROCTL_PROFILE=p"},
		},
		{"other credentials", acct, map[string]string{"CREDENTIALS_DIRECTORY": t.TempDir()}, []string{"SKAROCTL_SERVER=ws://a/", "SKAROCTL_PROFILE=p"}},
		{"a token", withToken, map[string]string{"SKAROCTL_TOKEN_FILE": "t"}, []string{"SKAROCTL_SERVER=ws://a/"}},
		{"a token and a profile", withToken, map[string]string{"SKAROCTL_PROFILE": "p"}, []string{"SKAROCTL_SERVER=ws://a/", "SKAROCTL_PROFILE=p"}},
	} {
		if got := c.acct.environ(func(name string) string { return c.env[name] }); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// If a store can't be read any more, the credentials from before are still good.
func TestCredentialSourceKeepsWhatItHad(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, homeWith(t, twoProfiles))
	acct, err := f.ResolveProfile()
	if err != nil {
		t.Fatal(err)
	}
	source := newCredentialSource(acct)
	if _, err := source.read(t.Context()); kindOf(err) != cli.KindAuth || !strings.Contains(err.Error(), "the file store has no credentials for alice") {
		t.Errorf("an empty store: %v", err)
	}
	storeToken(t, f, acct.key(), "pw")
	first, err := source.read(t.Context())
	if err != nil || first.Login != "alice" || first.Token.IsZero() || first.SID != "" {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := os.WriteFile(acct.files.Credentials, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := source.read(t.Context()); err != nil || again != first {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := newCredentialSource(acct).read(t.Context()); err == nil {
		t.Error("a damaged store is read")
	}
}

// A SID that no server gives was stored by an earlier version: it is not sent.
func TestCredentialSourceRefusesSIDThatIsTooLong(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, homeWith(t, twoProfiles))
	acct, err := f.ResolveProfile()
	if err != nil {
		t.Fatal(err)
	}
	store, err := acct.store()
	if err != nil {
		t.Fatal(err)
	}
	for n, ok := range map[int]bool{proto.MaxSID: true, proto.MaxSID + 1: false} {
		if err := store.Set(t.Context(), acct.key(), account.Credentials{SID: strings.Repeat("S", n), SIDUsed: time.Now()}); err != nil {
			t.Fatal(err)
		}
		c, err := newCredentialSource(acct).read(t.Context())
		if ok != (err == nil && len(c.SID) == n) || !ok && (kindOf(err) != cli.KindAuth || !strings.Contains(err.Error(), "it has 4097 bytes")) {
			t.Errorf("a SID of %d bytes: %d, %v", n, len(c.SID), err)
		}
	}
}
