package server

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// A message in a conference is pushed once to every connection of every member, except the one
// that sent it, and to no other user.
func TestConferenceMessageReachesEveryMember(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob", "carol", "dave")
	admin := w.conference("ops", "alice", "bob", "carol")
	alice, alice2, bob, bob2, dave := w.login("alice"), w.login("alice"), w.login("bob"), w.login("bob"), w.login("dave")
	r := alice.request(proto.TypeSendMessage, map[string]any{"to": "OPS", "body": "hé\x00\n", "nonce": "0123456789abcdef"})
	id, _ := r.Fields.Int("message_id")
	if !r.OK() || !r.Fields.Date("date").Time.Equal(w.clock.Now()) {
		t.Fatalf("%s", r.Fields.Describe())
	}
	for _, c := range []*client{alice2, bob, bob2} {
		m := c.message()
		if m.ID != id || m.From != "alice" || m.Conference != "ops" || m.To != "ops" || m.Body != "hé\x00\n" || m.Extra != nil || !m.Date.Time.Equal(w.clock.Now()) {
			t.Errorf("%+v", m)
		}
	}
	again := alice.request(proto.TypeSendMessage, map[string]any{"to": "ops", "body": "hé\x00\n", "nonce": "0123456789abcdef"})
	if repeated, _ := again.Fields.Int("message_id"); repeated != id {
		t.Errorf("the same nonce: %s", again.Fields.Describe())
	}
	if m := alice.request(proto.TypeGetContacts, nil); strings.Contains(m.Fields.Describe(), "bob") {
		t.Errorf("a conference makes contacts: %s", m.Fields.Describe())
	}
	// A change by another process counts from the next message on.
	if _, err := admin.AddMembers("ops", []string{"dave"}); err != nil {
		t.Fatal(err)
	}
	if err := admin.RemoveMembers("ops", []string{"bob"}); err != nil {
		t.Fatal(err)
	}
	id = alice.send("ops", "second")
	for _, c := range []*client{alice2, dave} {
		if m := c.message(); m.ID != id || m.Body != "second" {
			t.Errorf("%+v", m)
		}
	}
	for _, c := range []*client{alice, alice2, bob, bob2, dave} {
		c.quiet()
	}
}

