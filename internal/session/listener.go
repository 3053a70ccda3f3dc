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

// ErrEnough is returned by a deliver function that has taken the event and wants no
// further one.
var ErrEnough = errors.New("no further message is wanted")

// state is what a listener is doing. A lost connection leads from any state to
// connecting.
type state int

const (
	connecting state = iota // connecting and logging in
	catchingUp              // logged in; fetching what was missed
	live                    // everything from before is delivered; waiting for pushes
)

// Listener receives what the server pushes, over as many connections as it takes, and
// fetches what it missed between them. It calls its functions one after the other, from
// the goroutine of Run; only Credentials has a goroutine of its own.
type Listener struct {
	Endpoint       Endpoint
	Credentials    func(context.Context) (Credentials, error) // called before every connection
	ConnectTimeout time.Duration                              // limits each attempt to connect and log in; zero means no limit
	PingInterval   time.Duration                              // a link that is silent for two of them is dead; zero means no pings
	Retry          RetryPolicy                                // how long a connection that is lost or not made is made again

	// Start or Resume says where to begin; at most one of them is set. Nil means to begin
	// with what comes from now on.
	Start  *Bound
	Resume *Position

	// PositionFirst says that the caller saves the position: no message is delivered
	// before there is one, unless a server without ids pushes too many meanwhile.
	PositionFirst bool

	// Prepare may ask the server something after each login, before anything is
	// delivered. A nil Prepare means that there is nothing to ask.
	Prepare func(context.Context, *Session) error

	// LoggedIn is called after each login; Lost for each connection that is lost or not
	// made, before the pause that follows; and Listening when everything from before is
	// delivered. Each of them may be nil.
	LoggedIn  func(Account)
	Lost      func(err error, pause time.Duration)
	Listening func(Account)

	// Settled is called when no event is ready any more, so that output can be written in
	// large blocks; Position is then what was delivered. Its error ends Run, as one of
	// deliver does. Settled may be nil.
	Settled func() error

	state   state
	since   time.Time // when the listener entered the state
	catchUp catchUp   // nil before the first login
	sid     string    // of the last session: the next connection restores it
}

// catchUp is how a listener finds what it missed and recognizes what it delivered.
// It outlives a connection. updates and histories implement it.
type catchUp interface {
	// first returns the request with which begin begins. It leaves with the login.
	first() proto.Request
	// begin finds out where the server is at the login; what came before is passed over.
	begin(context.Context, *subscription) error
	// meanwhile delivers what the server pushed during begin.
	meanwhile(context.Context, *subscription) error
	// fetch delivers what came since the position.
	fetch(context.Context, *subscription) error
	// push delivers a message that the server has pushed, unless it was delivered before.
	push(context.Context, *subscription, proto.Message) error
	// position returns where the listener has come to.
	position() (Position, stage)
}

// stage is how firm the position of a listener is.
type stage int

const (
	unset   stage = iota // there is no position: begin asks the server for one
	claimed              // Start or Resume gave the position, and no server has agreed to it yet
	agreed               // a server goes on from the position
)

// Position returns where the listener has come to: everything up to it was delivered. ok
// is false before a server has agreed to go on from there. Position is for deliver and
// Settled to call, and for use after Run.
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
			return attempt{done: ctx.Err() == nil, err: stopped.err} // an interrupt counts before what it makes fail
		case l.state != live:
			return attempt{err: err, loggedIn: l.state == catchingUp}
		}
		return attempt{err: err, loggedIn: true, up: l.since, progress: true}
	})
}

// enter moves the listener to a state.
func (l *Listener) enter(to state, a Account) {
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
		deliver: deliver, settled: l.Settled, positionFirst: l.PositionFirst,
	}
	c.sendFirst(limited)
	account, err := s.Account(limited)
	if err != nil {
		return err
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
	return c.live(ctx)
}

// credentials returns the credentials of the caller. The last session takes the place of
// the one that was stored; if the server refuses it, the token is next.
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

// stop is an error of deliver or Settled: it ends the listening, even if it looks like that
// of a lost connection.
type stop struct{ err error }

func (e *stop) Error() string { return e.err.Error() }

func (e *stop) Unwrap() error { return e.err }

func stopping(err error) error {
	if err != nil {
		return &stop{err}
	}
	return nil
}
