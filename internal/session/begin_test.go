package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// positions runs a listener that saves its position before it delivers anything, and
// returns what it did: "at N" for a position, and the bodies.
func positions(t *testing.T, ctx context.Context, l *Listener, enough int) (did []string, err error) {
	t.Helper()
	l.PositionFirst = true
	bodies := 0
	l.Settled = func() error {
		if p, ok := l.Position(); ok {
			if at := fmt.Sprint("at ", p.ID); len(did) == 0 || did[len(did)-1] != at {
				did = append(did, at)
			}
		}
		return nil
	}
	err = l.Run(ctx, func(e Event) error {
		did = append(did, e.Message.Body)
		if bodies++; bodies == enough {
			return ErrEnough
		}
		return nil
	})
	return did, err
}

// The request for the position leaves with the login, and the position is settled before
// any message is delivered. It is below a message that is pushed before the answer.
func TestUpdatesBeginWithTheLogin(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet(proto.ExtUpdates)
		login, f := p.expect(proto.TypeAuthorize), p.expectUpdates(-1)
		p.welcome(login)
		p.send(incoming(8))
		p.send(incoming(10))
		p.updates(f, 10, false)
		p.recv()
	})
	did, err := positions(t, bounded(t), listener(url), 1)
	if want := []string{"at 7", "8"}; err != nil || !reflect.DeepEqual(did, want) {
		t.Errorf("%q, %v", did, err)
	}
}

// A server that refuses what comes before the login is confirmed is asked again.
func TestUpdatesBeginAfterRefusedSID(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet(proto.ExtUpdates)
		restore, f := p.expect(proto.TypeSessionRestore), p.expectUpdates(-1)
		p.reply(restore, "410 Gone", nil)
		p.reply(f, "401 Unauthorized", nil)
		p.welcome(p.expect(proto.TypeAuthorize))
		p.updates(p.expectUpdates(-1), 3, false)
		p.send(incoming(4))
		p.recv()
	})
	l := listener(url)
	l.Credentials = withSID
	did, err := positions(t, bounded(t), l, 1)
	if want := []string{"at 3", "4"}; err != nil || !reflect.DeepEqual(did, want) {
		t.Errorf("%q, %v", did, err)
	}
}

// A connection that is lost before the answer loses no message that was pushed.
func TestUpdatesBeginKeepsWhatWasPushed(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		switch p.nth {
		case 1:
			p.expectUpdates(-1)
			p.send(incoming(5))
		case 2:
			p.updates(p.expectUpdates(4), 6, false, incoming(5), incoming(6))
			p.recv()
		}
	})
	did, err := positions(t, bounded(t), listener(url), 2)
	if want := []string{"5", "6"}; err != nil || !reflect.DeepEqual(did, want) {
		t.Errorf("%q, %v", did, err)
	}
}

// The end of the time before the answer leaves no position, and nothing is delivered.
func TestBeginWithoutAnswerLeavesNoPosition(t *testing.T) {
	over := errors.New("the time is over")
	for name, script := range map[string]func(p *peer){
		"updates": func(p *peer) { p.login(proto.ExtUpdates); p.expectUpdates(-1) },
		"plain": func(p *peer) {
			p.login()
			p.reply(p.expect(proto.TypeGetContacts), proto.StatusOK, map[string]any{"data": []any{map[string]any{"login": "bob"}}})
			p.expect(proto.TypeGetHistory)
			p.send(pushed(said("bob", "early", 1)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(bounded(t))
			url := serve(t, func(p *peer) { script(p); cancel(over); p.recv() })
			l := listener(url)
			did, err := positions(t, ctx, l, 1)
			if _, ok := l.Position(); ok || len(did) > 0 || !errors.Is(err, over) {
				t.Errorf("%q, %v, a position: %v", did, err, ok)
			}
		})
	}
}

// On a plain server, too, nothing is delivered before the position is settled. A message
// that was pushed meanwhile and not delivered comes in the next run, whether or not a
// history had it by then.
func TestHistoriesBeginBeforeDelivery(t *testing.T) {
	s := newPlain(t, "bob")
	s.store(said("bob", "old", 1))
	s.beforeHistory = func(p *peer, dialog string) {
		s.beforeHistory = nil
		s.messages = append(s.messages, said("bob", "one", 2), said("bob", "two", 3)) // in the history too
		for _, m := range s.messages[1:] {
			p.send(pushed(m))
		}
		p.send(pushed(saidIn("ops", "carol", "three", 4)))
	}
	l := listener(s.url)
	did, err := positions(t, bounded(t), l, 1)
	if want := []string{"at 0", "one"}; err != nil || !reflect.DeepEqual(did, want) {
		t.Fatalf("%q, %v", did, err)
	}
	s.store(saidIn("ops", "carol", "three", 4))
	saved, ok := l.Position()
	if !ok {
		t.Fatal("there is no position")
	}
	l = listener(s.url)
	l.Resume = &saved
	if got := bodies(t, l, 2); !slices.Equal(got, []string{"two", "three"}) {
		t.Errorf("%q", got)
	}
}

// A connection to a plain server that is lost before the position is known delivers what
// was pushed.
func TestHistoriesBeginDeliversAtALoss(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login()
		f := p.expect(proto.TypeGetContacts)
		if p.nth == 1 {
			p.send(pushed(said("bob", "early", 1)))
			return
		}
		p.reply(f, proto.StatusOK, map[string]any{"data": []any{}})
		p.reply(p.expect(proto.TypeGetHistory), proto.StatusOK, map[string]any{"history": []any{}})
		p.send(pushed(said("bob", "later", 2)))
		p.recv()
	})
	l := listener(url)
	l.Lost = func(error, time.Duration) {}
	did, err := positions(t, bounded(t), l, 2)
	if want := []string{"early", "at 0", "later"}; err != nil || !reflect.DeepEqual(did, want) {
		t.Errorf("%q, %v", did, err)
	}
}
