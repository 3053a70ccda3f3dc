package server

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

func TestSendReachesEveryOtherConnection(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob", "carol")
	alice, alice2, bob, bob2, carol := w.login("alice"), w.login("alice"), w.login("bob"), w.login("bob"), w.login("carol")
	r := alice.request(proto.TypeSendMessage, map[string]any{"to": "BOB", "body": "hé\x00\n"})
	id, _ := r.Fields.Int("message_id")
	for _, c := range []*client{alice2, bob, bob2} {
		m := c.message()
		if m.ID != id || m.From != "alice" || m.To != "bob" || m.Body != "hé\x00\n" || m.Extra != nil || !m.Date.Time.Equal(w.clock.Now()) {
			t.Errorf("%+v", m)
		}
	}
	if date := r.Fields.Date("date"); !date.Time.Equal(w.clock.Now()) {
		t.Errorf("the date is %v", date)
	}
	id = alice.send("alice", "note")
	if m := alice2.message(); m.ID != id || m.To != "alice" {
		t.Errorf("%+v", m)
	}
	for _, c := range []*client{alice, alice2, bob, bob2, carol} {
		c.quiet()
	}
}

func TestSendRefusesWhatIsNoMessage(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	c := w.login("alice")
	for name, test := range map[string]struct {
		fields map[string]any
		status string
		info   string
	}{
		"nobody":        {map[string]any{"to": "bobb", "body": "x"}, "404", `no user "bobb"`},
		"no login":      {map[string]any{"to": "b b", "body": "x"}, "404", `no user "b b"`},
		"no recipient":  {map[string]any{"body": "x"}, "400", "to must be a login"},
		"to nothing":    {map[string]any{"to": "", "body": "x"}, "400", "to must be a login"},
		"to a number":   {map[string]any{"to": 5, "body": "x"}, "400", "to must be a login"},
		"no body":       {map[string]any{"to": "bob"}, "400", "body must be UTF-8 text"},
		"empty":         {map[string]any{"to": "bob", "body": ""}, "400", "not empty"},
		"bytes":         {map[string]any{"to": "bob", "body": []byte("x")}, "400", "body must be UTF-8 text"},
		"not UTF-8":     {map[string]any{"to": "bob", "body": "a\xffb"}, "400", "body must be UTF-8 text"},
		"too large":     {map[string]any{"to": "bob", "body": strings.Repeat("x", w.options.MaxBody+1)}, "413", "262145 bytes: max-body is 256 KiB; the server's operator can change it with --limit"},
		"short nonce":   {map[string]any{"to": "bob", "body": "x", "nonce": "0123456789abcde"}, "400", "nonce must be text"},
		"long nonce":    {map[string]any{"to": "bob", "body": "x", "nonce": strings.Repeat("x", 65)}, "400", "nonce must be text"},
		"another nonce": {map[string]any{"to": "bob", "body": "x", "nonce": 5}, "400", "nonce must be text"},
		"odd fields":    {map[string]any{"to": "bob", "body": "x", "fields": map[string]any{"n": 1.5}}, "400", `the field "n" is a number with a fraction: expected text, an integer`},
		"no map":        {map[string]any{"to": "bob", "body": "x", "fields": nil}, "400", "fields must be a map"},
		"a long title":  {map[string]any{"to": "bob", "body": "x", "fields": map[string]any{"title": strings.Repeat("x", 4<<10)}}, "400", "4106 bytes: at most 4096"},
		"15 characters": {map[string]any{"to": "bob", "body": "x", "nonce": strings.Repeat("é", 15)}, "400", "nonce must be text"},
	} {
		if r := c.request(proto.TypeSendMessage, test.fields); code(r) != test.status || !strings.Contains(r.Info, test.info) {
			t.Errorf("%s: %s %q", name, r.Status, r.Info)
		}
	}
	for _, nonce := range []string{strings.Repeat("x", 16), strings.Repeat("😀", 64)} {
		if r := c.request(proto.TypeSendMessage, map[string]any{"to": "alice", "body": "x", "nonce": nonce}); !r.OK() {
			t.Errorf("the nonce %s: %s", nonce, r.Status)
		}
	}
	largest := strings.Repeat("x", w.options.MaxBody)
	bob := w.login("bob")
	c.send("bob", largest)
	if m := bob.message(); m.Body != largest {
		t.Errorf("the largest body comes as %d bytes", len(m.Body))
	}
	if list, _, err := w.store.Updates(t.Context(), 1, store.Page{Limit: 10, Bytes: 1 << 20}); err != nil || len(list) != 3 {
		t.Errorf("%d messages, %v", len(list), err)
	}
}