// Members can read and write in a conference, others can't, and requests about users refuse it.
func TestConferenceRequestsNeedMembership(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.Registration = RegistrationOpen }, "alice", "bob", "carol")
	admin := w.conference("ops", "alice", "bob")
	alice, bob, carol := w.login("alice"), w.login("bob"), w.login("carol")
	alice.send("ops", "1")
	alice.send("bob", "2")
	bob.send("ops", "3")
	bodies := func(r proto.Reply, field string) string {
		t.Helper()
		if !r.OK() {
			return r.Status
		}
		list, err := proto.ParseMessages(r.Fields, field)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, m := range list {
			fmt.Fprintf(&text, "%s>%s[%s]:%s ", m.From, m.To, m.Conference, m.Body)
		}
		if more, _ := r.Fields.Bool("more"); more {
			text.WriteString("more")
		}
		return text.String()
	}
	const said = "alice>ops[ops]:1 bob>ops[ops]:3 "
	for _, c := range []struct {
		client *client
		typ    string
		fields map[string]any
		want   string
	}{
		{alice, proto.TypeGetHistory, map[string]any{"login": "Ops"}, said},
		{bob, proto.TypeGetHistory, map[string]any{"login": "ops", "limit": 1}, "bob>ops[ops]:3 more"},
		{bob, proto.TypeGetHistory, map[string]any{"login": "ops", "limit": 1, "before": 3}, "alice>ops[ops]:1 "},
		{bob, proto.TypeGetHistory, map[string]any{"login": "ops", "after": 1}, "bob>ops[ops]:3 "},
		{carol, proto.TypeGetHistory, map[string]any{"login": "ops"}, proto.StatusForbidden},
		{bob, proto.TypeGetHistory, map[string]any{"login": "alice"}, "alice>bob[]:2 "},
		{bob, proto.TypeGetUpdates, map[string]any{"after": 0}, "alice>ops[ops]:1 alice>bob[]:2 bob>ops[ops]:3 "},
		{bob, proto.TypeGetUpdates, map[string]any{"after": 1, "limit": 1}, "alice>bob[]:2 more"},
		{carol, proto.TypeGetUpdates, map[string]any{"after": 0}, ""},
	} {
		field := map[string]string{proto.TypeGetHistory: "history", proto.TypeGetUpdates: "messages"}[c.typ]
		if got := bodies(c.client.request(c.typ, c.fields), field); got != c.want {
			t.Errorf("%s %v: %s", c.typ, c.fields, got)
		}
	}
	for _, c := range []struct {
		client *client
		typ    string
		fields map[string]any
		status string
		info   string
	}{
		{carol, proto.TypeSendMessage, map[string]any{"to": "ops", "body": "x"}, "403", `you are not in the conference "ops": the administrator of the server can add you`},
		{carol, proto.TypeGetHistory, map[string]any{"login": "ops"}, "403", "you are not in the conference"},
		{carol, proto.TypeGetUserData, map[string]any{"login": "ops"}, "403", "you are not in the conference"},
		{carol, proto.TypeAddContact, map[string]any{"login": "ops"}, "403", "you are not in the conference"},
		{alice, proto.TypeAddContact, map[string]any{"login": "ops"}, "403", `"ops" is a conference: only the administrator of the server changes its members`},
		{alice, proto.TypeDelContact, map[string]any{"login": "ops"}, "403", "is a conference"},
		{alice, proto.TypeGetUserData, map[string]any{"login": "ops", "add_contact": true}, "403", "is a conference"},
		{alice, proto.TypeSendMessage, map[string]any{"to": "ops", "body": strings.Repeat("x", w.options.MaxBody+1)}, "413", ""},
		{alice, proto.TypeSendMessage, map[string]any{"to": "ops", "body": ""}, "400", ""},
		{w.dial(), proto.TypeRegister, form("Ops", "x", ""), "409", "the login is taken"},
		{w.dial(), proto.TypeAuthorize, map[string]any{"login": "ops", "password": newToken("").Answer("")}, "401", "wrong login or password"},
	} {
		if r := c.client.request(c.typ, c.fields); code(r) != c.status || !strings.Contains(r.Info, c.info) {
			t.Errorf("%s %.60v: %s", c.typ, c.fields, r.Fields.Describe())
		}
	}
	if list, _, err := w.store.Updates(t.Context(), 1, store.Page{Limit: 10, Bytes: 1 << 20}); err != nil || len(list) != 3 {
		t.Errorf("%d messages, %v", len(list), err)
	}

	user, _ := alice.request(proto.TypeGetUserData, map[string]any{"login": "OPS"}).Fields.Map("user")
	if is, _ := user.Bool("conference"); !is || user.Text("login") != "ops" || !user.Date("created").Time.Equal(w.clock.Now()) || user.Len() != 3 {
		t.Errorf("%s", user.Describe())
	}
	contacts, err := proto.ParseContacts(alice.request(proto.TypeGetContacts, nil).Fields)
	if err != nil || len(contacts) != 2 || contacts[0].Login != "bob" || contacts[0].Extra != nil ||
		contacts[1].Login != "ops" || contacts[1].Online != nil || fmt.Sprint(contacts[1].Extra.Values()) != "map[conference:true]" {
		t.Errorf("contacts %+v, %v", contacts, err)
	}
	if found, err := proto.ParseContacts(alice.request(proto.TypeSearchContacts, map[string]any{"text": "o"}).Fields); err != nil || len(found) != 2 {
		t.Errorf("a search finds %+v, %v", found, err)
	}

	// A deleted conference does not exist any more.
	if err := admin.DeleteConference("ops", w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	for typ, fields := range map[string]map[string]any{
		proto.TypeSendMessage: {"to": "ops", "body": "x"}, proto.TypeGetHistory: {"login": "ops"}, proto.TypeGetUserData: {"login": "ops"},
	} {
		if r := alice.request(typ, fields); code(r) != "404" {
			t.Errorf("%s after the end: %s", typ, r.Status)
		}
	}
	if got := bodies(bob.request(proto.TypeGetUpdates, map[string]any{"after": 2}), "messages"); got != "bob>ops[ops]:3 " {
		t.Errorf("updates after the end: %s", got)
	}
	carol.quiet()
}

