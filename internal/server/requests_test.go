package server

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/fxamacker/cbor/v2"
	"github.com/skaroctl/skaroctl/internal/cork"
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

// detached returns a connection of alice whose handler the test calls itself. Nothing reads
// from the network or writes to it, but the WebSocket below it is real.
func (w *testServer) detached(ws *websocket.Conn) *conn {
	w.t.Helper()
	u, err := w.store.User(context.Background(), "alice")
	if err != nil {
		w.t.Fatal(err)
	}
	c := newConn(w.srv, ws, &cork.Conn{Conn: newLink(nil, func() {})}, peer{text: "fuzz"}, &place{})
	c.writing = true // and nothing empties the queue
	x, _, err := w.srv.newSession(c, u)
	if err != nil || !w.srv.login(c, x) {
		w.t.Fatalf("no login: %v", err)
	}
	return c
}

// takeQueue returns the frames that wait for the writer of a connection.
func takeQueue(t *testing.T, c *conn) (frames []proto.Frame) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.queue {
		f, err := proto.Decode(x.frame)
		if err != nil {
			t.Fatalf("the server sends %x: %v", x.frame, err)
		}
		frames = append(frames, f)
	}
	c.queue, c.bytes = nil, 0
	return frames
}

// FuzzHandle: every request with a number gets one reply, with its number and a status that
// is documented, and never 500. A message that is confirmed has reached the recipient as it
// was sent. Fields have the right names, so that the input reaches the handlers; raw replaces
// one of them by any CBOR.
func FuzzHandle(f *testing.F) {
	types := append(slices.Sorted(maps.Keys(handlers)), proto.TypeSendMessage, "no_request", "")
	for i := range types {
		f.Add(uint8(i), int64(1), "bob", "hi", "0123456789abcdef", int64(10), int64(0), int64(5), uint8(99), []byte{})
		f.Add(uint8(i), int64(-1), "alice", "\xff", "x", int64(-1), int64(1)<<62, int64(-5), uint8(i), []byte("\xf6"))
	}
	f.Add(uint8(len(types)-3), int64(7), "nobody", "hi", "another-nonce-16", int64(0), int64(0), int64(0), uint8(99), []byte{})
	f.Add(uint8(len(types)-3), int64(7), "ops", "to a conference", "0123456789abcdeff", int64(0), int64(0), int64(0), uint8(0), []byte("\xa1\x01\x02"))
	w := newTestServer(f, func(o *Options) {
		o.MaxRefusals, o.Registration, o.MaxRegistrations, o.LoginDelay = 1<<30, RegistrationOpen, 1<<30, 1
		o.AliveInterval = time.Hour // the log stays short
		o.Log = slog.New(slog.DiscardHandler)
	}, "alice", "bob")
	w.conference("ops", "alice", "bob")
	ws := w.dial().ws // any WebSocket: a login sets its read limit
	c, other := w.detached(ws), w.detached(ws)
	f.Fuzz(func(t *testing.T, typ uint8, number int64, to, body, nonce string, limit, before, after int64, place uint8, raw []byte) {
		w.t = t
		if x := c.currentSession(); x.user.Login != "alice" { // an earlier input logged in as bob
			w.srv.logout(c, true)
			c = w.detached(ws)
		}
		request := types[int(typ)%len(types)]
		fields := map[string]any{
			"type": request, "on_request": number, "login": to, "to": to, "body": body, "nonce": nonce, "text": body, "limit": limit, "before": before,
			"after": after, "sid": nonce, "password": newToken("secret of " + to).Answer(c.challenge), "add_contact": limit > 0, "register_type": body,
			"form": map[string]any{"login": body, "token": newToken(nonce).Text(), "invite": nonce},
		}
		names := slices.Sorted(maps.Keys(fields))
		if int(place) < len(names) && cbor.Wellformed(raw) == nil {
			fields[names[place]] = cbor.RawMessage(raw)
		}
		b, err := proto.Encode(fields)
		if err != nil {
			t.Skip(err) // it has too many elements, for example
		}
		frame, err := proto.Decode(b)
		if err != nil {
			t.Skip(err)
		}
		c.handle(frame)
		c.sending.Wait()
		checkAnswer(t, frame, takeQueue(t, c), takeQueue(t, other))
	})
}

// checkAnswer checks what one request has put into the queue of its connection, and of another
// one of the same user.
func checkAnswer(t *testing.T, request proto.Frame, answers, pushes []proto.Frame) {
	t.Helper()
	number, numbered := request.RequestNumber()
	if len(answers) != 1 {
		t.Fatalf("%s has %d answers", request.Describe(), len(answers))
	}
	r, err := proto.ParseReply(answers[0])
	if answers[0].Type() != proto.TypeReply {
		if answers[0].Type() != proto.TypeError || numbered && request.Type() != "" {
			t.Errorf("%s is answered with %s", request.Describe(), answers[0].Describe())
		}
		return
	}
	known := []string{
		proto.StatusOK, proto.StatusBadRequest, proto.StatusUnauthorized, proto.StatusForbidden, proto.StatusNotFound,
		proto.StatusConflict, proto.StatusGone, proto.StatusTooLarge, proto.StatusTooMany, proto.StatusUnknown,
	}
	if err != nil || !numbered || r.ID != number || r.For != request.Type() || !slices.Contains(known, r.Status) || r.OK() != (r.Info == "") {
		t.Errorf("%s is answered with %s", request.Describe(), answers[0].Describe())
	}
	if request.Type() != proto.TypeSendMessage || !r.OK() {
		if len(pushes) > 0 {
			t.Errorf("%s pushes %s", request.Describe(), pushes[0].Describe())
		}
		return
	}
	body, ok := request.ExactText("body")
	if len(pushes) == 0 { // the nonce was used before
		if _, used := request.ExactText("nonce"); !used {
			t.Errorf("%s is confirmed, and delivered to nobody", request.Describe())
		}
		return
	}
	if m := proto.ParseMessage(pushes[0]); len(pushes) != 1 || !ok || m.Body != body || m.From != "alice" || m.ID == 0 {
		t.Errorf("%s is delivered as %d times %s", request.Describe(), len(pushes), pushes[0].Describe())
	}
}
