package session

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Limits for the messages that leave before the login is confirmed, which saves a round
// trip. If the server refuses one because the login is not done, it is sent again
// (Call.Wait). So each goes to a different recipient: the repeated one can't fall behind
// another to the same recipient. A server reads less from a client before the login.
const (
	earlyMessages = 16
	earlyBody     = 12 << 10 // bytes, with the fields; a frame of skarod has at most 16 KiB before the login
)

// worker sends over one connection. Its writer is a goroutine of its own, which work
// starts and joins; its collector is the goroutine of Run.
type worker struct {
	run       *outboxRun
	session   *Session
	hasNonces bool // the server has the extension nonce
	hasFields bool // the server has the extension fields
	early     bool // the login succeeds at the first request or not at all

	loggedIn bool            // the writer's: the login is confirmed
	ahead    map[string]bool // the writer's: recipients of messages that left before that
	places   chan struct{}   // each message in flight holds a place
	written  chan *outgoing  // in flight or answered, in order; the writer closes it when it ends
	more     context.Context // ends when the writer must stop
	inputEnd bool            // there are no more messages; set before written is closed
	withheld error           // the error of Outbox.Sending; set before written is closed

	unanswered []*outgoing // taken out of written
	loggedInAt time.Time   // zero if the login was not confirmed
	reported   bool        // the result of a message was reported
	refused    error       // why the server refused a message for now, nil if it did not
}

// work sends until nothing is left, the connection is lost, ctx ends, or each fails.
// login bounds the login.
func (w *worker) work(ctx, login context.Context) error {
	w.places = make(chan struct{}, w.run.InFlight)
	w.written = make(chan *outgoing, w.run.InFlight)
	w.ahead = map[string]bool{}
	more, stop := context.WithCancel(ctx)
	defer stop()
	w.more = more
	go w.write(ctx, login)
	err := w.collect(ctx, login, stop)
	stop()
	w.session.Close()
	for m := range w.written { // until the writer has ended
		w.unanswered = append(w.unanswered, m)
	}
	end := stepLost
	if w.loggedInAt.IsZero() && isRefusal(err) {
		end = stepLoginRefused
	}
	for _, m := range w.unanswered {
		m.move(end)
	}
	w.run.backlog = append(w.unanswered, w.run.backlog...)
	return err
}

// write is the writer: it sends messages until there are no more, the connection is lost,
// or it is to stop.
func (w *worker) write(ctx, login context.Context) {
	defer close(w.written)
	w.session.Cork()
	defer w.session.Uncork()
	for {
		m := w.next()
		if m == nil {
			return
		}
		w.judge(m)
		known := m.state == answered // it only needs a place, so that its result is reported in order
		if !known && !w.mayLeave(login, m) || !w.takePlace() || !known && !w.announce(m) {
			w.run.backlog = append([]*outgoing{m}, w.run.backlog...)
			return
		}
		failed := !known && w.send(ctx, m) != nil
		w.written <- m // it has room for every message that holds a place; m is the collector's now
		if failed {
			return
		}
	}
}

// next returns the next message to write: first what is left of earlier connections. It
// returns nil if there are no more, or if the writer is to stop.
func (w *worker) next() *outgoing {
	r := w.run
	if len(r.backlog) > 0 {
		m := r.backlog[0]
		r.backlog = r.backlog[1:]
		return m
	}
	select {
	case m, ok := <-r.in:
		return w.take(m, ok)
	default:
	}
	// Nothing is ready: what was held back must leave before the writer waits.
	w.session.Uncork()
	defer w.session.Cork()
	select {
	case m, ok := <-r.in:
		return w.take(m, ok)
	case <-w.session.Done():
	case <-w.more.Done():
	}
	return nil
}

// judge gives a message its result if it must not be sent on this connection. It was sent before,
// and might be delivered twice; or the server lacks an extension that the message needs. Without
// nonce, a server delivers a repeated key again; without fields, it drops the message's fields.
func (w *worker) judge(m *outgoing) {
	unsupported := w.unsupported(m)
	switch {
	case !m.resendable(w.hasNonces, w.run.now()):
		m.result = m.unanswered(errForgotten, true)
	case unsupported == nil || m.state == answered:
		return
	case m.state == notSent:
		m.result = Result{Message: m.Message, State: StateRefused, Err: unsupported}
	default: // another server was at the address then, and may have delivered it
		m.result = m.unanswered(unsupported, true)
	}
	m.move(stepAnswered)
}

// unsupported returns the error for a message that needs an extension that the server lacks.
func (w *worker) unsupported(m *outgoing) error {
	switch url := w.run.Endpoint.URL; {
	case m.Key != "" && !w.hasNonces:
		return keyRefused(url)
	case m.Fields != "" && !m.FieldsOptional && !w.hasFields:
		return fieldsRefused(url)
	}
	return nil
}

