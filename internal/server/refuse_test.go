package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestMaxRefusalsEndTheConnection(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxRefusals = 3 }, "alice")
	c := w.dial()
	for range 3 {
		if r := c.authorize("alice", "wrong"); code(r) != "401" {
			t.Errorf("%s", r.Status)
		}
	}
	c.closed(websocket.StatusPolicyViolation)
}

// However long a login is, the refusal is short.
func TestHugeLoginsGetShortRefusals(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.Registration = RegistrationOpen }, "alice")
	c := w.login("alice")
	huge := strings.Repeat("\x01", 256<<10)
	for typ, status := range map[string]string{
		proto.TypeAuthorize: "401", proto.TypeGetHistory: "404", proto.TypeGetUserData: "404", proto.TypeAddContact: "404", proto.TypeDelContact: "404",
		proto.TypeSendMessage: "404", proto.TypeRegister: "400",
	} {
		r := c.request(typ, map[string]any{"login": huge, "to": huge, "body": "x", "form": map[string]any{"login": huge}})
		if code(r) != status || len(r.Info) > 1000 {
			t.Errorf("%s: %s, and %d bytes of why", typ, r.Status, len(r.Info))
		}
	}
	if r := c.request(huge, nil); code(r) != "501" || len(r.Info) > 1000 {
		t.Errorf("a huge request: %s, and %d bytes of why", r.Status, len(r.Info))
	}
	c.quiet()
}

// Nothing secret is in the log, not even a password typed as a login.
func TestLogHasNoSecrets(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	c := w.dial()
	c.authorize("hunter2", "x")
	answer := newToken("secret of alice").Answer(c.greeting.Challenge)
	sid := c.authorize("alice", "secret of alice").Fields.Text("session_id")
	c.send("alice", "the body")
	w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid})
	w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid[1:]})
	w.stop()
	log := w.log.String()
	for _, secret := range []string{"hunter2", answer, c.greeting.Challenge, sid[1:], "the body", "secret of"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	for _, word := range []string{"login refused", `reason="wrong login or password"`, "logged in", "connection ended", "login=alice"} {
		if !strings.Contains(log, word) {
			t.Errorf("%q is not in the log:\n%s", word, log)
		}
	}
}

// The log says why logins were refused, from where, and which: one line for the first at once, and
// one for the rest of a burst. A login that does not exist may be a password, and is not named.
func TestRefusedLoginsAreLoggedInBursts(t *testing.T) {
	w := newTestServer(t, behindProxy, "alice", "bob")
	burst := func(address string, n int, ask func(*client) proto.Reply) {
		t.Helper()
		for range n {
			c := w.dialFrom(address)
			for range 10 {
				if r := ask(c); r.OK() {
					t.Error(r.Status)
				}
			}
			c.closed(websocket.StatusPolicyViolation)
		}
	}
	for _, x := range []struct {
		burst       func()
		first, rest string
	}{
		{func() {
			burst("203.0.113.7", 3, func(c *client) proto.Reply { return c.authorize("Alice", "x") })
			burst("203.0.113.7", 2, func(c *client) proto.Reply { return c.authorize("bob", "x") })
		}, `address=203.0.113.7 login=alice count=1 reason="wrong login or password"`,
			`address=203.0.113.7 login=alice,bob count=49 reason="wrong login or password"`},
		{func() { burst("2001:db8::1", 1, func(c *client) proto.Reply { return c.authorize("hunter2", "x") }) },
			`address=2001:db8::/64 login="(no such login)" count=1 reason="wrong login or password"`,
			`address=2001:db8::/64 login="(no such login)" count=9 reason="wrong login or password"`},
		{func() {
			burst("", 1, func(c *client) proto.Reply {
				return c.request(proto.TypeSessionRestore, map[string]any{"sid": "x"})
			})
		},
			`address=local count=1 reason="the session can't be restored"`,
			`address=local count=9 reason="the session can't be restored"`},
	} {
		x.burst()
		eventually(t, "the first is logged", func() bool {
			return strings.Contains(w.log.String(), ` level=INFO msg="login refused" `+x.first+"\n")
		})
		before := len(w.log.String())
		w.srv.bursts.log(w.options.Log)
		line := w.log.String()[before:]
		if _, after, _ := strings.Cut(line, ` level=INFO msg="login refused" `); after != x.rest+"\n" {
			t.Errorf("%q instead of %q", line, x.rest)
		}
		if strings.Count(w.log.String()[:before], "refused") != 1 {
			t.Errorf("there are more lines: %s", w.log.String()[:before])
		}
		w.log.mu.Lock()
		w.log.b.Reset()
		w.log.mu.Unlock()
	}
}

// However many addresses guess, and at however many logins, the lines are bounded.
func TestBurstsAreBounded(t *testing.T) {
	var b bursts
	for i := range 3 * maxBursts {
		for j := range 20 {
			b.add(burst{"login refused", fmt.Sprint(i), "x"}, fmt.Sprint(j))
		}
	}
	w := &logBuffer{}
	b.log(slog.New(slog.NewTextHandler(w, nil)))
	log := w.String()
	if n := strings.Count(log, "\n"); n != 2*maxBursts+1 {
		t.Errorf("%d lines", n)
	}
	if want := fmt.Sprintf("address=others login=0,1,2,3,4,5,6,7,… count=%d\n", 2*maxBursts*20); !strings.Contains(log, want) {
		t.Errorf("there is no %q", want)
	}
	b.log(slog.New(slog.NewTextHandler(w, nil)))
	if w.String() != log {
		t.Error("they are logged twice")
	}
}