// record is what a user received from a conference; the last message is "end".
type record struct {
	w     *testServer
	login string
	ids   []int64
	ended bool
}

func (h *record) take(m proto.Message) {
	if n := len(h.ids); n > 0 && m.ID <= h.ids[n-1] {
		h.w.t.Errorf("%s: %d comes after %d", h.login, m.ID, h.ids[n-1])
	}
	h.ids = append(h.ids, m.ID)
	h.ended = m.Body == "end"
}

// stay listens on one connection until the end.
func (h *record) stay(c *client) {
	for !h.ended {
		f, err := c.tryRead()
		if err != nil {
			h.w.t.Error(err)
			return
		}
		h.take(proto.ParseMessage(f))
	}
}

// comeAndGo catches up on one connection after the other until the end.
func (h *record) comeAndGo() {
	for position := int64(0); !h.ended; {
		c := h.w.login(h.login)
		for more := true; more; {
			r := c.request(proto.TypeGetUpdates, map[string]any{"after": position, "limit": 50})
			messages, err := proto.ParseMessages(r.Fields, "messages")
			if err != nil {
				h.w.t.Error(err)
				return
			}
			for _, m := range messages {
				h.take(m)
			}
			position, _ = r.Fields.Int("last_id")
			more, _ = r.Fields.Bool("more")
		}
		for _, f := range c.pushes { // those that came before the last reply are in it
			if m := proto.ParseMessage(f); m.ID > position {
				h.take(m)
				position = m.ID
			}
		}
		c.ws.CloseNow()
	}
}

// Many clients send to a conference while another process adds and removes dave. A member gets
// every message once and in order, on one connection or on many. dave gets none twice, none out
// of order, and every message that was sent while he was a member.
func TestConferenceListenersMissNothing(t *testing.T) {
	const rounds = 20
	w := newTestServer(t, nil, "alice", "bob", "carol", "dave")
	admin := w.conference("ops", "alice", "bob", "carol")

	var listeners, senders sync.WaitGroup
	bob, bobAgain, dave, daveAgain := &record{w: w, login: "bob"}, &record{w: w, login: "bob"}, &record{w: w, login: "dave"}, &record{w: w, login: "dave"}
	for _, h := range []*record{bob, dave} {
		c := w.login(h.login)
		listeners.Go(func() { h.stay(c) })
	}
	listeners.Go(bobAgain.comeAndGo)
	listeners.Go(daveAgain.comeAndGo)
	changed := make(chan struct{})
	for range 3 {
		c := w.login("alice")
		senders.Go(func() {
			for open := true; open; {
				c.flood("ops", 20)
				select {
				case <-changed:
					open = false
				default:
				}
			}
		})
	}

	say := func(bodies ...string) (ids []int64) {
		c := w.login("carol")
		defer c.ws.CloseNow() // she reads nothing of what the others send meanwhile
		for _, body := range bodies {
			ids = append(ids, c.send("ops", body))
		}
		return ids
	}
	add := func(name string, logins []string) error {
		_, err := admin.AddMembers(name, logins)
		return err
	}
	change := func(how func(string, []string) error) {
		t.Helper()
		if err := how("ops", []string{"dave"}); err != nil {
			t.Error(err)
		}
	}
	var in [][]int64 // the first and the last of what was sent while dave was in
	var out []int64  // something of what was sent while he was not
	for range rounds {
		change(add)
		in = append(in, say("in", "still in"))
		change(admin.RemoveMembers)
		out = append(out, say("out")...)
	}
	close(changed)
	senders.Wait()
	change(add)
	last := say("end")[0]
	listeners.Wait()

	for _, h := range []*record{bob, bobAgain} {
		if len(h.ids) != int(last) {
			t.Errorf("bob has %d of %d messages", len(h.ids), last)
		}
	}
	had := map[int64]bool{}
	for _, id := range dave.ids {
		had[id] = true
	}
	for _, span := range in {
		for id := span[0]; id <= span[1]; id++ {
			if !had[id] {
				t.Errorf("dave has not %d, of %v", id, span)
			}
		}
	}
	for _, id := range out {
		if had[id] {
			t.Errorf("dave has %d, which was sent while he was out", id)
		}
	}
}

