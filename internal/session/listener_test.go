package session

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

var errDone = errors.New("the test has what it wanted")

// quickRetry makes reconnects immediate, and without end.
var quickRetry = RetryPolicy{BeforeLogin: Forever, AfterLogin: Forever, FirstPause: time.Nanosecond, MostPause: time.Nanosecond, Lasting: time.Hour}

// bodies runs a listener until n messages have come, and returns their bodies.
func bodies(t *testing.T, l *Listener, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got []string
	err := l.Run(ctx, func(e Event) error {
		if e.Message == nil {
			return nil
		}
		if e.Own != "alice" {
			t.Errorf("own login: %q", e.Own)
		}
		got = append(got, e.Message.Body)
		if len(got) == n {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Errorf("after %q: %v", got, err)
	}
	return got
}

func listener(url string) *Listener {
	return &Listener{Endpoint: Endpoint{URL: url}, Credentials: withToken, Retry: quickRetry, ConnectTimeout: patience}
}

// These errors are final: no other connection is made.
func TestListenEndsAtFinalError(t *testing.T) {
	for name, c := range map[string]struct {
		script    func(p *peer)
		reconnect bool
		check     func(error) bool
	}{
		"refused login": {func(p *peer) { p.greet(); p.reply(p.expect(proto.TypeAuthorize), "403 Forbidden", nil) }, true, func(err error) bool {
			return isKind(err, KindAuth)
		}},
		"not Skaro": {func(p *peer) { p.send(map[string]any{"type": "x"}) }, true, func(err error) bool {
			return isKind(err, KindProtocol)
		}},
		"no reconnect": {func(p *peer) { p.login() }, false, func(err error) bool {
			return KindOf(err) == KindUnreachable
		}},
		"ids that went back": {func(p *peer) {
			p.login(proto.ExtUpdates)
			p.updates(p.expectUpdates(100), 100, false)
			p.pushAfterCatchUp(100, 7)
			p.recv()
		}, true, func(err error) bool {
			var e *Error
			return errors.As(err, &e) && e.Kind == KindIDsBackwards && e.Backwards.ID == 7 && e.Backwards.Position == 100
		}},
		"updates that are never all there": {func(p *peer) {
			p.login(proto.ExtUpdates)
			for f, ok := p.recv(); ok; f, ok = p.recv() {
				p.updates(f, 100, true)
			}
		}, true, func(err error) bool {
			return isKind(err, KindProtocol)
		}},
		"a push that no updates have": {func(p *peer) {
			p.login(proto.ExtUpdates)
			for f, ok := p.recv(); ok; f, ok = p.recv() {
				p.send(incoming(200))
				p.updates(f, 100, false)
			}
		}, true, func(err error) bool {
			return isKind(err, KindProtocol)
		}},
		"refused updates": {func(p *peer) {
			p.login(proto.ExtUpdates)
			p.reply(p.expect(proto.TypeGetUpdates), "400 Bad Request", nil)
		}, true, func(err error) bool {
			return isKind(err, KindRefused)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			connections := 0
			url := serve(t, func(p *peer) { connections = p.nth; c.script(p) })
			l := listener(url)
			if !c.reconnect {
				l.Retry = RetryPolicy{}
			}
			l.Start = &Bound{ID: 100}
			err := l.Run(bounded(t), func(Event) error { return nil })
			if !c.check(err) || connections != 1 {
				t.Errorf("after %d connections: %T: %v", connections, err, err)
			}
		})
	}
}

// The end of the context ends every wait, with its cause.
func TestListenInterrupted(t *testing.T) {
	interrupted := errors.New("interrupted")
	for name, script := range map[string]func(p *peer, over func()){
		"while connecting": func(p *peer, over func()) { over(); p.recv() },
		"while catching up": func(p *peer, over func()) {
			p.login(proto.ExtUpdates)
			p.expect(proto.TypeGetUpdates)
			over()
			p.recv()
		},
		"while live": func(p *peer, over func()) {
			p.login()
			p.reply(p.expect(proto.TypeGetContacts), proto.StatusOK, map[string]any{"data": []any{}})
			over()
			p.recv()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(bounded(t))
			url := serve(t, func(p *peer) { script(p, func() { cancel(interrupted) }) })
			if err := listener(url).Run(ctx, func(Event) error { return nil }); !errors.Is(err, interrupted) {
				t.Error(err)
			}
		})
	}
	t.Run("while pausing", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(bounded(t))
		url := serve(t, func(p *peer) { p.login() })
		l := listener(url)
		l.Retry = RetryPolicy{BeforeLogin: Forever, AfterLogin: Forever, FirstPause: time.Hour, MostPause: time.Hour}
		l.Lost = func(error, time.Duration) { cancel(interrupted) }
		if err := l.Run(ctx, func(Event) error { return nil }); !errors.Is(err, interrupted) {
			t.Error(err)
		}
	})
}

