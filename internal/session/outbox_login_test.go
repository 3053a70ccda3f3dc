package session

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cork"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// Messages leave before the login is answered: to another recipient each, 16 at most, and
// none that is longer than 64 KiB. So two messages to one person keep their order.
func TestOutboxSendsEarly(t *testing.T) {
	to := func(names ...string) (list []Message) {
		for i, name := range names {
			list = append(list, Message{To: name, Body: fmt.Sprint(i)})
		}
		return list
	}
	many := make([]string, earlyMessages+1)
	for i := range many {
		many[i] = fmt.Sprint("user ", i)
	}
	for name, c := range map[string]struct {
		credentials func(context.Context) (Credentials, error)
		messages    []Message
		early       int
	}{
		"one":                   {withToken, to("bob"), 1},
		"with a SID alone":      {withSIDAlone, to("bob"), 1},
		"with a SID to try":     {withSID, to("bob"), 0}, // it may be refused, and the message with it
		"three":                 {withToken, to("bob", "carol", "dave"), 3},
		"two to one":            {withToken, to("bob", "carol", "bob", "dave"), 2},
		"many":                  {withToken, to(many...), earlyMessages},
		"a long one":            {withToken, []Message{{To: "bob", Body: strings.Repeat("x", earlyBody)}}, 1},
		"one that is too long":  {withToken, []Message{{To: "bob", Body: strings.Repeat("x", earlyBody+1)}}, 0},
		"one behind a long one": {withToken, []Message{{To: "bob", Body: strings.Repeat("x", earlyBody+1)}, {To: "carol"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &mailServer{}
			order := make(chan string, 2*len(c.messages))
			url := serve(t, func(p *peer) {
				p.greet()
				login, _ := p.recv()
				for range c.early {
					f := p.expect(proto.TypeSendMessage)
					order <- f.Text("to")
					defer server.answer(p, f)
				}
				p.welcome(login)
				for range len(c.messages) - c.early {
					f := p.expect(proto.TypeSendMessage)
					order <- f.Text("to")
					defer server.answer(p, f)
				}
			})
			ch := make(chan Message, len(c.messages))
			for _, m := range c.messages {
				ch <- m
			}
			close(ch)
			o := outbox(url)
			o.Credentials, o.InFlight = c.credentials, len(c.messages)
			var sent atomic.Int64
			o.Endpoint.Trace = func(line string) {
				switch {
				case strings.HasPrefix(line, "> ") && strings.Contains(line, `"send_message"`):
					sent.Add(1)
				case strings.HasPrefix(line, "< ") && strings.Contains(line, `"session_id"`) && sent.Load() > int64(c.early):
					t.Errorf("%d messages left before the login", sent.Load())
				}
			}
			_, _ = run(bounded(t), o, ch)
			for _, m := range c.messages {
				if got := within(t, order); got != m.To {
					t.Errorf("%s came before %s", got, m.To)
				}
			}
		})
	}
}

func withSIDAlone(context.Context) (Credentials, error) {
	return Credentials{Login: "alice", SID: "old-sid"}, nil
}

// A reconnect restores the session of the last login.
func TestOutboxReconnectsWithSID(t *testing.T) {
	server := &mailServer{nonces: true}
	logins := make(chan string, 2)
	url := serve(t, func(p *peer) {
		p.greet(proto.ExtNonce)
		f, _ := p.recv()
		logins <- f.Type() + f.Text("sid")
		p.welcome(f)
		if f, ok := p.recv(); ok && p.nth == 2 {
			server.answer(p, f)
			p.recv()
		}
	})
	_, ch := input(1)
	got, err := run(bounded(t), outbox(url), ch)
	if err != nil || len(got) != 1 || got[0].State != StateConfirmed {
		t.Errorf("%v, %v", err, got)
	}
	if first, second := within(t, logins), within(t, logins); first != proto.TypeAuthorize || second != proto.TypeSessionRestore+"sid-1" {
		t.Errorf("logins: %s, %s", first, second)
	}
}

// If the server refuses the SID, the token logs in on the same connection, and no message
// is lost or overtakes another.
func TestOutboxKeepsOrderAfterRefusedSID(t *testing.T) {
	const n = 4 * earlyMessages
	server := &mailServer{}
	url := serve(t, func(p *peer) {
		p.greet()
		loggedIn := false
		for {
			f, ok := p.recv()
			if !ok {
				return
			}
			switch typ := f.Type(); {
			case typ == proto.TypeSessionRestore:
				p.reply(f, proto.StatusGone, nil)
			case typ == proto.TypeAuthorize:
				loggedIn = true
				p.welcome(f)
			case !loggedIn:
				p.reply(f, proto.StatusUnauthorized, nil)
			default:
				server.answer(p, f)
			}
		}
	})
	list, ch := input(n)
	o := outbox(url)
	o.Credentials, o.InFlight = withSID, n
	got, err := run(bounded(t), o, ch)
	if err != nil || len(got) != n {
		t.Fatalf("%v, %d results", err, len(got))
	}
	for i, r := range got {
		if r.State != StateConfirmed || r.Message != list[i] {
			t.Fatalf("result %d: %+v", i, r)
		}
	}
	if !slices.IsSorted(server.delivered) || len(server.delivered) != n {
		t.Errorf("delivered %q", server.delivered)
	}
}

// A refused login means that nothing was delivered, and is not tried again.
func TestOutboxRefusedLoginDeliversNothing(t *testing.T) {
	for _, retry := range []time.Duration{0, patience} {
		url := serve(t, func(p *peer) {
			p.greet()
			p.reply(p.expect(proto.TypeAuthorize), proto.StatusUnauthorized, nil)
			for {
				f, ok := p.recv()
				if !ok {
					return
				}
				p.reply(f, proto.StatusUnauthorized, nil)
			}
		})
		_, ch := input(3)
		o := outbox(url)
		o.Retry = retryFor(retry)
		got, err := run(bounded(t), o, ch)
		if !isKind(err, KindAuth) {
			t.Errorf("%T: %v", err, err)
		}
		for _, r := range got {
			if r.State != StateUnsent || !isKind(r.Err, KindAuth) {
				t.Errorf("%+v", r)
			}
		}
	}
}

// A server that can't answer a login for now says nothing about the password: the login is tried
// again.
func TestOutboxTriesAgainALoginRefusedForNow(t *testing.T) {
	for _, status := range []string{"503 Service Unavailable", proto.StatusInternal, proto.StatusTooMany} {
		server := &mailServer{}
		url := serve(t, func(p *peer) {
			if p.nth > 2 {
				server.serve(p)
				return
			}
			p.greet()
			for f, ok := p.recv(); ok; f, ok = p.recv() {
				p.reply(f, status, nil)
			}
		})
		ctx, first := open(t, url, withToken)
		_, err := first.Account(ctx)
		first.Close()
		if !isKind(err, KindRefused) || isKind(err, KindAuth) {
			t.Errorf("%s, without another attempt: %v", status, err)
		}
		_, ch := input(3)
		o := outbox(url)
		o.Retry = retryFor(patience)
		if got, err := run(t.Context(), o, ch); err != nil || len(got) != 3 {
			t.Errorf("%s: %v, %+v", status, err, got)
		}
	}
}

// A refused login also means that nothing was delivered of a message that is just being written
// when the login is refused and the connection closed.
func TestOutboxRefusedLoginDuringWriteDeliversNothing(t *testing.T) {
	writing, closed := make(chan struct{}), make(chan struct{})
	url := serve(t, func(p *peer) {
		p.greet()
		p.reply(p.expect(proto.TypeAuthorize), proto.StatusUnauthorized, nil)
		p.send(map[string]any{"type": proto.TypeInfo, "info": "bye"})
		p.recv()
		close(closed)
	})
	_, ch := input(1)
	o := outbox(url)
	o.Endpoint.Trace = func(line string) {
		switch {
		case strings.HasPrefix(line, "> ") && strings.Contains(line, proto.TypeSendMessage):
			close(writing)
			within(t, closed) // and the next thing that happens to the message is that it is written
		case strings.HasPrefix(line, "< ") && strings.Contains(line, proto.TypeAuthorize):
			within(t, writing)
		case strings.HasPrefix(line, "< ") && strings.Contains(line, "bye"):
			within(t, closed)
			for range 1000 { // the reader notices the end after the writer
				runtime.Gosched()
			}
		}
	}
	got, err := run(bounded(t), o, ch)
	if !isKind(err, KindAuth) || len(got) != 1 || got[0].State != StateUnsent || !isKind(got[0].Err, KindAuth) {
		t.Errorf("%v, %+v", err, got)
	}
}

// A message that may have arrived over an earlier connection stays unknown if the login
// is refused later.
func TestOutboxLaterRefusedLoginKeepsUnknown(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet(proto.ExtNonce)
		f, _ := p.recv()
		if p.nth == 1 {
			p.welcome(f)
			p.recv()
			return
		}
		for ; f.Type() != ""; f, _ = p.recv() { // the SID, then the token
			p.reply(f, proto.StatusUnauthorized, nil)
		}
	})
	_, ch := input(1)
	got, err := run(bounded(t), outbox(url), ch)
	if !isKind(err, KindAuth) || len(got) != 1 || got[0].State != StateUnknown {
		t.Errorf("%v, %+v", err, got)
	}
}

// Which messages may leave before the login is confirmed. If a SID is tried before a token,
// none may: the server refuses it with the SID, and it would be sent again after the next
// one. Nor may a second message to one person, for the same reason.
func TestWorkerLetsMessagesLeaveEarly(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		credentials func(context.Context) (Credentials, error)
		ahead       []string // recipients of messages that have left
		to          string
		leaves      bool
	}{
		"with a token":      {withToken, nil, "bob", true},
		"with a SID alone":  {withSIDAlone, nil, "bob", true},
		"with a SID to try": {withSID, nil, "bob", false},
		"to another person": {withToken, []string{"carol"}, "bob", true},
		"to one person":     {withToken, []string{"bob"}, "bob", false},
	} {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		cred, _ := c.credentials(ended)
		s := newSession(&conn{net: &netConn{Conn: cork.Conn{Conn: near}}}, &cred)
		w := &worker{session: s, early: cred.oneTry(), ahead: map[string]bool{}}
		for _, to := range c.ahead {
			w.ahead[to] = true
		}
		if leaves := w.mayLeave(ended, &outgoing{Message: Message{To: c.to}}); leaves != c.leaves {
			t.Errorf("%s: %v", name, leaves)
		}
	}
}
