package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Event is what a listener is told: a message, or a push of another type.
type Event struct {
	Message *proto.Message
	Push    proto.Frame // where Message is nil
	Own     string      // our login, as the server has it
}

// Position is how far a listener has come. ID is all there is to it on a server
// with the extension updates, and Date says where to go on if its ids ever go back;
// the rest is for servers without it, whose messages are told apart by date, sender,
// recipient and body.
type Position struct {
	ID      int64     `json:"id,omitempty"`      // of the last message that was delivered, or passed over
	Date    time.Time `json:"date,omitzero"`     // of the newest message that was
	Seen    []string  `json:"seen,omitempty"`    // the fingerprints of the messages at that date
	Undated []string  `json:"undated,omitempty"` // the fingerprints of the last messages without a date
	Dialogs []string  `json:"dialogs,omitempty"` // which have had messages, contacts or not
}

// UnmarshalJSON refuses what can't be a position.
func (p *Position) UnmarshalJSON(text []byte) error {
	type plain Position
	if err := json.Unmarshal(text, (*plain)(p)); err != nil {
		return err
	}
	if p.ID < 0 {
		return fmt.Errorf("its id is %d", p.ID)
	}
	return nil
}

// ErrEnough is returned by a deliver function that has taken the event, and wants
// no further one.
var ErrEnough = errors.New("no further message is wanted")

// Listener receives what the server pushes, over as many connections as it takes.
type Listener struct {
	Endpoint       Endpoint
	Credentials    func(context.Context) (Credentials, error) // asked before every connection
	ConnectTimeout time.Duration                              // bounds each attempt to connect and log in
	PingInterval   time.Duration                              // a link silent for two of them is dead; 0: no pings
	Reconnect      bool                                       // a lost connection is made again

	// Start and Resume are where to begin, one of them or none: nil is with what
	// comes from now on.
	Start  *Bound
	Resume *Position

	// Prepare, where it is not nil, may ask the server something after each login,
	// before anything is delivered.
	Prepare func(context.Context, *Session) error

	// LoggedIn, Lost and Listening, where they are not nil, are told of each
	// successful login, of each loss with the pause that follows it, and when
	// everything from before has been delivered and the connection is live.
	LoggedIn  func(Account)
	Lost      func(err error, pause time.Duration)
	Listening func(Account)

	// Settled, where it is not nil, is called when no event is ready any more, so
	// that output can be written in large blocks; Position is then what has been
	// delivered. Its error ends the listening, as one of deliver does.
	Settled func() error

	// Pauses, for tests; nil is NewPauses.
	Pauses *Pauses

	position int64     // the id of the last message that was delivered, or passed over
	known    bool      // position means something: what is after it is to be fetched
	date     time.Time // of the newest message that was delivered
	ledger   ledger    // the same for a server without ids
	begun    bool      // a server has begun to tell what came since Start or Resume
}

// Position is how far the listener has come: everything up to it was delivered.
// ok is false as long as that is not known, and no server has said yet that it can go
// on from Start or Resume. It is for deliver and Settled to call, and for after Run.
func (l *Listener) Position() (p Position, ok bool) {
	if l.known {
		return Position{ID: l.position, Date: l.date}, l.begun
	}
	return l.ledger.position(), l.ledger.known && l.begun
}

// Pauses are the growing, jittered pauses between attempts to connect.
type Pauses struct {
	First, Most time.Duration
	// Lasting is how long a connection must have lasted for the pauses to start over.
	Lasting time.Duration

	next time.Duration
}

// NewPauses are pauses from half a second to half a minute.
func NewPauses() *Pauses {
	return &Pauses{First: 500 * time.Millisecond, Most: 30 * time.Second, Lasting: 10 * time.Second}
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
		return refused.Temporary()
	}
	return false
}

// stop is an error of deliver: it ends the listening.
type stop struct{ err error }

func (e *stop) Error() string { return e.err.Error() }

// Run listens until ctx ends, whose cause it returns, or deliver fails, whose
// error it returns, or the connection can't be made or kept. deliver is called
// for one event after the other. When it returns ErrEnough, Run returns nil.
func (l *Listener) Run(ctx context.Context, deliver func(Event) error) error {
	pauses := l.Pauses
	if pauses == nil {
		pauses = NewPauses()
	}
	switch {
	case l.Resume != nil && l.Resume.ID != 0:
		l.position, l.known, l.date = l.Resume.ID, true, l.Resume.Date
	case l.Resume != nil:
		l.ledger.resume(*l.Resume)
	case l.Start != nil:
		l.position, l.known = l.Start.ID, l.Start.ID != 0
		l.ledger.start(*l.Start)
	}
	for {
		up, err := l.once(ctx, deliver)
		var stopped *stop
		switch {
		case errors.As(err, &stopped) && errors.Is(stopped.err, ErrEnough):
			return nil
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
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ended(ctx)
		}
	}
}

