package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Message is a text to one recipient.
type Message struct {
	To, Body string
	// Key is the nonce that the caller has chosen: 16 to 64 characters. The server delivers one
	// message with it.
	Key string
	// Fields are what belongs to the message but not in its body. A message that has some is
	// not sent to a server without the extension fields.
	Fields proto.Fields
	// FieldsOptional means that such a server gets the message without its fields.
	FieldsOptional bool
	// Nonce is what makes the message safe to send again, if it has no Key. If it is empty, the
	// outbox makes one.
	Nonce string
	// Attempted is when an earlier run first sent the message, with its Key or Nonce, and did not
	// learn the result. Zero means that no run did.
	Attempted time.Time
	Ref       any // the caller's; it comes back in the Result

	Line int // its number in the input; zero if it has none
	// Record means that the input has records that need not be lines.
	Record bool
}

// Unit returns what Line counts.
func (m Message) Unit() string {
	if m.Record {
		return "record"
	}
	return "line"
}

// String names a message in an error.
func (m Message) String() string {
	if m.Line > 0 {
		return fmt.Sprintf("%s %d to %s", m.Unit(), m.Line, m.To)
	}
	return m.To
}

// State says what became of a message.
type State int

// The states in which a message ends.
const (
	StateUnsent    State = iota // it was not sent, or the login was refused: it was not delivered
	StateUnknown                // it was sent and not answered: it may or may not have been delivered
	StateRefused                // the server refused it: it was not delivered
	StateConfirmed              // the server has it
)

// Result says what became of a message. Sent is set only if the message was confirmed, and
// Err only if it was not.
type Result struct {
	Message Message
	State   State
	Sent
	Err error
	// Final says for StateUnknown that the message can't be sent again without the risk that it
	// is delivered twice.
	Final bool
	More  bool // another message is in flight: its result follows, so output can be held back
}

// Outbox sends messages in order, many in flight, over as many connections as needed. If the
// server has the extension nonce, a message whose confirmation was lost with its connection
// is sent again and delivered once; else its state is StateUnknown.
type Outbox struct {
	Endpoint    Endpoint
	Credentials func(context.Context) (Credentials, error) // called for each connection, while it is made

	InFlight int // how many messages may wait for their confirmation
	// AttemptTime bounds each attempt to connect and log in, and each answer: a server
	// that leaves a message without an answer for longer counts as lost.
	AttemptTime time.Duration
	// Retry says how long to try again. Messages that were sent, and can safely be sent
	// again, get AttemptTime at least.
	Retry RetryPolicy
	// RetryRefused means that a message that the server refuses for now, with 429 or 5xx, is
	// sent again after a pause. The messages after it wait.
	RetryRefused bool
	PingInterval time.Duration // as in Listener

	LoggedIn func(Account)                        // as in Listener
	Lost     func(err error, pause time.Duration) // as in Listener

	// Sending is called for a message that was never sent, before its first byte leaves.
	// repeatable means that the server will recognize it if it is sent again. If Sending fails,
	// nothing leaves, and the run ends with that error. It may be nil.
	Sending func(m Message, at time.Time, repeatable bool) error

	clock func() time.Time // for tests; nil is time.Now
}

// Run sends the messages from in until in is closed and every result is known. It ends
// early with the first error of each, with the cause of ctx's end, or with the reason why
// there is no connection. Each message taken from in gets exactly one result, in order.
func (o *Outbox) Run(ctx context.Context, in <-chan Message, each func(Result) error) error {
	r := &outboxRun{Outbox: o, in: in, each: each}
	err := r.Retry.retry(ctx, r.Lost, r.once)
	r.giveUp(err)
	return cmp.Or(r.failed, err)
}

// outboxRun is the state of one Run. While a worker has a connection, in and backlog
// belong to its writer, and the rest to its collector, which is the goroutine of Run.
type outboxRun struct {
	*Outbox
	in      <-chan Message
	each    func(Result) error
	backlog []*outgoing // taken from in and not reported: they are sent before anything else from in

	nonces  nonces
	sid     string // of the last login: a connection that is made again restores it
	greeted bool   // a server has greeted us
	failed  error  // the first error of each
}

