// Package session is one authenticated Skaro connection (Session), and two loops over such
// connections (Listener, Outbox). It prints nothing; its errors have kinds (errors.go).
// docs/protocol.md is the specification of what it says.
//
// A session sends its login as soon as the server has greeted. Requests leave without
// waiting for the answer, so that a login and a request take one round trip.
//
// Its goroutines, and the functions that wait for their end:
//   - the reader (conn.read) routes replies to calls and pushes to onPush: Session.Close
//   - the login (login.run) waits for the server's answers to the login: Session.Close
//   - the credentials of the caller are read while the connection is made: Open
//   - the pings (Session.keepAlive): the function that startPings returns
//   - the writer of an outbox (worker.write): worker.work
//   - the wait for an answer during a catch-up (subscription.await): await
//   - the system's root certificates are read from what may be a pipe (systemRoots): Open,
//     unless its context ends first
package session

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Credentials are what a session logs in with. The SID, if there is one, is tried first:
// give it to restore a session of this process, or if there is no token. The token, if
// there is one, logs in without a SID, and on the same connection if the SID is refused.
type Credentials struct {
	Login string
	Token proto.Token
	SID   string
}

// oneTry reports whether the login succeeds at its first request, or not at all.
func (c Credentials) oneTry() bool { return c.SID == "" || c.Token.IsZero() }

// Account is what the server answered to the login.
type Account struct {
	Login    string // in the server's spelling
	SID      string // restores this session (docs/protocol.md, "Sessions")
	Restored bool   // the SID was enough
}

// Session is a connection that logs in by itself. Any goroutine may use it.
type Session struct {
	conn          *conn
	login         login
	authenticated chan struct{} // closed when the login is over, or if there is none
}

// Open connects to the endpoint and starts to log in with the result of credentials, which
// runs while the connection is being made. Nil credentials mean no login; a nil push means
// that pushes are dropped. ctx ends the attempt to connect, and has no effect after that.
func Open(ctx context.Context, e Endpoint, credentials func(context.Context) (Credentials, error), push PushFunc) (*Session, error) {
	if credentials == nil {
		c, err := connect(ctx, e, push)
		if err != nil {
			return nil, err
		}
		return newSession(c, nil), nil
	}
	if err := e.Check(); err != nil {
		return nil, err // before a keyring asks for its password
	}
	connecting, stop := context.WithCancel(ctx)
	defer stop()
	var cred Credentials
	var credErr error
	var reading sync.WaitGroup
	reading.Go(func() {
		if cred, credErr = credentials(ctx); credErr != nil {
			stop() // a silent server must not delay the reason
		}
	})
	c, err := connect(connecting, e, push)
	reading.Wait() // every store bounds its calls
	if credErr != nil {
		err = credErr
	}
	if err != nil {
		if c != nil {
			c.close()
		}
		return nil, err
	}
	s := newSession(c, &cred)
	if err := s.login.begin(ctx); err != nil {
		close(s.authenticated)
		s.Close()
		return nil, err
	}
	go s.login.run()
	return s, nil
}

// newSession returns a session that has not begun to log in. Nil credentials mean that it
// does not.
func newSession(c *conn, cred *Credentials) *Session {
	s := &Session{conn: c, authenticated: make(chan struct{})}
	if cred == nil {
		close(s.authenticated)
	} else {
		s.login = login{session: s, cred: *cred}
	}
	return s
}

// loginState is how far a login has come.
type loginState int

const (
	restoring   loginState = iota // session_restore is sent; a refusal leads to authorizing
	authorizing                   // authorize is sent
	loggedIn
	loginFailed
)

// login is the login of a session. Its fields belong to Open, then to the login goroutine.
// When authenticated is closed, any goroutine may read them.
type login struct {
	session *Session
	cred    Credentials

	state   loginState
	call    *Call // the request of restoring or authorizing
	account Account
	err     error // why the login failed
}