// inbox takes pushes from the goroutine that reads, and holds it up when nobody
// takes them out.
type inbox struct {
	events chan queued
	quit   chan struct{} // closed when nobody takes any more
	bytes  atomic.Int64  // in events
	room   chan struct{} // there may be fewer bytes now; has room for one

	mu       sync.Mutex
	catching bool  // messages with an id are dropped: the catch-up will fetch them
	dropped  int64 // the largest id dropped
	lowest   int64 // the smallest one; 0: none was dropped
}

// queued is a push in an inbox, and its size in bytes.
type queued struct {
	proto.Frame
	size int64
}

func newInbox() *inbox {
	return &inbox{events: make(chan queued, inboxSize), quit: make(chan struct{}), room: make(chan struct{}, 1)}
}

func (b *inbox) catch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catching = true
}

// inboxSize is how many pushes wait at most, and inboxBytes how many bytes they
// may have before the last one. Beyond it the connection is not read, and the
// server notices.
const (
	inboxSize  = 1024
	inboxBytes = 4 << 20
)

func (b *inbox) push(f proto.Frame) {
	if f.Type() == proto.TypeShowMessage {
		b.mu.Lock()
		if b.catching {
			if id, ok := f.Int("id"); ok && id > 0 {
				b.dropped = max(b.dropped, id)
				if b.lowest == 0 || id < b.lowest {
					b.lowest = id
				}
				b.mu.Unlock()
				return
			}
		}
		b.mu.Unlock()
	}
	q := queued{Frame: f}
	for _, v := range f {
		q.size += int64(len(v))
	}
	for b.bytes.Load() > inboxBytes {
		select {
		case <-b.room:
		case <-b.quit:
			return
		}
	}
	b.bytes.Add(q.size)
	select {
	case b.events <- q:
	case <-b.quit:
	}
}

// took is the frame of what was taken out of events.
func (b *inbox) took(q queued) proto.Frame {
	if b.bytes.Add(-q.size) <= inboxBytes {
		select {
		case b.room <- struct{}{}:
		default:
		}
	}
	return q.Frame
}

// live ends the catch-up if all that was dropped meanwhile has been fetched. lowest
// is the smallest id that was dropped, or 0.
func (b *inbox) live(position int64) (live bool, lowest int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catching = b.dropped > position
	return !b.catching, b.lowest
}

// link is one connection of a listener.
type link struct {
	*Listener
	s       *Session
	account Account
	box     *inbox
	deliver func(Event) error
	updates bool  // the server has the extension
	floor   int64 // the position before: what is pushed must be newer
}

// once is one connection. up is when it went live, zero when it did not.
func (l *Listener) once(ctx context.Context, deliver func(Event) error) (up time.Time, err error) {
	connecting, cancel := ctx, context.CancelFunc(func() {})
	if l.ConnectTimeout > 0 {
		connecting, cancel = context.WithTimeoutCause(ctx, l.ConnectTimeout, &TimeoutError{After: l.ConnectTimeout})
	}
	defer cancel()
	box := newInbox()
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
	if l.Prepare != nil {
		if err := l.Prepare(connecting, s); err != nil {
			return up, err
		}
	}
	pinging, stopPings := context.WithCancel(ctx)
	var pings sync.WaitGroup
	defer pings.Wait()
	defer stopPings()
	pings.Go(func() { s.keepAlive(pinging, l.PingInterval) })
	k := &link{Listener: l, s: s, account: account, box: box, deliver: deliver, updates: s.Greeting().Has(proto.ExtUpdates), floor: l.position}
	if !k.updates {
		l.known = false // an id says nothing there
	}
	placed := l.known || l.ledger.known
	if !k.updates || !placed {
		l.begun = true
	}
	switch {
	case k.updates && !placed:
		err = k.begin(ctx)
	case k.updates:
		err = k.catchUp(ctx) // it tells by itself whether that is possible
	case !placed:
		err = k.beginPlain(ctx)
	default:
		err = k.catchUpPlain(ctx, nil)
	}
	if err == nil {
		err = k.settle()
	}
	if err != nil {
		return up, err
	}
	up = time.Now()
	if l.Listening != nil {
		l.Listening(account)
	}
	return up, k.live(ctx)
}

