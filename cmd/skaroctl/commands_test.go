package main

import (
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/account"
)

// Every one-shot command works with a server, from the login to the logout.
func TestCommandsWithAServer(t *testing.T) {
	url := newTestServer(t, "alice", "bob")
	alice := newTestUser(t, url, "alice")
	for _, c := range []struct {
		stdin  string
		args   []string
		status int
		out    string // a part of standard output
		errs   string // a part of standard error
	}{
		{args: []string{"status"}, out: `"store":"file","credentials":"token"`},
		{args: []string{"status", "-o", "text"}, out: "alice"},
		{args: []string{"register-type"}, out: `{"type":"register_type","register_type":"open"}`},
		{args: []string{"contacts"}},
		{args: []string{"contacts", "search", "bo"}, out: `"login":"bob"`},
		{args: []string{"contacts", "add", "bob"}, out: `{"type":"contact","login":"bob"`},
		{args: []string{"contacts", "add", "nobody"}, status: 5, errs: "skaroctl: contacts add: nobody: ws://"},
		{args: []string{"contacts"}, out: `"login":"bob"`},
		{args: []string{"contacts", "remove", "bob"}, errs: "skaroctl: bob is no longer a contact\n"},
		{args: []string{"send", "bob", "hello"}, out: `{"type":"sent","id":1,`},
		{args: []string{"send", "bob", "--lines"}, stdin: "one\ntwo\n", out: `{"type":"sent","id":3,`},
		{args: []string{"history", "bob", "--limit", "1"}, out: `"own":true,"body":"two"}`},
		{args: []string{"history", "bob", "--since", "99"}, errs: "there is no message with the id 99"},
		{args: []string{"history", "nobody"}, status: 5, errs: "skaroctl: history: with nobody: ws://"},
		{args: []string{"listen", "--since", "all", "--count", "3", "--own"}, out: `"body":"hello"`},
		{args: []string{"request", "get_user_data", "-f", "login=bob"}, out: `"login":"bob"`},
		{args: []string{"request", "register_type", "--no-auth"}, out: `"register_type":"open"`},
		{args: []string{"request", "nonsense"}, status: 5, out: `"status":"501`, errs: "/skaro_client/ answered 501"},
		{args: []string{"login", "bob", "--password-stdin", "--print-token"}, stdin: "pw", out: "skaro-token-1:"},
		{args: []string{"login", "bob", "--password-stdin", "-p", "bob", "--server", url, "--store", "file"}, stdin: "wrong", status: 3, errs: "hint: check the login and the password"},
		{args: []string{"login", "bob", "--password-stdin", "-p", "bob", "--server", url, "--store", "file", "--session-only"}, stdin: "pw", out: `"credentials":"SID"`},
		{args: []string{"status", "-p", "bob", "-v"}, out: `"credentials":"SID"`, errs: "session_restore"},
		{args: []string{"login", "bob", "--password-stdin", "--replace"}, stdin: "pw", out: `"login":"bob"`, errs: `the profile "default" belonged to alice`},
		{args: []string{"register", "alice", "--password-stdin", "-p", "new", "--server", url, "--store", "file"}, stdin: "pw", status: 5, errs: "hint: choose another login"},
		{args: []string{"register", "carol", "--password-stdin", "-p", "new", "--server", url, "--store", "file"}, stdin: "pw", out: `"login":"carol"`},
		{args: []string{"logout", "--all"}, errs: `forgot the profile "new"`},
		{args: []string{"status"}, status: 3, errs: `not logged in: there is no profile "default"`},
	} {
		out, errs := alice.run(c.stdin, c.status, c.args...)
		if !strings.Contains(out, c.out) || c.out == "" && out != "" {
			t.Errorf("%q prints %q, without %q", c.args, out, c.out)
		}
		if !strings.Contains(errs, c.errs) {
			t.Errorf("%q: standard error is %q, without %q", c.args, errs, c.errs)
		}
	}
}

// A command with a token stores nothing.
func TestCommandsLeaveTheTokenAlone(t *testing.T) {
	alice := newTestUser(t, newTestServer(t, "alice"), "alice")
	f := newFactoryOf(alice)
	p, err := f.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	store, err := account.OpenStore("file", p.files)
	if err != nil {
		t.Fatal(err)
	}
	saved := p.config.Profiles["default"]
	key := account.Key{Server: saved.Server, Login: saved.Login}
	alice.run("", 0, "status")
	alice.run("", 0, "send", "alice", "hello")
	if c, err := store.Get(t.Context(), key); err != nil || c.Token.IsZero() || c.SID != "" {
		t.Errorf("the token is there: %v, the SID is %q, %v", !c.Token.IsZero(), c.SID, err)
	}
}

// The hint for a refused login names the credentials that were refused.
func TestRefusedLoginHint(t *testing.T) {
	url := newTestServer(t, "alice")
	alice := newTestUser(t, url, "alice")
	for _, args := range [][]string{{"status"}, {"send", "alice", "x"}, {"listen"}} {
		alice.variables["SKAROCTL_TOKEN"], alice.variables["SKAROCTL_SERVER"], alice.variables["SKAROCTL_LOGIN"] = newToken("old").Text(), url, "alice"
		if _, errs := alice.run("", 3, args...); !strings.Contains(errs, ": the one from SKAROCTL_TOKEN is for another login or an older password") {
			t.Errorf("%q: %s", args, errs)
		}
		clear(alice.variables)
		for name, value := range homeWith(t, "[profiles.work]\nserver = \""+url+"\"\nlogin = \"alice\"\nstore = \"file\"\n") {
			alice.variables[name] = value
		}
		storeToken(t, newFactoryOf(alice), account.Key{Server: url, Login: "alice"}, "old")
		if _, errs := alice.run("", 3, append(args, "-p", "work")...); !strings.Contains(errs, "hint: log in again with `skaroctl login --profile work`") {
			t.Errorf("%q: %s", args, errs)
		}
	}
}
