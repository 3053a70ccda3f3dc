package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// mailServer is a server that remembers what was sent to it.
type mailServer struct {
	nonces bool // it has the extension

	mu        sync.Mutex
	delivered []string
	ids       map[string]int64 // by nonce
}

// deliver delivers a message, and returns its id.
func (m *mailServer) deliver(f proto.Frame) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	nonce := f.Text("nonce")
	if id := m.ids[nonce]; id != 0 && nonce != "" {
		return id
	}
	m.delivered = append(m.delivered, f.Text("body"))
	id := int64(len(m.delivered))
	if m.ids == nil {
		m.ids = map[string]int64{}
	}
	m.ids[nonce] = id
	return id
}

// count returns how often a body was delivered.
func (m *mailServer) count(body string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, b := range m.delivered {
		if b == body {
			n++
		}
	}
	return n
}

// serve answers one connection until its end. There is no user "nobody".
func (m *mailServer) serve(p *peer) {
	if m.nonces {
		p.greet(proto.ExtNonce)
	} else {
		p.greet()
	}
	for {
		f, ok := p.recv()
		if !ok {
			return
		}
		switch f.Type() {
		case proto.TypeAuthorize, proto.TypeSessionRestore:
			p.welcome(f)
		case proto.TypeSendMessage:
			m.answer(p, f)
		default:
			p.t.Errorf("peer: %s", f.Describe())
		}
	}
}

// answer answers a send_message.
func (m *mailServer) answer(p *peer, f proto.Frame) {
	if f.Text("to") == "nobody" {
		p.reply(f, proto.StatusNotFound, nil)
		return
	}
	p.reply(f, proto.StatusOK, map[string]any{"message_id": m.deliver(f)})
}

// input is n messages to bob, in a channel that is at its end.
func input(n int) (list []Message, ch chan Message) {
	ch = make(chan Message, n)
	for i := range n {
		list = append(list, Message{To: "bob", Body: fmt.Sprintf("message %03d", i+1), Line: i + 1})
		ch <- list[i]
	}
	close(ch)
	return list, ch
}

// outbox returns an outbox that reconnects at once.
func outbox(url string) *Outbox {
	return &Outbox{
		Endpoint: Endpoint{URL: url}, Credentials: withToken, InFlight: 8, AttemptTime: patience, Retry: retryFor(0),
	}
}

// retryFor is a policy that tries again for a time, with no pauses to speak of.
func retryFor(d time.Duration) RetryPolicy {
	return RetryPolicy{BeforeLogin: d, AfterLogin: d, FirstPause: time.Nanosecond, MostPause: time.Nanosecond, Lasting: time.Hour}
}

// run runs an outbox, and returns its results.
func run(ctx context.Context, o *Outbox, in <-chan Message) (got []Result, err error) {
	err = o.Run(ctx, in, func(r Result) error {
		if (r.Err == nil) != (r.State == StateConfirmed) {
			panic(fmt.Sprintf("%+v", r))
		}
		got = append(got, r)
		return nil
	})
	return got, err
}

func TestOutboxKeepsOrder(t *testing.T) {
	server := &mailServer{nonces: true}
	list, ch := input(500)
	got, err := run(bounded(t), outbox(serve(t, server.serve)), ch)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		if r.State != StateConfirmed || r.Message != list[i] || r.ID != int64(i+1) || server.delivered[i] != list[i].Body {
			t.Fatalf("result %d: %+v", i, r)
		}
	}
	if len(got) != len(list) || len(server.delivered) != len(list) {
		t.Errorf("%d results, %d delivered", len(got), len(server.delivered))
	}
}

// The last result that is ready has no More, so that held-back output is written.
func TestOutboxSaysWhenNoResultFollows(t *testing.T) {
	server := &mailServer{nonces: true}
	_, ch := input(50)
	got, err := run(bounded(t), outbox(serve(t, server.serve)), ch)
	if err != nil || len(got) != 50 || got[49].More {
		t.Errorf("%v, %d results: %+v", err, len(got), got[len(got)-1])
	}
}