// announce calls Outbox.Sending for a message that was never sent, and notes the time. It
// reports whether the message may leave.
func (w *worker) announce(m *outgoing) bool {
	if !m.sent.IsZero() {
		return true
	}
	now := w.run.now()
	if w.run.Sending != nil {
		if w.withheld = w.run.Sending(m.Message, now, w.hasNonces); w.withheld != nil {
			return false
		}
	}
	m.sent = now
	return true
}

// take makes an outgoing message of what was received from the input.
func (w *worker) take(m Message, ok bool) *outgoing {
	if !ok {
		w.inputEnd = true
		return nil
	}
	return w.run.take(m)
}

// takePlace waits for a place in flight. It reports whether there is one.
func (w *worker) takePlace() bool {
	select {
	case w.places <- struct{}{}:
		return true
	default:
	}
	w.session.Uncork()
	defer w.session.Cork()
	select {
	case w.places <- struct{}{}:
		return true
	case <-w.more.Done():
		return false
	}
}

// mayLeave reports whether a message may be written. If it can't leave before the login,
// mayLeave waits for that.
func (w *worker) mayLeave(login context.Context, m *outgoing) bool {
	if w.loggedIn {
		return true
	}
	if w.early && len(w.ahead) < earlyMessages && !w.ahead[m.To] && len(m.Body)+len(m.Fields) <= earlyBody {
		w.ahead[m.To] = true
		return true
	}
	w.session.Uncork()
	defer w.session.Cork()
	_, err := w.session.Account(login) // the collector finds the same error
	w.loggedIn = err == nil
	return w.loggedIn
}

// send writes a message. If that fails, the connection is lost, and the error says why.
func (w *worker) send(ctx context.Context, m *outgoing) error {
	nonce := ""
	if w.hasNonces {
		nonce = m.nonce
	}
	m.bare = m.bare || nonce == ""
	fields := m.Fields
	if !w.hasFields {
		fields = ""
	}
	m.call = w.session.Start(ctx, proto.SendMessage(m.To, m.Body, nonce, fields))
	if m.call.MaybeSent() {
		m.move(stepWritten)
	}
	return m.call.Err()
}

// collect is the collector: it waits for the login and then for each answer, in order,
// and reports the results. If each fails, it stops the writer and collects what is in
// flight.
func (w *worker) collect(ctx, login context.Context, stop func()) error {
	account, err := w.session.Account(login)
	if err != nil {
		return err
	}
	w.loggedInAt = time.Now()
	w.run.sid = account.SID
	if w.run.LoggedIn != nil {
		w.run.LoggedIn(account)
	}
	for m := range w.written {
		result, lost := w.answer(ctx, m)
		if lost != nil {
			w.unanswered = append(w.unanswered, m)
			return lost
		}
		if w.postpone(m, result) {
			stop() // the message keeps its place in flight: a writer that waits for one might never get it
			continue
		}
		w.reported = true
		if w.run.report(result, len(w.written) > 0) != nil {
			stop()
			continue
		}
		<-w.places
	}
	switch {
	case w.run.failed != nil:
		return w.run.failed
	case w.withheld != nil:
		return w.withheld
	case w.refused != nil:
		return w.refused
	case w.inputEnd:
		return nil
	}
	select { // the writer ended because one of these did
	case <-w.session.Done():
		return w.session.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// postpone reports whether a result must not be reported yet: the server has refused the
// message for now, so that it is sent again, or it has refused an earlier one. postpone
// notes either.
func (w *worker) postpone(m *outgoing, result Result) bool {
	switch {
	case w.run.RetryRefused && result.State == StateRefused && Temporary(result.Err) && w.run.failed == nil:
		m.move(stepRefused)
		m.refused = result.Err
		w.refused = cmp.Or(w.refused, result.Err)
	case w.refused != nil:
		m.move(stepAnswered)
		m.result = result
	default:
		return false
	}
	w.unanswered = append(w.unanswered, m)
	return true
}

// answer waits for the answer to a message, AttemptTime at most. Its error says why there
// is none.
func (w *worker) answer(ctx context.Context, m *outgoing) (result Result, lost error) {
	if m.state == answered {
		return m.result, nil
	}
	if w.run.AttemptTime > 0 && !m.call.Answered() { // in a flood most answers have arrived, and need no timer
		var cancel context.CancelFunc
		ctx, cancel = WithTimeout(ctx, w.run.AttemptTime)
		defer cancel()
	}
	reply, err := m.call.Wait(ctx)
	var unknown *Error
	switch {
	case err == nil:
		return Result{Message: m.Message, State: StateConfirmed, Sent: parseSent(reply, m.To)}, nil
	case isRefusal(err):
		return Result{Message: m.Message, State: StateRefused, Err: err}, nil
	case errors.As(err, &unknown) && unknown.Kind == KindUnknown:
		return Result{}, unknown.Err
	}
	return Result{}, err
}