// A member sees who else is in the conference; nobody else does.
func TestMembersSeeTheMembers(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob", "carol")
	w.conference("ops", "bob", "alice")
	alice, carol := w.login("alice"), w.login("carol")
	r := alice.request(proto.TypeGetMembers, map[string]any{"login": "OPS"})
	members := r.Fields.Value("members")
	want := []any{map[string]any{"login": "alice", "online": true}, map[string]any{"login": "bob", "online": false}}
	if !r.OK() || !reflect.DeepEqual(members, want) {
		t.Errorf("%s: %v", r.Status, members)
	}
	for name, x := range map[string]struct {
		c      *client
		login  any
		status string
	}{
		"not a member": {carol, "ops", "403"}, "not a conference": {alice, "bob", "404"}, "nothing": {alice, "dev", "404"}, "no name": {alice, 5, "400"},
		"no login": {w.dial(), "ops", "401"},
	} {
		if r := x.c.request(proto.TypeGetMembers, map[string]any{"login": x.login}); code(r) != x.status || r.Fields.Has("members") {
			t.Errorf("%s: %s", name, r.Fields.Describe())
		}
	}
}

// A disabled account is logged out at once, can't log in, and shows later what came meanwhile.
func TestDisabledAccountCantLogIn(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	other := w.conference("ops")
	alice, bob := w.dial(), w.login("bob")
	sid := alice.authorize("alice", "secret of alice").Fields.Text("session_id")
	if err := other.Disable("alice", w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	alice.closed(websocket.StatusPolicyViolation)
	bob.send("alice", "hi")
	c := w.dial()
	if r := c.authorize("alice", "secret of alice"); code(r) != "403" || !strings.Contains(r.Info, "the account is disabled") {
		t.Errorf("the right password: %s %s", r.Status, r.Info)
	}
	if r := c.authorize("alice", "wrong"); code(r) != "401" {
		t.Errorf("a wrong password: %s %s", r.Status, r.Info)
	}
	if r := c.request(proto.TypeSessionRestore, map[string]any{"sid": sid}); code(r) != "410" {
		t.Errorf("the session: %s", r.Status)
	}
	if err := other.Enable("alice"); err != nil {
		t.Fatal(err)
	}
	if r := c.authorize("alice", "secret of alice"); !r.OK() {
		t.Errorf("enabled: %s", r.Status)
	}
	messages, err := proto.ParseMessages(c.request(proto.TypeGetUpdates, map[string]any{"after": 0}).Fields, "messages")
	if err != nil || len(messages) != 1 {
		t.Errorf("there are %v, %v", messages, err)
	}
}

// The administrator sees which users are online, and when each last logged in, by a password or a session.
func TestLoginsAreStored(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	other := w.conference("ops")
	state := func(login string, online bool, last time.Time) {
		t.Helper()
		eventually(t, login+" is stored", func() bool {
			users, err := other.Users(t.Context(), w.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(users, func(u store.UserState) bool { return u.Login == login })
			return users[i].Online == online && users[i].LastLogin.Equal(last)
		})
	}
	state("alice", false, time.Time{})
	first := w.clock.Now().Truncate(time.Microsecond)
	c := w.dial()
	sid := c.authorize("alice", "secret of alice").Fields.Text("session_id")
	state("alice", true, first)
	c.ws.CloseNow()
	state("alice", false, first)
	w.clock.Add(time.Minute)
	second := w.dial()
	if r := second.request(proto.TypeSessionRestore, map[string]any{"sid": sid}); !r.OK() {
		t.Fatal(r.Status)
	}
	state("alice", true, first.Add(time.Minute))
	state("bob", false, time.Time{})
	w.clock.Add(time.Hour) // the server has not said for an hour that it runs
	state("alice", false, first.Add(time.Minute))
}