// A burst that goes on has one line each time. After a time without it, it begins again.
func TestBurstThatGoesOnHasOneLineEachTime(t *testing.T) {
	var b bursts
	w := &logBuffer{}
	log := slog.New(slog.NewTextHandler(w, nil))
	for i, x := range []struct{ events, atOnce, lines int }{{3, 1, 2}, {3, 0, 1}, {1, 0, 1}, {0, 0, 0}, {1, 1, 1}, {2, 1, 2}, {0, 0, 0}} {
		before := strings.Count(w.String(), "\n")
		for range x.events {
			b.add(burst{"login refused", "203.0.113.7", "x"}, "alice")
		}
		b.logFirst(log)
		atOnce := strings.Count(w.String(), "\n") - before
		b.log(log)
		if lines := strings.Count(w.String(), "\n") - before; atOnce != x.atOnce || lines != x.lines {
			t.Errorf("%d: %d lines, %d of them at once", i, lines, atOnce)
		}
	}
}

// writerFunc is a function as a writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// If a burst begins while lines are written, its first line still comes before the rest.
func TestFirstOfABurstIsLoggedBeforeTheRest(t *testing.T) {
	var b bursts
	w := &logBuffer{}
	begin := sync.OnceFunc(func() {
		b.add(burst{"login refused", "203.0.113.8", "x"}, "alice")
		b.add(burst{"login refused", "203.0.113.8", "x"}, "bob")
	})
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		begin()
		return w.Write(p)
	}), nil))
	b.add(burst{"login refused", "203.0.113.7", "x"}, "carol")
	b.log(log)
	b.log(log)
	first, rest := strings.Index(w.String(), "login=alice count=1 "), strings.Index(w.String(), "login=bob count=1 ")
	if first < 0 || rest < first {
		t.Errorf("%s", w)
	}
}

// The log has a line for the first of each burst of trouble, and one for the others, with the
// number, whose it is and why. It has no body, and no login that may be a mistyped password.
func TestTroubleIsLoggedInBursts(t *testing.T) {
	w := newTestServer(t, func(o *Options) {
		o.MaxConnectionsPerUser, o.MaxSessions, o.Registration = 2, 1, RegistrationOpen
		o.MaxUnauthenticatedFrame = 1024
	}, "alice")
	for range 3 { // frames
		c := w.dial()
		if err := c.write(websocket.MessageBinary, make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		c.closed(websocket.StatusMessageTooBig)
	}
	for range 2 { // a page of another site
		if _, _, err := websocket.Dial(t.Context(), "ws://"+w.addr+Path, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://example.invalid"}}}); err == nil {
			t.Error("a page of another site gets in")
		}
	}
	first := w.login("alice")
	first.ws.CloseNow()
	w.left(0)
	w.login("alice") // forgets the first session
	w.login("alice")
	for range 4 { // a connection too many
		if r := w.dial().authorize("alice", "secret of alice"); code(r) != "429" {
			t.Error(r.Status)
		}
	}
	for range 2 { // a login that is taken
		w.dial().request(proto.TypeRegister, map[string]any{"form": map[string]any{"login": "alice", "token": newToken("hunter2").Text()}})
	}
	w.stop()
	log := w.log.String()
	for line, times := range map[string]int{
		`level=INFO msg="all connections ended" connections=8 dropped=0`:                                                                             1,
		`level=INFO msg="connection ended by the server" address=local count=1 reason="the frame is too large: max-unauthenticated-frame is 1 KiB; `: 1,
		`level=INFO msg="connection ended by the server" address=local count=2 reason="the frame is too large: max-unauthenticated-frame is 1 KiB; `: 1,
		`level=INFO msg="connection refused" address=local count=1 reason="an origin that --allow-origin does not name"`:                             2,
		`level=INFO msg="session forgotten" address=local login=alice count=1 reason="too many sessions of this user"`:                               1,
		`level=INFO msg="login refused" address=local login=alice count=1 reason="too many connections of this user: max-connections-per-user is 2`:  1,
		`level=INFO msg="login refused" address=local login=alice count=3 reason="too many connections of this user: max-connections-per-user is 2`:  1,
		`level=INFO msg="registration refused" address=local count=1 reason="the login is taken"`:                                                    2,
	} {
		if n := strings.Count(log, line); n != times {
			t.Errorf("%d times, not %d: %s", n, times, line)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// Errors of the server's own are counted, and logged once a second.
func TestFailuresAreCounted(t *testing.T) {
	w := newTestServer(t, nil)
	for range 5 {
		w.srv.logFailure("send_message", fullDisk(t))
	}
	w.srv.lastFailure.Store(0) // a second is over
	w.srv.logFailure("send_message", fullDisk(t))
	log := w.log.String()
	if !strings.Contains(log, "type=send_message count=1 error=") || !strings.Contains(log, "type=send_message count=5 error=") || strings.Count(log, "a request failed") != 2 {
		t.Error(log)
	}
}
