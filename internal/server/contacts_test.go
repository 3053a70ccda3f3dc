package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestContactsShowPresence(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob", "carol", "dave")
	alice, bob := w.login("alice"), w.login("bob")
	carol := w.login("carol")
	alice.send("carol", "x")
	bob.send("alice", "x")
	carol.ws.CloseNow()
	w.left(2)
	r := alice.request(proto.TypeGetContacts, nil)
	contacts, err := proto.ParseContacts(r.Fields)
	if err != nil || len(contacts) != 2 || contacts[0].Login != "bob" || !*contacts[0].Online || contacts[1].Login != "carol" || *contacts[1].Online {
		t.Errorf("%s, %v", r.Fields.Describe(), err)
	}
}

func TestContactRequestsChangeContacts(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob", "carol")
	alice, _ := w.login("alice"), w.login("bob")
	for _, c := range []struct {
		request string
		fields  map[string]any
		status  string
	}{
		{proto.TypeAddContact, map[string]any{"login": "Bob"}, "200"},
		{proto.TypeAddContact, map[string]any{"login": "bob"}, "200"},
		{proto.TypeAddContact, map[string]any{"login": "alice"}, "400"},
		{proto.TypeAddContact, map[string]any{"login": "nobody"}, "404"},
		{proto.TypeAddContact, map[string]any{"login": "\n"}, "404"},
		{proto.TypeAddContact, map[string]any{"login": 5}, "400"},
		{proto.TypeAddContact, nil, "400"},
		{proto.TypeDelContact, map[string]any{"login": "carol"}, "404"},
		{proto.TypeDelContact, nil, "400"},
		{proto.TypeSearchContacts, map[string]any{"text": ""}, "400"},
		{proto.TypeSearchContacts, map[string]any{"text": true}, "400"},
		{proto.TypeGetUserData, map[string]any{"login": "nobody"}, "404"},
		{proto.TypeGetUserData, map[string]any{"login": "alice", "add_contact": true}, "400"},
		{proto.TypeGetUserData, map[string]any{"login": "alice"}, "200"},
		{proto.TypeGetUserData, map[string]any{"login": "carol", "add_contact": true, "load_if_empty": true}, "200"},
	} {
		if r := alice.request(c.request, c.fields); code(r) != c.status {
			t.Errorf("%s %v: %s", c.request, c.fields, r.Fields.Describe())
		}
	}
	contacts := func(typ string, fields map[string]any) string {
		t.Helper()
		list, err := proto.ParseContacts(alice.request(typ, fields).Fields)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, c := range list {
			fmt.Fprintf(&text, "%s %v;", c.Login, *c.Online)
		}
		return text.String()
	}
	if got := contacts(proto.TypeGetContacts, nil); got != "bob true;carol false;" {
		t.Error(got)
	}
	if r := alice.request(proto.TypeDelContact, map[string]any{"login": "bob"}); !r.OK() {
		t.Error(r.Status)
	}
	if got := contacts(proto.TypeGetContacts, nil); got != "carol false;" {
		t.Error(got)
	}
	if got := contacts(proto.TypeSearchContacts, map[string]any{"text": "B"}); got != "bob true;" {
		t.Error(got)
	}
	user, _ := alice.request(proto.TypeGetUserData, map[string]any{"login": "bob"}).Fields.Map("user")
	if online, _ := user.Bool("online"); !online || user.Text("login") != "bob" || !user.Date("created").Time.Equal(w.clock.Now()) {
		t.Error(user.Describe())
	}
}