// An error of deliver ends the listening, and does not count as a lost connection.
func TestListenEndsAtErrorOfDeliver(t *testing.T) {
	broken := &Error{Kind: KindUnreachable, Msg: "not from the network"}
	url := serve(t, func(p *peer) { p.login(); p.send(incoming(1)); p.recv() })
	if err := listener(url).Run(bounded(t), func(Event) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// A connection whose server answers no ping is dropped.
func TestListenDropsDeadLink(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login()
		if p.nth == 1 {
			<-p.t.Context().Done() // it reads nothing, and so answers nothing
			return
		}
		p.send(message(0, "bob", "alice", "back again"))
		p.recv()
	})
	l := listener(url)
	l.PingInterval = 20 * time.Millisecond
	lost := ""
	l.Lost = func(err error, _ time.Duration) {
		lost = err.Error()
		l.PingInterval = 0 // the next connection has all the time that it needs
	}
	if got := bodies(t, l, 1); got[0] != "back again" || !strings.Contains(lost, "no answer to a ping") {
		t.Errorf("%q, lost: %s", got, lost)
	}
}

// A server that floods a connection before its login does not keep Run from ending.
func TestListenEndsDuringFloodBeforeLogin(t *testing.T) {
	flooded := make(chan struct{})
	url := serve(t, func(p *peer) {
		p.greet()
		for range 2 * inboxSize {
			p.send(map[string]any{"type": "info", "info": "x"})
		}
		close(flooded)
		p.recv()
	})
	l := listener(url)
	l.Credentials = func(context.Context) (Credentials, error) {
		within(t, flooded)
		return Credentials{}, errDone
	}
	if err := l.Run(bounded(t), func(Event) error { return nil }); !errors.Is(err, errDone) {
		t.Error(err)
	}
}

// Between two connections, a server may get the extension updates, or lose it. In the
// first case the listener continues by date; in the second it starts over.
func TestListenThroughReplacedServers(t *testing.T) {
	noContacts := map[string]any{"data": []any{}}
	url := serve(t, func(p *peer) {
		switch p.nth {
		case 1:
			p.login()
			p.reply(p.expect(proto.TypeGetContacts), proto.StatusOK, noContacts)
			p.send(pushed(said("bob", "1", 1)))
		case 2:
			p.login(proto.ExtUpdates)
			p.updates(p.expectUpdates(-1), 3, false) // to find an id for the date
			p.updates(p.expectUpdates(0), 3, false, incoming(1), incoming(2), incoming(3))
		case 3:
			p.login(proto.ExtUpdates)
			p.updates(p.expectUpdates(3), 3, false)
		case 4:
			p.login()
			p.reply(p.expect(proto.TypeGetContacts), proto.StatusOK, noContacts)
			p.send(pushed(said("bob", "5", 5)))
			p.recv()
		}
	})
	want := []string{"1", "2", "3", "5"}
	if got := bodies(t, listener(url), len(want)); !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}