// live delivers what is pushed, until the connection or ctx ends.
func (k *link) live(ctx context.Context) error {
	for {
		var q queued
		select {
		case q = <-k.box.events:
		default:
			// Nothing more is ready, so what was delivered can be seen through.
			if err := k.settle(); err != nil {
				return err
			}
			select {
			case q = <-k.box.events:
			case <-ctx.Done():
				return ended(ctx)
			case <-k.s.Done():
				// The reader has ended: what it read before is still to be delivered.
				select {
				case q = <-k.box.events:
				default:
					return k.s.Err()
				}
			}
		}
		if ctx.Err() != nil {
			return ended(ctx)
		}
		if err := k.event(ctx, k.box.took(q)); err != nil {
			return err
		}
	}
}

// settle tells that no event is ready.
func (k *link) settle() error {
	if k.Settled == nil {
		return nil
	}
	return stopping(k.Settled())
}

// event delivers one push, unless it is a message that was delivered already.
func (k *link) event(ctx context.Context, f proto.Frame) error {
	if f.Type() != proto.TypeShowMessage {
		return stopping(k.deliver(Event{Push: f, Own: k.account.Login}))
	}
	m := proto.ParseMessage(f)
	if !k.updates {
		return k.eventPlain(ctx, m)
	}
	if err := k.rewound(m.ID); err != nil {
		return err
	}
	return k.message(m)
}

// rewound is an error where the id of a message that was pushed can't be a new one.
func (k *link) rewound(id int64) error {
	if id != 0 && id <= k.floor {
		return k.rewoundTo(id, k.floor)
	}
	return nil
}

func (k *link) rewoundTo(id, position int64) error {
	return &RewoundError{ID: id, Position: position, Date: k.date, Start: k.Start != nil && k.Start.ID == position}
}

// message delivers a message of a server with ids, unless it was delivered already.
func (k *link) message(m proto.Message) error {
	if m.ID != 0 && m.ID <= k.position {
		return nil
	}
	return k.hand(m, func() {
		if m.ID != 0 {
			k.position, k.known = max(k.position, m.ID), true
		}
		if m.Date.Time.After(k.date) {
			k.date = m.Date.Time
		}
	})
}

// hand gives a message to deliver, and calls done when it has been taken.
func (k *link) hand(m proto.Message, done func()) error {
	err := k.deliver(Event{Message: &m, Own: k.account.Login})
	if err == nil || errors.Is(err, ErrEnough) {
		done()
	}
	return stopping(err)
}

func stopping(err error) error {
	if err != nil {
		return &stop{err}
	}
	return nil
}

// requestTime bounds each request of a catch-up: a server that never answers one
// must not keep a listener from listening.
const requestTime = time.Minute

// ask sends a request. While it waits, pushes go to push: the reader would stop at
// a full inbox, and never come to the reply.
func (k *link) ask(ctx context.Context, request proto.Request, push func(proto.Frame) error) (proto.Reply, error) {
	type answer struct {
		proto.Reply
		err error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, requestTime, &TimeoutError{After: requestTime})
	defer cancel()
	got := make(chan answer, 1)
	go func() {
		r, err := k.s.Do(ctx, request)
		got <- answer{r, err}
	}()
	for {
		select {
		case q := <-k.box.events:
			err := push(k.box.took(q))
			if err == nil && len(k.box.events) == 0 {
				err = k.settle()
			}
			if err != nil {
				cancel()
				<-got
				return proto.Reply{}, err
			}
		case a := <-got:
			if a.err != nil {
				return proto.Reply{}, a.err
			}
			for n := len(k.box.events); n > 0; n-- { // they came before the answer too
				if err := push(k.box.took(<-k.box.events)); err != nil {
					return proto.Reply{}, err
				}
			}
			return a.Reply, nil
		}
	}
}

// updatesPage is how many messages one request for updates asks for.
const updatesPage = 1000

// askUpdates asks for what came after an id, or for where the server is now.
func (k *link) askUpdates(ctx context.Context, request proto.Request, push func(proto.Frame) error) (r proto.Reply, last int64, err error) {
	if r, err = k.ask(ctx, request, push); err != nil {
		return r, 0, err
	}
	last, ok := r.Fields.Int("last_id")
	if !ok {
		return r, 0, k.s.wrongReply(errors.New("its last_id is missing or no integer"))
	}
	return r, last, nil
}