// A server knows no field: what other clients mean by them is their affair.
func TestFieldsReachEveryReader(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	alice, alice2, bob := w.login("alice"), w.login("alice"), w.login("bob")
	want, err := proto.NewFields(map[string]any{"title": 5, "urgency": "who knows", "tags": []string{"a"}, "yes": true})
	if err != nil {
		t.Fatal(err)
	}
	for _, nonce := range []string{"", "0123456789abcdef"} { // the long way, and the short one
		request := proto.SendMessage("bob", "hi", nonce, want)
		if r := alice.request(request.Type, request.Fields); !r.OK() {
			t.Fatalf("%s %s", r.Status, r.Info)
		}
		for _, c := range []*client{alice2, bob} {
			if m := c.message(); m.Fields != want || m.Extra != nil {
				t.Errorf("a push: %+v", m)
			}
		}
	}
	for name, r := range map[string]proto.Reply{
		"history":  bob.request(proto.TypeGetHistory, map[string]any{"login": "alice"}),
		"messages": bob.request(proto.TypeGetUpdates, map[string]any{"after": 0}),
	} {
		list, err := proto.ParseMessages(r.Fields, name)
		if err != nil || len(list) != 2 || list[0].Fields != want || list[1].Fields != want {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
}

func TestNonceIsStoredOnce(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	alice, bob := w.login("alice"), w.login("bob")
	fields := map[string]any{"to": "bob", "body": "once", "nonce": "0123456789abcdef"}
	// Both in flight at once.
	a, b := alice.ask(proto.TypeSendMessage, fields), alice.ask(proto.TypeSendMessage, fields)
	first, again := alice.reply(a), alice.reply(b)
	w.clock.Add(time.Hour)
	w.stop()
	w.start()
	alice = w.login("alice")
	later := alice.request(proto.TypeSendMessage, fields)
	for _, r := range []proto.Reply{first, again, later} {
		id, _ := r.Fields.Int("message_id")
		if !r.OK() || id != 1 || r.Fields.Date("date") != first.Fields.Date("date") {
			t.Errorf("%s", r.Fields.Describe())
		}
	}
	fields["fields"] = map[string]any{"title": "x"}
	if r := alice.request(proto.TypeSendMessage, fields); code(r) != "409" {
		t.Errorf("with fields: %s", r.Status)
	}
	delete(fields, "fields")
	fields["body"] = "twice"
	if r := alice.request(proto.TypeSendMessage, fields); code(r) != "409" || r.Info == "" {
		t.Errorf("another body: %s", r.Status)
	}
	if m := bob.message(); m.Body != "once" {
		t.Errorf("%+v", m)
	}
	bob.closed(websocket.StatusGoingAway) // and no message before that: closed would not mind, so:
	if list, _, err := w.store.Updates(t.Context(), 2, store.Page{Limit: 10, Bytes: 1 << 20}); err != nil || len(list) != 1 {
		t.Errorf("%d messages, %v", len(list), err)
	}
}

// Accounts with logins that are refused for new accounts still work.
func TestLoginsOfEarlierVersionsWork(t *testing.T) {
	old := []string{"a,b", "-a"}
	w := newTestServer(t, nil, append(old, "alice")...)
	alice := w.login("alice")
	for _, login := range old {
		c := w.login(login)
		alice.send(strings.ToUpper(login), "hello")
		if m := c.message(); m.Body != "hello" || m.To != login {
			t.Errorf("%q got %+v", login, m)
		}
		if r := alice.request(proto.TypeAddContact, map[string]any{"login": login}); !r.OK() {
			t.Errorf("%q as a contact: %s", login, r.Status)
		}
		if r := alice.request(proto.TypeGetHistory, map[string]any{"login": login}); !r.OK() {
			t.Errorf("the history of %q: %s", login, r.Status)
		}
	}
}

// flood sends n messages with many in flight, and returns their ids.
func (c *client) flood(to string, n int) []int64 {
	const window = 256
	var ids []int64
	bodies := map[int64]bool{}
	for sent := 0; len(ids) < n; {
		for ; sent < n && len(bodies) < window; sent++ {
			bodies[c.ask(proto.TypeSendMessage, map[string]any{"to": to, "body": fmt.Sprint(sent)})] = true
		}
		f := c.read()
		if f.Type() == proto.TypeShowMessage {
			continue
		}
		r, err := proto.ParseReply(f)
		id, _ := r.Fields.Int("message_id")
		if err != nil || !r.OK() || !bodies[r.ID] {
			c.t.Errorf("%s, %v", f.Describe(), err)
			return ids
		}
		delete(bodies, r.ID)
		ids = append(ids, id)
	}
	return ids
}

// A listener gets each message of many senders once, in the order of the ids, and so does one
// that connects again and again and catches up.
func TestListenersMissNothing(t *testing.T) {
	const senders, each = 4, 500
	w := newTestServer(t, nil, "alice", "bob")
	listener := w.login("bob")
	var wg sync.WaitGroup
	for range senders {
		c := w.login("alice")
		wg.Go(func() {
			ids := c.flood("bob", each)
			for i := 1; i < len(ids); i++ {
				if ids[i] <= ids[i-1] {
					t.Errorf("the id %d is confirmed after %d", ids[i], ids[i-1])
				}
			}
		})
	}
	wg.Go(func() { // comes and goes
		seen, position := 0, int64(0)
		for seen < senders*each {
			c := w.login("bob")
			last := position
			for more := true; more; {
				r := c.request(proto.TypeGetUpdates, map[string]any{"after": last, "limit": 100})
				messages, err := proto.ParseMessages(r.Fields, "messages")
				if err != nil {
					t.Error(err)
					return
				}
				for _, m := range messages {
					if m.ID <= position {
						t.Errorf("%d came twice", m.ID)
					}
					position = m.ID
					seen++
				}
				last, _ = r.Fields.Int("last_id")
				more, _ = r.Fields.Bool("more")
			}
			for i := 0; i < 20 && seen < senders*each; i++ {
				m := c.message()
				if m.ID <= last {
					continue
				}
				if m.ID <= position {
					t.Errorf("%d came twice or late", m.ID)
				}
				position = m.ID
				seen++
			}
			c.ws.CloseNow()
		}
	})
	last := int64(0)
	for range senders * each {
		m := listener.message()
		if m.ID <= last {
			t.Fatalf("%d comes after %d", m.ID, last)
		}
		last = m.ID
	}
	wg.Wait()
	listener.quiet()
}

// If the database can't be written, the sender gets an error, and the next message is stored when
// it can be written again.
func TestFailedCommitIsNotConfirmed(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	alice, bob := w.login("alice"), w.login("bob")
	if _, err := w.exec("CREATE TRIGGER full BEFORE INSERT ON messages WHEN new.body = 'no room' BEGIN SELECT RAISE(ABORT, 'no room'); END"); err != nil {
		t.Fatal(err)
	}
	failed(t, alice.request(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "no room"}))
	if !strings.Contains(w.log.String(), "no room") {
		t.Errorf("the log does not say why: %s", w.log)
	}
	id := alice.send("bob", "room")
	if m := bob.message(); m.ID != id || id != 1 {
		t.Errorf("%+v", m)
	}
	bob.quiet()
}

// failed checks the answer to a request that the server could not do. It has nothing of the error,
// which may name tables and files.
func failed(t *testing.T, r proto.Reply) {
	t.Helper()
	if r.Status != proto.StatusInternal || r.Info != "the server could not do it; nothing was done" || len(r.Fields.Describe()) > 200 {
		t.Errorf("%s", r.Fields.Describe())
	}
}

// If the database fails, a request gets a 500, and a login too: 401 would say that the password is
// wrong.
func TestFailingDatabaseIsNoRefusal(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	alice := w.login("alice")
	for _, statement := range []string{"ALTER TABLE contacts RENAME TO lost_contacts", "ALTER TABLE users RENAME TO lost_users"} {
		if _, err := w.exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	failed(t, alice.request(proto.TypeGetContacts, nil))
	failed(t, alice.request(proto.TypeGetHistory, map[string]any{"login": "bob"}))
	failed(t, w.dial().authorize("alice", "secret of alice"))
	if !strings.Contains(w.log.String(), "no such table") {
		t.Errorf("the log does not say why: %s", w.log)
	}
}

// BenchmarkSend is one sender with many messages in flight, over loopback, each
// answered when it is on disk.
func BenchmarkSend(b *testing.B) {
	w := newTestServer(b, nil, "alice", "bob")
	for _, online := range []bool{false, true} {
		b.Run(fmt.Sprintf("recipient online %v", online), func(b *testing.B) {
			c := w.login("alice")
			if online {
				bob := w.login("bob")
				defer bob.ws.CloseNow()
				go func() {
					for {
						if _, _, err := bob.ws.Read(context.Background()); err != nil {
							return
						}
					}
				}()
			}
			slots := make(chan struct{}, 256)
			done := make(chan error, 1)
			go func() {
				for range b.N {
					if _, _, err := c.ws.Read(context.Background()); err != nil {
						done <- err
						return
					}
					<-slots
				}
				done <- nil
			}()
			b.ResetTimer()
			for i := range b.N {
				slots <- struct{}{}
				frame, err := proto.EncodeRequest(proto.TypeSendMessage, int64(i), map[string]any{
					"to": "bob", "body": "disk almost full on web1: 97 % of /var is used", "nonce": fmt.Sprintf("run of one sender %09d", i),
				})
				if err != nil {
					b.Fatal(err)
				}
				if err := c.ws.Write(context.Background(), websocket.MessageBinary, frame); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// lastPushed changes under the same lock as the push. Otherwise a message could be pushed before a
// login, and be above lastPushed when the new connection asks for updates: it would be lost.
func TestLastPushedChangesWithThePush(t *testing.T) {
	for _, to := range []string{"bob", "ops"} {
		w := newTestServer(t, nil, "alice", "bob")
		if err := w.store.CreateConference("ops", []string{"alice", "bob"}, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		alice, bob := w.login("alice"), w.login("bob")
		const n = 2000
		go func() {
			for range n {
				if _, err := bob.tryRead(); err != nil {
					return
				}
			}
		}()
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			alice.flood(to, n)
		}()
		for done := false; !done; {
			select {
			case <-flooded:
				done = true
			default:
			}
			w.srv.mu.Lock()
			last, pushed := w.srv.lastPushed, total(t, w.srv.counter.delivered) // bob's connection is the only one
			w.srv.mu.Unlock()
			if last != pushed {
				t.Fatalf("to %s: the last pushed id is %d after %d pushes", to, last, pushed)
			}
		}
	}
}
