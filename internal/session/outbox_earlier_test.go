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

// messages returns a channel at its end.
func messages(list ...Message) chan Message {
	ch := make(chan Message, len(list))
	for _, m := range list {
		ch <- m
	}
	close(ch)
	return ch
}

// A message of an earlier run is sent again, with its nonce, while the server remembers that.
// Otherwise it is unknown for good, and those after it are sent.
func TestOutboxGoesOnWithMessagesOfAnEarlierRun(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		nonces    bool
		attempted time.Time
		want      State
		delivered []string
	}{
		"fresh":                {true, ago(nonceLife - time.Second), StateConfirmed, []string{"a", "b"}},
		"old":                  {true, ago(nonceLife), StateUnknown, []string{"b"}},
		"a clock set back":     {true, ago(-clockSlack), StateUnknown, []string{"b"}},
		"a clock that differs": {true, ago(-time.Minute), StateConfirmed, []string{"a", "b"}},
		"plain server":         {false, ago(time.Second), StateUnknown, []string{"b"}},
		"never sent":           {false, time.Time{}, StateConfirmed, []string{"a", "b"}},
	} {
		server := &mailServer{nonces: c.nonces}
		o := outbox(serve(t, server.serve))
		o.clock = func() time.Time { return now }
		got, err := run(bounded(t), o, messages(Message{To: "bob", Body: "a", Nonce: "0123456789abcdef", Attempted: c.attempted}, Message{To: "bob", Body: "b"}))
		if err != nil || len(got) != 2 || got[0].State != c.want || got[0].Final != (c.want == StateUnknown) || got[1].State != StateConfirmed {
			t.Errorf("%s: %v, results %+v", name, err, got)
		}
		if !reflect.DeepEqual(server.delivered, c.delivered) || c.nonces && c.want == StateConfirmed && server.ids["0123456789abcdef"] != 1 {
			t.Errorf("%s: delivered %q with %v", name, server.delivered, server.ids)
		}
	}
}

// If the server has a message of an earlier run, it is not delivered again.
func TestOutboxDeliversMessageOfAnEarlierRunOnce(t *testing.T) {
	server := &mailServer{nonces: true, ids: map[string]int64{"0123456789abcdef": 7}}
	in := messages(Message{To: "bob", Body: "a", Nonce: "0123456789abcdef", Attempted: time.Now()})
	got, err := run(bounded(t), outbox(serve(t, server.serve)), in)
	if err != nil || len(got) != 1 || got[0].ID != 7 || len(server.delivered) != 0 {
		t.Errorf("%v, results %+v, delivered %q", err, got, server.delivered)
	}
}

// An earlier attempt may have succeeded: without a connection, the result stays unknown, and is
// not final.
func TestOutboxKeepsTheDoubtOfAnEarlierRun(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login(proto.ExtNonce)
		p.expect(proto.TypeSendMessage)
	})
	o := outbox(url)
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	o.Lost = func(error, time.Duration) { cancel() }
	got, err := run(ctx, o, messages(Message{To: "bob", Body: "a", Nonce: "0123456789abcdef", Attempted: time.Now()}))
	if err == nil || len(got) != 1 || got[0].State != StateUnknown || got[0].Final {
		t.Errorf("%v, results %+v", err, got)
	}
}

// Sending is called for each message before it leaves, once, and says whether the server knows
// nonces.
func TestOutboxSaysThatAMessageLeaves(t *testing.T) {
	for _, nonces := range []bool{false, true} {
		server := &mailServer{nonces: nonces}
		o := outbox(serve(t, server.serve))
		now := time.Now()
		o.clock = func() time.Time { return now }
		var said []string
		o.Sending = func(m Message, at time.Time, repeatable bool) error {
			if server.count(m.Body) > 0 || !at.Equal(now) || repeatable != nonces {
				t.Errorf("%s at %v, repeatable %v", m, at, repeatable)
			}
			said = append(said, m.Body)
			return nil
		}
		got, err := run(bounded(t), o, messages(Message{To: "bob", Body: "a"}, Message{To: "bob", Body: "b"}))
		if err != nil || len(got) != 2 || strings.Join(said, "") != "ab" {
			t.Errorf("%v, results %+v, said %q", err, got, said)
		}
	}
}

// If Sending fails, nothing leaves any more, and the run ends with its error.
func TestOutboxKeepsAMessageThatMayNotLeave(t *testing.T) {
	server := &mailServer{nonces: true}
	o := outbox(serve(t, server.serve))
	full := errors.New("the disk is full")
	o.Retry = retryFor(patience)
	o.Sending = func(m Message, _ time.Time, _ bool) error {
		if m.Body == "b" {
			return full
		}
		return nil
	}
	got, err := run(bounded(t), o, messages(Message{To: "bob", Body: "a"}, Message{To: "bob", Body: "b"}, Message{To: "bob", Body: "c"}))
	if !errors.Is(err, full) || len(got) < 2 || got[0].State != StateConfirmed || got[1].State != StateUnsent || !errors.Is(got[1].Err, full) {
		t.Errorf("%v, results %+v", err, got)
	}
	if want := []string{"a"}; !reflect.DeepEqual(server.delivered, want) {
		t.Errorf("delivered %q", server.delivered)
	}
}

// A message that left without its nonce is unknown for good, even if the server then learns
// to know nonces, and whatever ended the run.
func TestOutboxDoesNotResendWhatLeftWithoutNonce(t *testing.T) {
	for _, interrupted := range []bool{false, true} {
		ctx, cancel := context.WithCancel(bounded(t))
		server := &mailServer{nonces: true}
		url := serve(t, func(p *peer) {
			if p.nth > 1 {
				server.serve(p)
				return
			}
			p.login()
			server.deliver(p.expect(proto.TypeSendMessage))
			if interrupted {
				cancel()
				p.recv()
			}
		})
		o := outbox(url)
		o.Retry = retryFor(patience)
		in := make(chan Message, 1)
		in <- Message{To: "bob", Body: "a"}
		o.Lost = func(error, time.Duration) { close(in) }
		got, _ := run(ctx, o, in)
		if len(got) != 1 || got[0].State != StateUnknown || !got[0].Final || server.count("a") != 1 {
			t.Errorf("interrupted %v: results %+v", interrupted, got)
		}
		cancel()
	}
}
