package server

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestRefusedLoginsLookAlike(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	c := w.dial()
	var refusals []string
	for _, r := range []proto.Reply{
		c.authorize("alice", "wrong"), c.authorize("nobody", "wrong"), c.authorize("a b", "wrong"), c.authorize("", ""),
		c.request(proto.TypeAuthorize, nil), c.request(proto.TypeAuthorize, map[string]any{"login": "alice", "password": 5}),
	} {
		refusals = append(refusals, r.Status+r.Info)
	}
	for _, r := range refusals {
		if r != refusals[0] || !strings.HasPrefix(r, proto.StatusUnauthorized) {
			t.Errorf("the refusals differ: %q", refusals)
		}
	}
	r := c.authorize("ALICE", "secret of alice") // the same connection, the same challenge
	user, _ := r.Fields.Map("user")
	if !r.OK() || user.Text("login") != "alice" || len(r.Fields.Text("session_id")) != 43 {
		t.Errorf("%s", r.Fields.Describe())
	}
	if r := c.request(proto.TypeGetContacts, nil); !r.OK() {
		t.Errorf("contacts: %s", r.Status)
	}
}

func TestRequestsNeedALogin(t *testing.T) {
	w := newTestServer(t, nil)
	c := w.dial()
	for name, want := range map[string]string{
		proto.TypeGetContacts: "401", proto.TypeGetHistory: "401", proto.TypeSendMessage: "401", proto.TypeGetUpdates: "401",
		proto.TypeAddContact: "401", proto.TypeDelContact: "401", proto.TypeSearchContacts: "401", proto.TypeGetUserData: "401",
		"update_my_data": "501", strings.Repeat("x", 1000): "501",
	} {
		if r := c.request(name, nil); code(r) != want || r.For != name || r.Info == "" {
			t.Errorf("%.20q: %s", name, r.Fields.Describe())
		}
	}
}

func TestHistoryAndUpdatesComeInPages(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob", "carol")
	alice, bob := w.login("alice"), w.login("bob")
	for i := range 5 {
		alice.send("bob", fmt.Sprint("a", i))
		bob.send("alice", fmt.Sprint("b", i))
	}
	alice.send("carol", "c")
	list := func(r proto.Reply, field string) string {
		t.Helper()
		if !r.OK() {
			return r.Status
		}
		messages, err := proto.ParseMessages(r.Fields, field)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, m := range messages {
			b.WriteString(m.Body + " ")
		}
		if more, _ := r.Fields.Bool("more"); more {
			b.WriteString("more ")
		}
		if last, ok := r.Fields.Int("last_id"); ok {
			fmt.Fprint(&b, last)
		}
		return b.String()
	}
	for _, test := range []struct {
		fields map[string]any
		want   string
	}{
		{map[string]any{"login": "bob"}, "a0 b0 a1 b1 a2 b2 a3 b3 a4 b4 "},
		{map[string]any{"login": "Bob", "limit": 3}, "b3 a4 b4 more "},
		{map[string]any{"login": "bob", "limit": 2, "before": 9}, "a3 b3 more "},
		{map[string]any{"login": "bob", "after": 8}, "a4 b4 "},
		{map[string]any{"login": "carol"}, "c "},
		{map[string]any{"login": "alice"}, ""},
		{map[string]any{"login": "nobody"}, proto.StatusNotFound},
		{map[string]any{"login": 5}, proto.StatusBadRequest},
		{map[string]any{}, proto.StatusBadRequest},
		{map[string]any{"login": "bob", "limit": 0}, proto.StatusBadRequest},
		{map[string]any{"login": "bob", "limit": "5"}, proto.StatusBadRequest},
		{map[string]any{"login": "bob", "after": -1}, proto.StatusBadRequest},
		{map[string]any{"login": "bob", "before": 1.5}, proto.StatusBadRequest},
	} {
		if got := list(alice.request(proto.TypeGetHistory, test.fields), "history"); got != test.want {
			t.Errorf("history %v: %q", test.fields, got)
		}
	}
	for _, test := range []struct {
		fields map[string]any
		want   string
	}{
		{map[string]any{}, "11"},
		{map[string]any{"after": 0}, "a0 b0 a1 b1 a2 b2 a3 b3 a4 b4 11"},
		{map[string]any{"after": 8}, "a4 b4 11"},
		{map[string]any{"after": 2, "limit": 2}, "a1 b1 more 4"},
		{map[string]any{"after": 11}, "11"},
		{map[string]any{"after": 12, "limit": 1}, "11"}, // so that a listener that has seen 12 notices
		{map[string]any{"after": 1, "limit": -1}, proto.StatusBadRequest},
		{map[string]any{"after": "x"}, proto.StatusBadRequest},
	} {
		if got := list(bob.request(proto.TypeGetUpdates, test.fields), "messages"); got != test.want {
			t.Errorf("updates %v: %q", test.fields, got)
		}
	}
}

