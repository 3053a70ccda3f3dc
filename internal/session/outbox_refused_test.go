package session

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// busyServer refuses each message so many times for now, by its body, and then takes it.
type busyServer struct {
	mailServer
	busy   map[string]int
	status string
}

func (b *busyServer) serve(p *peer) {
	var extensions []string
	if b.nonces {
		extensions = []string{proto.ExtNonce}
	}
	p.login(extensions...)
	for {
		f, ok := p.recv()
		if !ok {
			return
		}
		b.mu.Lock()
		b.busy[f.Text("body")]--
		refuse := b.busy[f.Text("body")] >= 0
		b.mu.Unlock()
		if refuse {
			p.reply(f, b.status, nil)
			continue
		}
		b.answer(p, f)
	}
}

// A message that the server refuses for now is sent again, those after it keep their
// order, and none comes twice.
func TestOutboxSendsAgainWhatIsRefusedForNow(t *testing.T) {
	for _, status := range []string{proto.StatusTooMany, proto.StatusInternal, "503 Service Unavailable"} {
		for _, nonces := range []bool{true, false} {
			t.Run(fmt.Sprint(status, nonces), func(t *testing.T) {
				list, ch := input(12)
				server := &busyServer{mailServer: mailServer{nonces: nonces}, status: status, busy: map[string]int{list[1].Body: 2, list[2].Body: 1, list[10].Body: 3}}
				o := outbox(serve(t, server.serve))
				o.Retry, o.RetryRefused = retryFor(patience), true
				pauses := 0
				o.Lost = func(err error, _ time.Duration) {
					if pauses++; !isKind(err, KindRefused) {
						t.Errorf("lost: %v", err)
					}
				}
				got, err := run(bounded(t), o, ch)
				if err != nil || len(got) != len(list) || pauses == 0 {
					t.Fatalf("%v, %+v, %d pauses", err, got, pauses)
				}
				for i, r := range got {
					if r.State != StateConfirmed || r.Message != list[i] || server.count(r.Message.Body) != 1 {
						t.Errorf("%d: %+v", i, r)
					}
				}
			})
		}
	}
}

// If the time is over, a message that was refused last is refused, and the others have the
// state that is known.
func TestOutboxGivesUpWhatIsRefusedForNow(t *testing.T) {
	list, ch := input(3)
	server := &busyServer{mailServer: mailServer{nonces: true}, status: proto.StatusTooMany, busy: map[string]int{list[1].Body: 1 << 30}}
	o := outbox(serve(t, server.serve))
	o.Retry, o.RetryRefused = retryFor(100*time.Millisecond), true
	got, err := run(bounded(t), o, ch)
	var states []State
	for _, r := range got {
		states = append(states, r.State)
	}
	if want := []State{StateConfirmed, StateRefused, StateConfirmed}; !isKind(err, KindRefused) || !reflect.DeepEqual(states, want) || statusOf(got[1].Err) != proto.StatusTooMany {
		t.Errorf("%v, %+v", err, got)
	}
}

// Without RetryRefused, and if it is final, a refusal is the result.
func TestOutboxReportsOtherRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		retry  bool
	}{"for now": {proto.StatusTooMany, false}, "for ever": {proto.StatusForbidden, true}} {
		list, ch := input(3)
		server := &busyServer{mailServer: mailServer{nonces: true}, status: c.status, busy: map[string]int{list[1].Body: 1}}
		o := outbox(serve(t, server.serve))
		o.Retry, o.RetryRefused = retryFor(patience), c.retry
		got, err := run(bounded(t), o, ch)
		if err != nil || len(got) != 3 || got[1].State != StateRefused || got[2].State != StateConfirmed || server.count(list[1].Body) != 0 {
			t.Errorf("%s: %v, %+v", name, err, got)
		}
	}
}