// outgoing is a message that was taken from in and not reported yet.
type outgoing struct {
	Message
	nonce string
	state outgoingState
	sent  time.Time // when it was first sent; zero if it was not
	bare  bool      // it was sent without its nonce
	call  *Call     // on the connection that it was last written to

	refused error  // why the server refused it for now, nil if it did not
	result  Result // of an answered message
}

// outgoingState is where an outgoing message stands. Only move changes it.
type outgoingState int

const (
	notSent  outgoingState = iota // no part of it was sent
	inFlight                      // it was written, in part at least, to this connection alone
	unacked                       // it was written to a connection that is gone: it may have arrived
	resent                        // it is unacked, and was written to this connection too
	answered                      // its result is known, and is reported after those before it
)

// step is an event that moves an outgoing message to another state.
type step int

const (
	stepWritten      step = iota // some of it may have left on this connection
	stepLost                     // the connection ended without an answer
	stepLoginRefused             // the connection ended because the login was refused: it delivered nothing
	stepRefused                  // the server refused the message for now: this connection did not deliver it
	stepAnswered                 // its result is known, and can't be reported yet
)

// move changes the state of a message that is not answered.
func (m *outgoing) move(s step) {
	switch {
	case s == stepAnswered:
		m.state = answered
	case m.state == notSent && s == stepWritten:
		m.state = inFlight
	case m.state == unacked && s == stepWritten:
		m.state = resent
	case m.state == inFlight && (s == stepLoginRefused || s == stepRefused):
		m.state = notSent
	case m.state == inFlight && s == stepLost, m.state == resent && s != stepWritten:
		m.state = unacked
	}
}

// nonceLife is how long a nonce makes it safe to send a message again: an hour less than
// a server remembers it (docs/protocol.md, "nonce").
const nonceLife = 23 * time.Hour

// clockSlack is how far in the future the time of an earlier attempt may be: the clock may
// have been set back since.
const clockSlack = time.Hour

// resendable reports whether the message can be sent, or sent again, without the risk
// that it is delivered twice.
func (m *outgoing) resendable(hasNonces bool, now time.Time) bool {
	age := now.Sub(m.sent)
	return m.state == notSent || m.state == answered || hasNonces && !m.bare && age < nonceLife && age > -clockSlack
}

// unanswered is the result of a message that is given up because of err. final becomes
// Result.Final.
func (m *outgoing) unanswered(err error, final bool) Result {
	switch {
	case m.state == answered:
		return m.result
	case m.state == notSent && m.refused != nil:
		return Result{Message: m.Message, State: StateRefused, Err: m.refused}
	case m.state == notSent:
		return Result{Message: m.Message, State: StateUnsent, Err: err}
	}
	return Result{Message: m.Message, State: StateUnknown, Err: Unknown(proto.TypeSendMessage, err), Final: final}
}

// take makes an outgoing message, with a nonce.
func (r *outboxRun) take(m Message) *outgoing {
	o := &outgoing{Message: m, nonce: cmp.Or(m.Key, m.Nonce)}
	if o.nonce == "" {
		o.nonce = r.nonces.next()
	}
	if !m.Attempted.IsZero() {
		o.state, o.sent = unacked, m.Attempted
	}
	return o
}

// report reports a result, and returns the first error that each has returned.
func (r *outboxRun) report(result Result, more bool) error {
	result.More = more
	if err := r.each(result); err != nil && r.failed == nil {
		r.failed = err
	}
	return r.failed
}

// giveUp reports what is left, because of err.
func (r *outboxRun) giveUp(err error) {
	now := r.now()
	for _, m := range r.backlog {
		_ = r.report(m.unanswered(err, !m.resendable(true, now)), false)
	}
	r.backlog = nil
}