// A page has at most 1,000 messages, however many are asked for.
func TestPageHasAtMostAThousandMessages(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	if _, err := w.exec("INSERT INTO messages (date, sender, recipient, body) SELECT 1, 1, 1, 'x' FROM json_each('[' || substr(replace(hex(zeroblob(1001)), '00', ',1'), 2) || ']')"); err != nil {
		t.Fatal(err)
	}
	c := w.login("alice")
	c.send("alice", "the newest") // it makes the server know that it has 1,002
	for name, field := range map[string]string{proto.TypeGetHistory: "history", proto.TypeGetUpdates: "messages"} {
		for _, limit := range []int64{1000, 1001, 5000, math.MaxInt64} {
			r := c.request(name, map[string]any{"login": "alice", "after": 0, "limit": limit})
			list, err := proto.ParseMessages(r.Fields, field)
			if more, _ := r.Fields.Bool("more"); err != nil || len(list) != 1000 || !more {
				t.Errorf("%s of %d: %d messages, more %v, %v", name, limit, len(list), more, err)
			}
		}
	}
}

// A page without a limit is no larger than a common WebSocket library reads.
func TestPageWithoutLimitFitsOneMiB(t *testing.T) {
	long := strings.Repeat("\U00020000", 64) // a login and a name of 256 bytes
	w := newTestServer(t, nil, "alice", long)
	w.conference(long[4:]+"\U00020001", long)
	names := w.login(long)
	for range 1000 {
		names.send(long[4:]+"\U00020001", strings.Repeat("x", 700))
	}
	names.ask(proto.TypeGetHistory, map[string]any{"login": long[4:] + "\U00020001"})
	if _, b, err := names.ws.Read(context.Background()); err != nil || len(b) > 1<<20 || len(b) < 800<<10 {
		t.Errorf("with long names: %d bytes, %v", len(b), err)
	}
	c := w.login("alice")
	body := strings.Repeat("x", 200<<10)
	for range 6 {
		c.send("alice", body)
	}
	for _, name := range []string{proto.TypeGetHistory, proto.TypeGetUpdates} {
		c.ask(name, map[string]any{"login": "alice", "after": 0})
		_, b, err := c.ws.Read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		f, err := proto.Decode(b)
		if more, _ := f.Bool("more"); err != nil || !more || len(b) > 1<<20 || len(b) < 800<<10 {
			t.Errorf("%s: %d bytes, more %v, %v", name, len(b), more, err)
		}
	}
	r := c.request(proto.TypeGetHistory, map[string]any{"login": "alice", "limit": 6})
	if more, _ := r.Fields.Bool("more"); more {
		t.Error("with a limit something was left out")
	}
}

// A request may be sent together with the login: it finds the login done.
func TestRequestsSentWithTheLoginFindItDone(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	c := w.dial()
	a := c.ask(proto.TypeSessionRestore, map[string]any{"sid": "old"})
	b := c.ask(proto.TypeAuthorize, map[string]any{"login": "alice", "password": newToken("secret of alice").Answer(c.greeting.Challenge)})
	d := c.ask(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "x"})
	e := c.ask(proto.TypeGetHistory, map[string]any{"login": "bob"})
	if r := c.reply(a); code(r) != "410" {
		t.Error(r.Status)
	}
	if r := c.reply(b); !r.OK() {
		t.Error(r.Status)
	}
	if r := c.reply(d); !r.OK() {
		t.Error(r.Status)
	}
	if messages, err := proto.ParseMessages(c.reply(e).Fields, "history"); err != nil || len(messages) != 1 {
		t.Errorf("the history does not have what was sent before it: %v, %v", messages, err)
	}
}