func TestOutboxGoesOnAfterRefusal(t *testing.T) {
	server := &mailServer{}
	got, err := run(bounded(t), outbox(serve(t, server.serve)), alternating())
	var states []State
	for _, r := range got {
		states = append(states, r.State)
	}
	if want := []State{StateConfirmed, StateRefused, StateConfirmed, StateRefused, StateConfirmed}; err != nil || !reflect.DeepEqual(states, want) {
		t.Errorf("%v, states %v", err, states)
	}
	if want := []string{"0", "2", "4"}; !reflect.DeepEqual(server.delivered, want) {
		t.Errorf("delivered %q", server.delivered)
	}
}

// alternating is messages to bob, who exists, and to nobody.
func alternating() chan Message {
	ch := make(chan Message, 5)
	for i, to := range []string{"bob", "nobody", "bob", "nobody", "bob"} {
		ch <- Message{To: to, Body: fmt.Sprint(i), Line: i + 1}
	}
	close(ch)
	return ch
}

// An error of the caller ends the run. Each message that was taken has one result, and
// none was delivered without one.
func TestOutboxReportsEachMessageOnceAfterAnError(t *testing.T) {
	server := &mailServer{}
	ch := alternating()
	enough := errors.New("enough")
	var got []string
	err := outbox(serve(t, server.serve)).Run(bounded(t), ch, func(r Result) error {
		got = append(got, fmt.Sprintf("%s %d", r.Message.Body, r.State))
		if (r.Err == nil) != (r.State == StateConfirmed) {
			t.Errorf("%+v", r)
		}
		if r.State == StateRefused {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || len(got) < 2 || got[1] != fmt.Sprintf("1 %d", StateRefused) || len(got)+len(ch) != 5 {
		t.Errorf("%v, results %q, %d left", err, got, len(ch))
	}
	for _, body := range server.delivered {
		if !slices.Contains(got, fmt.Sprintf("%s %d", body, StateConfirmed)) {
			t.Errorf("%s was delivered without a result: %q", body, got)
		}
	}
}

// A message leaves at once, without waiting for others. A connection that is lost while
// there is no message is made again.
func TestOutboxSendsAtOnce(t *testing.T) {
	server := &mailServer{nonces: true}
	url := serve(t, func(p *peer) {
		if p.nth > 1 {
			server.serve(p)
			return
		}
		p.login(proto.ExtNonce)
		server.answer(p, p.expect(proto.TypeSendMessage))
	})
	ch := make(chan Message)
	o := outbox(url)
	o.Retry = retryFor(patience)
	lost, got := make(chan struct{}, 8), make(chan Result, 8)
	o.Lost = func(error, time.Duration) { lost <- struct{}{} }
	ended := make(chan error, 1)
	go func() { ended <- o.Run(bounded(t), ch, func(r Result) error { got <- r; return nil }) }()
	ch <- Message{To: "bob", Body: "a"}
	if r := within(t, got); r.State != StateConfirmed || r.ID != 1 || r.More {
		t.Errorf("%+v", r)
	}
	within(t, lost)
	ch <- Message{To: "bob", Body: "b"}
	if r := within(t, got); r.State != StateConfirmed || r.ID != 2 {
		t.Errorf("%+v", r)
	}
	close(ch)
	if err := within(t, ended); err != nil {
		t.Error(err)
	}
}

// A frame that the server does not take is not sent again.
func TestOutboxDoesNotRepeatTooLargeMessage(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login(proto.ExtNonce)
		p.ws.SetReadLimit(1000)
		p.recv()
	})
	ch := make(chan Message, 1)
	ch <- Message{To: "bob", Body: strings.Repeat("x", 10000)}
	close(ch)
	got, err := run(bounded(t), outbox(url), ch)
	if len(got) != 1 || got[0].State != StateUnknown || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v, %v", err, got)
	}
}