// hasUnacked reports whether a message that was not answered may have arrived.
func (r *outboxRun) hasUnacked() bool {
	return slices.ContainsFunc(r.backlog, func(m *outgoing) bool { return m.state == unacked })
}

// done reports whether nothing is left to be sent, as far as that is known without
// waiting.
func (r *outboxRun) done() bool {
	if len(r.backlog) > 0 {
		return false
	}
	select {
	case m, ok := <-r.in:
		if ok {
			r.backlog = append(r.backlog, r.take(m))
		}
		return !ok
	default:
		return false
	}
}

// once makes one connection, and says what came of it.
func (r *outboxRun) once(ctx context.Context) attempt {
	hadUnacked := r.hasUnacked()
	w, err := r.connect(ctx)
	a := attempt{err: err, loggedIn: !w.loggedInAt.IsZero(), up: w.loggedInAt}
	// A login is no progress if the server then refuses the first message for now, or if there were
	// unacked messages and it answers none of them.
	a.progress = !a.up.IsZero() && (w.reported || !hadUnacked && w.refused == nil)
	if r.hasUnacked() {
		a.patience = r.AttemptTime
	}
	if err == nil || r.failed != nil || ctx.Err() == nil && Temporary(err) && r.greeted && r.done() {
		a.done, a.err = true, r.failed
	}
	return a
}

// connect makes one connection, and sends over it. The error is nil when nothing is left to be sent.
func (r *outboxRun) connect(ctx context.Context) (*worker, error) {
	w := &worker{run: r}
	login, cancel := WithTimeout(ctx, r.AttemptTime)
	defer cancel()
	s, err := Open(login, r.Endpoint, func(ctx context.Context) (Credentials, error) {
		c, err := r.credentials(ctx)
		w.early = c.oneTry()
		return c, err
	}, nil)
	if err != nil {
		return w, err
	}
	defer s.Close()
	r.greeted = true
	w.session, w.hasNonces, w.hasFields = s, s.Greeting().Has(proto.ExtNonce), s.Greeting().Has(proto.ExtFields)
	r.dropUnsafe(w.hasNonces, errForgotten)
	if r.failed != nil {
		return w, r.failed
	}
	defer s.startPings(ctx, r.PingInterval)()
	err = w.work(ctx, login)
	if err != nil && !w.hasNonces && ctx.Err() == nil && r.failed == nil {
		r.dropUnsafe(false, err)
	}
	return w, err
}

// dropUnsafe reports the messages that can't be sent again: the server has no nonces, or
// may have forgotten theirs.
func (r *outboxRun) dropUnsafe(hasNonces bool, err error) {
	now := r.now()
	var kept []*outgoing
	for _, m := range r.backlog {
		if m.resendable(hasNonces, now) {
			kept = append(kept, m)
		} else {
			_ = r.report(m.unanswered(err, true), false)
		}
	}
	r.backlog = kept
}

// errForgotten is why a message is not sent again.
var errForgotten = errors.New("the server no longer knows whether it has the message")

// now returns the time by the wall clock: the monotonic clock stops while the machine sleeps.
func (r *outboxRun) now() time.Time {
	if r.clock != nil {
		return r.clock()
	}
	return time.Now().Round(0)
}

// credentials returns those of the caller, with the SID of the last login if they have none.
func (r *outboxRun) credentials(ctx context.Context) (Credentials, error) {
	c, err := r.Credentials(ctx)
	if c.SID == "" {
		c.SID = r.sid
	}
	return c, err
}

// nonces makes nonces that no other sender uses (docs/protocol.md, "nonce"): 80 random bits for
// a run, and a counter. Consecutive nonces are neighbours in the server's index, which makes a
// flood three times cheaper there.
type nonces struct {
	prefix string
	n      uint64
}

func (s *nonces) next() string {
	if s.prefix == "" {
		b := make([]byte, 10)
		_, _ = rand.Read(b) // it never fails
		s.prefix = hex.EncodeToString(b)
	}
	s.n++
	return fmt.Sprintf("%s%012x", s.prefix, s.n)
}
