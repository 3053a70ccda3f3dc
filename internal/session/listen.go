package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Event is what a listener is told: a message, or a push of another type.
type Event struct {
	Message *proto.Message
	Push    proto.Frame // where Message is nil
	Own     string      // our login, as the server has it
}

// Listener receives what the server pushes, over as many connections as it takes.
type Listener struct {
	Endpoint       Endpoint
	Credentials    func(context.Context) (Credentials, error) // asked before every connection
	ConnectTimeout time.Duration                              // bounds each attempt to connect and log in
	PingInterval   time.Duration                              // a link silent for two of them is dead; 0: no pings
	Reconnect      bool                                       // a lost connection is made again

	// Start is where to begin: nil is with what comes from now on.
	Start *Bound

	// LoggedIn, Lost and Listening, where they are not nil, are told of each
	// successful login, of each loss with the pause that follows it, and when
	// everything from before has been delivered and the connection is live.
	LoggedIn  func(Account)
	Lost      func(err error, pause time.Duration)
	Listening func(Account)

	// Pauses, for tests; nil is NewPauses.
	Pauses *Pauses

	position int64 // the id of the last message that was delivered, or passed over
}

// Pauses are the growing, jittered pauses between attempts to connect.
type Pauses struct {
	First, Most time.Duration
	// Lasting is how long a connection must have lasted for the pauses to start over.
	Lasting time.Duration

	next time.Duration
}

// NewPauses are pauses from half a second to a minute.
func NewPauses() *Pauses {
	return &Pauses{First: 500 * time.Millisecond, Most: time.Minute, Lasting: 10 * time.Second}
}

// Next is the pause before the next attempt: between half and all of a bound that
// doubles each time.
func (p *Pauses) Next() time.Duration {
	if p.next == 0 {
		p.next = p.First
	}
	pause := p.next/2 + rand.N(p.next/2+1)
	p.next = min(2*p.next, p.Most)
	return pause
}

// Lasted tells how long the last connection was up.
func (p *Pauses) Lasted(d time.Duration) {
	if d >= p.Lasting {
		p.next = 0
	}
}

// Temporary reports whether an error may go away by itself: a lost or failed
// connection, or a time-out. A refused login never does.
func Temporary(err error) bool {
	var unreachable *UnreachableError
	var timeout *TimeoutError
	var refused *RefusedError
	switch {
	case errors.As(err, &unreachable):
		return !unreachable.Final
	case errors.As(err, &timeout):
		return true
	case errors.As(err, &refused):
		return refused.temporary()
	}
	return false
}

// stop is an error of deliver: it ends the listening.
type stop struct{ err error }

func (e *stop) Error() string { return e.err.Error() }

// Run listens until ctx ends, whose cause it returns, or deliver fails, whose
// error it returns, or the connection can't be made or kept. deliver is called
// for one event after the other; more tells that another one is ready, so that
// output can be written in large blocks.
func (l *Listener) Run(ctx context.Context, deliver func(e Event, more bool) error) error {
	pauses := l.Pauses
	if pauses == nil {
		pauses = NewPauses()
	}
	if l.Start != nil {
		l.position = l.Start.ID
	}
	for {
		up, err := l.once(ctx, deliver)
		var stopped *stop
		switch {
		case ctx.Err() != nil:
			return ended(ctx)
		case errors.As(err, &stopped):
			return stopped.err
		case !l.Reconnect || !Temporary(err):
			return err
		}
		if !up.IsZero() {
			pauses.Lasted(time.Since(up))
		}
		pause := pauses.Next()
		if l.Lost != nil {
			l.Lost(err, pause)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ended(ctx)
		}
	}
}

// inbox takes pushes from the goroutine that reads, and holds it up when nobody
// takes them out.
type inbox struct {
	events chan proto.Frame
	quit   chan struct{} // closed when nobody takes any more

	mu       sync.Mutex
	catching bool  // messages with an id are dropped: the catch-up will fetch them
	dropped  int64 // the largest id dropped
}

func (b *inbox) catch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catching = true
}

// inboxSize is how many pushes wait at most. Beyond it the connection is not
// read, and the server notices.
const inboxSize = 1024

func (b *inbox) push(f proto.Frame) {
	if f.Type() == proto.TypeShowMessage {
		b.mu.Lock()
		if b.catching {
			if id, ok := f.Int("id"); ok {
				b.dropped = max(b.dropped, id)
				b.mu.Unlock()
				return
			}
		}
		b.mu.Unlock()
	}
	select {
	case b.events <- f:
	case <-b.quit:
	}
}

// live ends the catch-up if all that was dropped meanwhile has been fetched.
func (b *inbox) live(position int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catching = b.dropped > position
	return !b.catching
}

