package session

import (
	"context"
	"errors"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Event is what a listener delivers: a message, or a push of another type.
type Event struct {
	Message *proto.Message
	Push    proto.Frame // set if Message is nil
	Own     string      // our login, in the server's spelling
}

// ErrEnough is what a deliver function returns if it has taken the event and wants no
// more.
var ErrEnough = errors.New("no further message is wanted")

// listenerState is what a listener is doing. A lost connection leads from any state to
// connecting.
type listenerState int

const (
	connecting listenerState = iota // connecting and logging in
	catchingUp                      // logged in; fetching what was missed
	live                            // everything from before is delivered; waiting for pushes
)

// Listener receives what the server pushes, over as many connections as needed, and fetches
// what it missed between them. It calls its functions one at a time, from the goroutine of
// Run; only Credentials has a goroutine of its own.
type Listener struct {
	Endpoint       Endpoint
	Credentials    func(context.Context) (Credentials, error) // called for every connection, while it is made
	ConnectTimeout time.Duration                              // limits each attempt to connect and log in; zero means no limit
	PingInterval   time.Duration                              // a connection that is silent for two of them is dead; zero means no pings
	Retry          RetryPolicy                                // how long to try again after a lost or failed connection

	// Start or Resume says where to begin; at most one of them is set. If both are nil, the
	// listener begins with new messages.
	Start  *Bound
	Resume *Position

	// PositionFirst means that no message is delivered before there is a position to save.
	// If a server without ids pushes too many before that, they are delivered anyway.
	PositionFirst bool

	// NeedIDs means that a server whose messages have no ids is refused.
	NeedIDs bool

	// Drain means that Run returns nil as soon as it has delivered everything that the server
	// had when the connection was made.
	Drain bool

	// Prepare is called after each login, before anything is delivered, and may make
	// requests. Prepare may be nil.
	Prepare func(context.Context, *Session) error

	// LoggedIn is called after each login, Lost before the pause after each lost or failed
	// connection, and Listening when the listener has caught up. Each of them may be nil.
	LoggedIn  func(Account)
	Lost      func(err error, pause time.Duration)
	Listening func(Account)

	// Settled is called when no other event is ready, so that output can be written in
	// large blocks. Position then covers everything that was delivered. An error of Settled
	// ends Run, as an error of deliver does. Settled may be nil.
	Settled func() error

	state   listenerState
	since   time.Time // when the listener entered the state
	catchUp catchUp   // nil before the first login
	sid     string    // of the last session: the next connection restores it
}

// catchUp fetches what a listener missed, and recognizes what it has delivered. It outlives
// a connection. updates and histories implement it.
type catchUp interface {
	// first returns the first request of begin, which is sent together with the login.
	first() proto.Request
	// begin takes the server's position at the login, and skips earlier messages.
	begin(context.Context, *subscription) error
	// meanwhile delivers what the server pushed during begin.
	meanwhile(context.Context, *subscription) error
	// fetch delivers what came since the position.
	fetch(context.Context, *subscription) error
	// push delivers a message that the server has pushed, unless it was delivered before.
	push(context.Context, *subscription, proto.Message) error
	// position returns how far the listener has come.
	position() (Position, stage)
}

// stage says where the position of a listener comes from.
type stage int

const (
	unset   stage = iota // there is no position: begin asks the server for one
	claimed              // Start or Resume gave the position, and no server has accepted it yet
	agreed               // a server gave the position, or accepted it
)

// Position returns how far the listener has come: everything up to it was delivered. ok is
// false until a server has given or accepted it. Only deliver and Settled may call Position,
// and the caller of Run after Run has returned.
func (l *Listener) Position() (p Position, ok bool) {
	if l.catchUp == nil {
		return Position{}, false
	}
	p, stage := l.catchUp.position()
	return p, stage == agreed
}

// Run listens until ctx ends, deliver or Settled fails, or the connection can't be made
// or kept, and returns the reason. It calls deliver for one event after the other. If
// deliver returns ErrEnough, Run returns nil.
func (l *Listener) Run(ctx context.Context, deliver func(Event) error) error {
	return l.Retry.retry(ctx, l.Lost, func(ctx context.Context) attempt {
		err := l.connect(ctx, deliver)
		var stopped *stop
		switch {
		case errors.Is(err, ErrEnough):
			return attempt{done: true}
		case errors.As(err, &stopped):
			return attempt{done: ctx.Err() == nil, err: stopped.err} // report the interrupt, not the failure that it causes
		case l.state != live:
			return attempt{err: err, loggedIn: l.state == catchingUp}
		}
		return attempt{err: err, loggedIn: true, up: l.since, progress: true}
	})
}

// enter moves the listener to a state.
func (l *Listener) enter(to listenerState, a Account) {
	l.state, l.since = to, time.Now()
	switch {
	case to == catchingUp && l.LoggedIn != nil:
		l.LoggedIn(a)
	case to == live && l.Listening != nil:
		l.Listening(a)
	}
}

// connect makes one connection, and listens until it ends.
func (l *Listener) connect(ctx context.Context, deliver func(Event) error) error {
	l.enter(connecting, Account{})
	limited, cancel := WithTimeout(ctx, l.ConnectTimeout)
	defer cancel()
	in := newInbox()
	s, err := Open(limited, l.Endpoint, l.credentials, in.push)
	if err != nil {
		return err
	}
	defer s.Close()
	c := &subscription{
		session: s, inbox: in, catchUp: l.catchUpWith(s.Greeting()),
		deliver: deliver, settled: l.Settled, positionFirst: l.PositionFirst, drain: l.Drain,
	}
	c.sendFirst(limited)
	account, err := s.Account(limited)
	if err != nil {
		return err
	}
	if l.NeedIDs && !s.Greeting().Has(proto.ExtUpdates) {
		return stopping(noIDs(l.Endpoint.URL))
	}
	l.sid, l.catchUp, c.own = account.SID, c.catchUp, account.Login

	l.enter(catchingUp, account)
	defer s.startPings(ctx, l.PingInterval)()
	if err := c.begin(ctx); err != nil {
		return err
	}
	if l.Prepare != nil {
		if err := l.Prepare(limited, s); err != nil {
			return err
		}
	}
	if err := c.start(ctx); err != nil {
		return err
	}

	l.enter(live, account)
	if l.Drain {
		return stopping(ErrEnough)
	}
	return c.live(ctx)
}

// credentials returns the credentials of the caller, with the SID of the last session. If
// the server refuses that SID, the session uses the token.
func (l *Listener) credentials(ctx context.Context) (Credentials, error) {
	c, err := l.Credentials(ctx)
	if l.sid != "" {
		c.SID = l.sid
	}
	return c, err
}

// catchUpWith returns the catchUp for a server with that greeting: the one of the last
// connection, unless the server was replaced by one of the other kind.
func (l *Listener) catchUpWith(g proto.Greeting) catchUp {
	hasUpdates := g.Has(proto.ExtUpdates)
	switch last := l.catchUp.(type) {
	case *updates:
		if !hasUpdates {
			return last.withoutIDs()
		}
		return last
	case *histories:
		if hasUpdates {
			return last.withIDs(l.Start)
		}
		return last
	}
	if hasUpdates {
		return newUpdates(l.Start, l.Resume)
	}
	return newHistories(l.Start, l.Resume)
}

// stop is an error of deliver or Settled: it ends Run, even if it looks like the error of a
// lost connection.
type stop struct{ err error }

func (e *stop) Error() string { return e.err.Error() }

func (e *stop) Unwrap() error { return e.err }

func stopping(err error) error {
	if err != nil {
		return &stop{err}
	}
	return nil
}