// begin finds out where the server is now: get_updates without "after" answers
// with no message, and with the id of the newest one that this connection was told
// of (docs/protocol.md, "updates"). Messages may come before the answer; they are
// newer than our arrival, and are delivered.
func (k *link) begin(ctx context.Context) error {
	_, last, err := k.askUpdates(ctx, proto.GetLastID(), func(f proto.Frame) error { return k.event(ctx, f) })
	if err != nil {
		return err
	}
	k.position, k.known = max(k.position, last), true
	return nil
}

// catchUp fetches what came since the position, and leaves the inbox live.
func (k *link) catchUp(ctx context.Context) error {
	k.box.catch()
	var held []proto.Frame // messages from before the inbox began to drop them
	hold := func(f proto.Frame) error {
		if f.Type() == proto.TypeShowMessage {
			held = append(held, f)
			return nil
		}
		return k.event(ctx, f)
	}
	if from := k.ledger.from(); !k.known && !from.IsZero() {
		var err error
		if k.position, err = k.seek(ctx, from.Add(-clockMargin), hold); err != nil {
			return err
		}
	}
	stuck := 0 // how often in a row the answer brought us no further
	for more := true; more; {
		before := k.position
		r, last, err := k.askUpdates(ctx, proto.GetUpdates(k.position, updatesPage), hold)
		if err != nil {
			return err
		}
		if last < before {
			return k.rewoundTo(last, before)
		}
		messages, err := proto.ParseMessages(r.Fields, "messages")
		if err != nil {
			return k.s.wrongReply(err)
		}
		k.begun = true
		for _, m := range messages {
			if ctx.Err() != nil {
				return ended(ctx)
			}
			if k.Start != nil && !k.Start.after(m) || k.ledger.before(m) {
				continue
			}
			if err := k.message(m); err != nil {
				return err
			}
		}
		k.position, k.known = max(k.position, last), true
		if err := k.settle(); err != nil {
			return err
		}
		more, _ = r.Fields.Bool("more")
		live, lowest := k.box.live(k.position)
		if err := k.rewound(lowest); err != nil {
			return err
		}
		more = more || !live
		if stuck++; k.position > before {
			stuck = 0
		}
		if more && stuck > 1 { // once may be for what was pushed behind the answer
			return k.s.wrongReply(errors.New("there is more, and it is not there"))
		}
	}
	for _, f := range held {
		if err := k.event(ctx, f); err != nil {
			return err
		}
	}
	k.ledger = ledger{} // from now on ids say it all
	return nil
}

// clockMargin is how far the clock of a server may have been set back without a message
// being passed over for that.
const clockMargin = 10 * time.Minute

// seek finds an id to begin at where a time is wanted: all of our messages up to it are
// older. It takes about as many requests as there are binary digits in the number of
// pages up to the newest message, and looks at one message in each.
func (k *link) seek(ctx context.Context, from time.Time, push func(proto.Frame) error) (int64, error) {
	_, newer, err := k.askUpdates(ctx, proto.GetLastID(), push) // what comes after it is newer than from, as far as we know
	if err != nil {
		return 0, err
	}
	older := int64(0)
	for newer-older > updatesPage {
		middle := older + (newer-older)/2
		r, _, err := k.askUpdates(ctx, proto.GetUpdates(middle, 1), push)
		if err != nil {
			return 0, err
		}
		next, err := proto.ParseMessages(r.Fields, "messages")
		if err != nil {
			return 0, k.s.wrongReply(err)
		}
		if len(next) > 0 && !next[0].Date.Time.IsZero() && next[0].Date.Time.Before(from) {
			older = max(middle, next[0].ID)
		} else {
			newer = middle
		}
	}
	return older, nil
}

// keepAlive pings, and drops the connection when it has been silent for too long.
// A connection that is not read because a slow reader of ours holds it up is not
// silent.
func (s *Session) keepAlive(ctx context.Context, interval time.Duration) {
	if interval <= 0 {
		return
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.Done():
			return
		case <-ctx.Done():
			return
		}
		before := s.conn.heard.Load()
		pong, cancel := context.WithTimeout(ctx, interval)
		err := s.conn.ws.Ping(pong)
		cancel()
		after := s.conn.heard.Load()
		if err == nil || after != before || after%2 == 1 || ctx.Err() != nil {
			continue
		}
		s.conn.drop(fmt.Errorf("no answer to a ping within %v", interval))
		return
	}
}