// once is one connection. up is when it went live, zero when it did not.
func (l *Listener) once(ctx context.Context, deliver func(Event, bool) error) (up time.Time, err error) {
	connecting, cancel := ctx, context.CancelFunc(func() {})
	if l.ConnectTimeout > 0 {
		connecting, cancel = context.WithTimeoutCause(ctx, l.ConnectTimeout, &TimeoutError{After: l.ConnectTimeout})
	}
	defer cancel()
	box := &inbox{events: make(chan proto.Frame, inboxSize), quit: make(chan struct{})}
	s, err := Open(connecting, l.Endpoint, l.Credentials, box.push)
	if err != nil {
		close(box.quit)
		return up, err
	}
	defer s.Close()
	defer close(box.quit)
	account, err := s.Account(connecting)
	if err != nil {
		return up, err
	}
	if l.LoggedIn != nil {
		l.LoggedIn(account)
	}
	pinging, stopPings := context.WithCancel(ctx)
	defer stopPings()
	go s.keepAlive(pinging, l.PingInterval)
	if s.Greeting().Has(proto.ExtUpdates) {
		if l.position == 0 && l.Start == nil {
			err = l.begin(ctx, s, account, box, deliver)
		} else {
			err = l.catchUp(ctx, s, account, box, deliver)
		}
		if err != nil {
			return up, err
		}
	}
	up = time.Now()
	if l.Listening != nil {
		l.Listening(account)
	}
	for {
		select {
		case f := <-box.events:
			if err := l.event(f, account, deliver, len(box.events) > 0); err != nil {
				return up, err
			}
			continue
		default:
		}
		select {
		case f := <-box.events:
			if err := l.event(f, account, deliver, len(box.events) > 0); err != nil {
				return up, err
			}
		case <-s.Done():
			// The reader has ended: what it read before is still to be delivered.
			for len(box.events) > 0 {
				if err := l.event(<-box.events, account, deliver, len(box.events) > 0); err != nil {
					return up, err
				}
			}
			return up, s.Err()
		case <-ctx.Done():
			return up, ended(ctx)
		}
	}
}

// event delivers one push, unless it is a message that was delivered already.
func (l *Listener) event(f proto.Frame, account Account, deliver func(Event, bool) error, more bool) error {
	if f.Type() != proto.TypeShowMessage {
		return stopping(deliver(Event{Push: f, Own: account.Login}, more))
	}
	m := proto.ParseMessage(f)
	return l.message(m, account, deliver, more)
}

func (l *Listener) message(m proto.Message, account Account, deliver func(Event, bool) error, more bool) error {
	if m.ID != 0 && m.ID <= l.position {
		return nil
	}
	if err := deliver(Event{Message: &m, Own: account.Login}, more); err != nil {
		return stopping(err)
	}
	l.position = max(l.position, m.ID)
	return nil
}

func stopping(err error) error {
	if err != nil {
		return &stop{err}
	}
	return nil
}

// updatesPage is how many messages one request for updates asks for.
const updatesPage = 1000

// updates asks for what came after an id. While it waits, pushes go to push: the
// reader would stop at a full inbox, and never come to the reply.
func updates(ctx context.Context, s *Session, fields map[string]any, box *inbox, push func(proto.Frame) error) (r proto.Reply, last int64, err error) {
	type answer struct {
		proto.Reply
		err error
	}
	got := make(chan answer, 1)
	go func() {
		r, err := s.Do(ctx, proto.TypeGetUpdates, fields)
		got <- answer{r, err}
	}()
	for {
		select {
		case f := <-box.events:
			if err := push(f); err != nil {
				return r, 0, err
			}
		case a := <-got:
			if a.err != nil {
				return r, 0, a.err
			}
			last, ok := a.Fields.Int("last_id")
			if !ok {
				return r, 0, s.wrongReply(errors.New("its last_id is missing or no integer"))
			}
			return a.Reply, last, nil
		}
	}
}

// begin finds out where the server is now: get_updates without "after" answers
// with no message, and with the id of the newest one that this connection was told
// of (docs/protocol.md, "updates"). Messages may come before the answer; they are
// newer than our arrival, and are delivered.
func (l *Listener) begin(ctx context.Context, s *Session, account Account, box *inbox, deliver func(Event, bool) error) error {
	_, last, err := updates(ctx, s, nil, box, func(f proto.Frame) error {
		return l.event(f, account, deliver, len(box.events) > 0)
	})
	if err != nil {
		return err
	}
	for n := len(box.events); n > 0; n-- { // they came before the answer too
		if err := l.event(<-box.events, account, deliver, len(box.events) > 0); err != nil {
			return err
		}
	}
	l.position = max(l.position, last)
	return nil
}

// catchUp fetches what came since the position, and leaves the inbox live.
func (l *Listener) catchUp(ctx context.Context, s *Session, account Account, box *inbox, deliver func(Event, bool) error) error {
	box.catch()
	var held []proto.Frame // messages from before the inbox began to drop them
	hold := func(f proto.Frame) error {
		if f.Type() == proto.TypeShowMessage {
			held = append(held, f)
			return nil
		}
		return l.event(f, account, deliver, false)
	}
	for more := true; more; {
		r, last, err := updates(ctx, s, map[string]any{"after": l.position, "limit": updatesPage}, box, hold)
		if err != nil {
			return err
		}
		messages, err := proto.ParseMessages(r.Fields, "messages")
		if err != nil {
			return s.wrongReply(err)
		}
		for i, m := range messages {
			if l.Start != nil && !l.Start.after(m) {
				continue
			}
			if err := l.message(m, account, deliver, i+1 < len(messages)); err != nil {
				return err
			}
		}
		l.position = max(l.position, last)
		more, _ = r.Fields.Bool("more")
		more = more || !box.live(l.position)
	}
	for _, f := range held {
		if err := l.event(f, account, deliver, true); err != nil {
			return err
		}
	}
	return nil
}

// keepAlive pings, and drops the connection when an answer takes too long.
func (s *Session) keepAlive(ctx context.Context, interval time.Duration) {
	if interval <= 0 {
		return
	}
	for {
		select {
		case <-time.After(interval):
		case <-s.Done():
			return
		case <-ctx.Done():
			return
		}
		pong, cancel := context.WithTimeout(ctx, interval)
		err := s.conn.ws.Ping(pong)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.conn.drop(fmt.Errorf("no answer to a ping within %v", interval))
			return
		}
	}
}