// A request that is larger than the server takes is refused here, so that the connection and the
// messages around it live on.
func TestOutboxSendsTheKeyAsNonce(t *testing.T) {
	const key = "0123456789abcdef"
	for _, nonces := range []bool{true, false} {
		m := &mailServer{nonces: nonces}
		ch := make(chan Message, 4)
		for i, k := range []string{"", key, key, ""} {
			ch <- Message{To: "bob", Body: "x", Key: k, Line: i + 1}
		}
		close(ch)
		got, err := run(bounded(t), outbox(serve(t, m.serve)), ch)
		if err != nil || len(got) != 4 || got[0].State != StateConfirmed || got[3].State != StateConfirmed {
			t.Fatalf("%v, %+v", err, got)
		}
		if nonces && (m.ids[key] != 2 || m.count("x") != 3 || got[2].ID != got[1].ID) {
			t.Errorf("delivered %d, %v", m.count("x"), m.ids)
		}
		// Without nonces the key would promise too much: such a message is not sent.
		if !nonces && (m.count("x") != 2 || got[1].State != StateRefused || KindOf(got[2].Err) != KindRefused || got[2].Message.Line != 3) {
			t.Errorf("delivered %d, %+v", m.count("x"), got)
		}
	}
}

func TestOutboxRefusesWhatTheServerDoesNotTake(t *testing.T) {
	h := newSkarod(t, nil, "alice", "bob")
	ch := make(chan Message, 3)
	for _, n := range []int{1, 2 << 20, 2} {
		ch <- Message{To: "bob", Body: strings.Repeat("x", n)}
	}
	close(ch)
	got, err := run(bounded(t), outbox(h.url()), ch)
	if len(got) != 3 || got[0].State != StateConfirmed || got[1].State != StateRefused || got[2].State != StateConfirmed || err != nil {
		t.Fatalf("%v, %v", err, got)
	}
	var e *Error
	if !errors.As(got[1].Err, &e) || proto.StatusCode(e.Status) != "413" || !strings.Contains(e.Error(), "takes at most 1048576") {
		t.Errorf("%v", got[1].Err)
	}
}

// TestOutgoingMovesBetweenStates is the table of the states of a message in an outbox.
func TestOutgoingMovesBetweenStates(t *testing.T) {
	for _, c := range []struct {
		steps []step
		want  outgoingState
	}{
		{nil, notSent},
		{[]step{stepLost}, notSent},
		{[]step{stepLoginRefused}, notSent},
		{[]step{stepWritten}, inFlight},
		{[]step{stepWritten, stepLoginRefused}, notSent},
		{[]step{stepWritten, stepRefused}, notSent},
		{[]step{stepWritten, stepLost, stepWritten, stepRefused}, unacked},
		{[]step{stepWritten, stepLost}, unacked},
		{[]step{stepWritten, stepLost, stepLost}, unacked},
		{[]step{stepWritten, stepLost, stepLoginRefused}, unacked},
		{[]step{stepWritten, stepLost, stepWritten}, resent},
		{[]step{stepWritten, stepLost, stepWritten, stepLost}, unacked},
		{[]step{stepWritten, stepLost, stepWritten, stepLoginRefused}, unacked},
		{[]step{stepWritten, stepAnswered}, answered},
		{[]step{stepWritten, stepLost, stepWritten, stepAnswered}, answered},
	} {
		m := &outgoing{}
		for _, s := range c.steps {
			m.move(s)
		}
		if m.state != c.want {
			t.Errorf("after %v the state is %v, not %v", c.steps, m.state, c.want)
		}
	}
}

// A message is sent again only if the server has nonces and still knows that one.
func TestOutgoingIsResentOnlyWithFreshNonce(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		state  outgoingState
		nonces bool
		age    time.Duration
		want   bool
	}{
		{notSent, false, 48 * time.Hour, true},
		{unacked, false, 0, false},
		{unacked, true, nonceLife - time.Second, true},
		{unacked, true, nonceLife, false},
	} {
		m := &outgoing{state: c.state, sent: now.Add(-c.age)}
		if got := m.resendable(c.nonces, now); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
