package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// Completion uses cached contacts for five minutes, and asks the server after that.
func TestCompletionCachesContacts(t *testing.T) {
	url := newTestServer(t, "alice", "bob", "carol")
	alice := newTestUser(t, url, "alice")
	alice.run("", 0, "contacts", "add", "bob")
	complete := func(args ...string) string {
		t.Helper()
		out, _ := alice.run("", 0, append([]string{"__complete"}, args...)...)
		return out
	}
	if out := complete("send", ""); !strings.HasPrefix(out, "bob\n:") {
		t.Errorf("the contacts of the server: %q", out)
	}
	newTestUser(t, url, "carol").run("", 0, "send", "alice", "hello")
	if out := complete("send", ""); !strings.HasPrefix(out, "bob\n:") {
		t.Errorf("the cached contacts: %q", out)
	}
	alice.run("", 0, "contacts")
	for _, c := range []struct{ args, want string }{
		{"send ", "bob\ncarol\n"}, {"send c", "carol\n"}, {"send bob,", "bob,carol\n"}, {"send bob x", ""},
		{"history b", "bob\n"}, {"contacts remove b", "bob\n"}, {"listen --from ", "bob\ncarol\n"}, {"listen --conference ", ""},
		{"request get_u", "get_user_data\nget_updates\n"}, {"status --profile ", "default\n"}, {"login --store ", "keyring\nfile\n"},
	} {
		if out := complete(strings.Split(c.args, " ")...); !strings.HasPrefix(out, c.want+":") {
			t.Errorf("%q: %q, want %q", c.args, out, c.want)
		}
	}
}

// What is kept for completion is bounded, whatever contacts a server has.
func TestCompletionCacheIsBounded(t *testing.T) {
	long := proto.Contact{Login: strings.Repeat("x", proto.MaxLogin+1)}
	if kept := toCache([]proto.Contact{{Login: "a"}, long, {Login: "b"}}); len(kept) != 2 || kept[1].Login != "b" {
		t.Errorf("beside a login that is too long: %v", kept)
	}
	contacts := make([]proto.Contact, 1_000_000)
	for i := range contacts {
		contacts[i].Login = fmt.Sprint(i)
	}
	kept := toCache(contacts)
	if encoded, err := json.Marshal(kept); err != nil || len(encoded) > 2*completionBytes || len(kept) < 1000 {
		t.Errorf("%d of 1,000,000 contacts in %d bytes, %v", len(kept), len(encoded), err)
	}
}

// Completion waits for a silent server for its own time, and then has the cached contacts.
func TestCompletionDoesNotWaitForASilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the system takes connections, and nothing answers them
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	url := "ws://" + l.Addr().String() + "/skaro_client/"
	u := &testUser{t: t, login: "alice", variables: homeWith(t, "[profiles.default]\nserver = \""+url+"\"\nlogin = \"alice\"\nstore = \"file\"\n")}
	f := newFactoryOf(u)
	key := account.Key{Server: url, Login: "alice"}
	storeToken(t, f, key, "pw")
	p, err := f.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.files.CacheContacts(key, []account.Contact{{Login: "carol"}}); err != nil {
		t.Fatal(err)
	}
	cached, err := filepath.Glob(filepath.Join(u.variables["XDG_CACHE_HOME"], "skaroctl", "contacts", "*.json"))
	if err != nil || len(cached) != 1 {
		t.Fatalf("the cache is %q, %v", cached, err)
	}
	old := time.Now().Add(-contactsFresh - time.Minute)
	if err := os.Chtimes(cached[0], old, old); err != nil {
		t.Fatal(err)
	}
	defer func(wait string) { contactsWait = wait }(contactsWait)
	contactsWait = "50ms"
	if out, _ := u.run("", 0, "__complete", "send", "c"); out != "carol\n:4\n" {
		t.Errorf("%q", out)
	}
}

// Completion for a profile with the store "keyring" asks neither keyring nor server.
func TestCompletionNeverAsksTheKeyring(t *testing.T) {
	u := &testUser{t: t, login: "alice", variables: homeWith(t, "[profiles.default]\nserver = \"ws://127.0.0.1:1/\"\nlogin = \"alice\"\nstore = \"keyring\"\n")}
	start := time.Now()
	if out, _ := u.run("", 0, "__complete", "send", ""); out != ":4\n" {
		t.Errorf("%q after %v", out, time.Since(start))
	}
}