// begin sends the first request of the login.
func (l *login) begin(ctx context.Context) error {
	switch {
	case l.cred.SID != "" && len(l.cred.SID) <= proto.MaxSID:
		l.enter(ctx, restoring)
	case !l.cred.Token.IsZero():
		l.enter(ctx, authorizing)
	default:
		return errors.New("there is neither a SID nor a token to log in with")
	}
	return l.call.Err()
}

// run is the login goroutine. It ends with the login or with the connection.
func (l *login) run() {
	defer close(l.session.authenticated)
	ctx := context.Background()
	for l.state == restoring || l.state == authorizing {
		reply, err := l.call.answer(ctx)
		l.answered(ctx, reply, err)
	}
}

// enter moves the login to restoring or authorizing, and sends the request.
func (l *login) enter(ctx context.Context, state loginState) {
	request := proto.SessionRestore(l.cred.SID)
	if state == authorizing {
		request = proto.Authorize(l.cred.Login, l.cred.Token, l.session.conn.greeting.Challenge)
	}
	l.state, l.call = state, l.session.start(ctx, request)
}

// answered advances the login with the reply to its request.
func (l *login) answered(ctx context.Context, reply proto.Reply, err error) {
	server, request := l.session.conn.endpoint.URL, l.call.request.Type
	switch {
	case err != nil:
		l.fail(err)
	case reply.OK():
		l.succeed(reply)
	case l.state == restoring && !l.cred.Token.IsZero():
		l.session.conn.endpoint.trace("the SID was refused, using the token")
		l.enter(ctx, authorizing)
	case reply.Status == "":
		l.fail(l.session.invalidReply(errors.New("it has no status")))
	case Temporary(refused(server, request, reply)):
		l.fail(refused(server, request, reply)) // the refusal says nothing about the credentials
	default:
		l.fail(loginRefused(server, request, l.cred.Login, reply))
	}
}

func (l *login) fail(err error) { l.state, l.err = loginFailed, err }

func (l *login) succeed(reply proto.Reply) {
	said, err := proto.ParseLogin(reply.Fields)
	if err != nil {
		l.fail(l.session.invalidReply(err))
		return
	}
	a := Account{
		Login: cmp.Or(said.Login, l.cred.Login), Restored: l.state == restoring,
		SID: cmp.Or(said.SID, l.cred.SID), // a server might not repeat it
	}
	with := "token"
	if a.Restored {
		with = "SID"
	}
	l.state, l.account = loggedIn, a
	l.session.conn.endpoint.trace("logged in as %s with the %s", a.Login, with)
}

// Account waits for the end of the login. A refusal is an error of KindAuth.
func (s *Session) Account(ctx context.Context) (Account, error) {
	select {
	case <-s.authenticated:
	case <-ctx.Done():
		select {
		case <-s.authenticated:
		default:
			return Account{}, noAnswer(ctx, s.conn.endpoint.URL, "the login")
		}
	}
	if s.login.err != nil && ctx.Err() != nil && s.Err() != nil {
		return Account{}, context.Cause(ctx) // the connection ended because the context did
	}
	return s.login.account, s.login.err
}

// Greeting returns the first frame of the server.
func (s *Session) Greeting() proto.Greeting { return s.conn.greeting }

// Done returns a channel that is closed when the connection has ended; Err says why.
func (s *Session) Done() <-chan struct{} { return s.conn.done }

// Err returns why the connection ended, and nil before that.
func (s *Session) Err() error {
	select {
	case <-s.conn.done:
		return s.conn.err
	default:
		return nil
	}
}

// Close sends a close frame and ends the connection, without waiting for the server.
func (s *Session) Close() {
	s.conn.close()
	<-s.authenticated
}

// Cork holds back what is sent from now on, so that many requests leave in one packet.
func (s *Session) Cork() { s.conn.net.Cork() }

// Uncork sends what was held back, and holds back nothing more. If that fails, the
// connection is lost.
func (s *Session) Uncork() {
	if err := s.conn.net.Uncork(); err != nil {
		s.conn.drop(diagnoseLoss(err))
	}
}
