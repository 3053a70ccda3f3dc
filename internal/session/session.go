// Package session is one authenticated Skaro connection: dial, greeting,
// authentication, requests, pushes; and Listen, a loop over such connections.
// It prints nothing; its errors are typed (errors.go). docs/protocol.md is the
// specification of what it says.
package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Credentials are what a connection authenticates with. Where there is a SID it
// is tried first; where it is refused, or there is none, the token answers the
// challenge.
type Credentials struct {
	Login string
	Token proto.Token // the zero Token: none
	SID   string      // "": none
}

// Account is what the server said when it let us in.
type Account struct {
	Login    string
	SID      string // restores this session (docs/protocol.md, "Sessions")
	Restored bool   // the SID was enough
}

// Session is a connection that authenticates itself. Its authentication is sent
// as soon as the server has greeted; a request leaves without waiting for the
// answer, so that both take one round trip.
type Session struct {
	conn *conn

	authenticated chan struct{} // closed when the two below are set
	account       Account
	authErr       error

	cancel context.CancelFunc
}

// Open connects to the endpoint and starts to authenticate with what credentials
// returns, which is called while the connection is being made. A nil credentials
// makes a session without authentication. onPush, where it is not nil, is given
// every frame that is no reply, from the goroutine that reads: as long as it
// blocks, nothing else is read. ctx bounds the making of the connection only.
func Open(ctx context.Context, e Endpoint, credentials func(context.Context) (Credentials, error), onPush func(proto.Frame)) (*Session, error) {
	type found struct {
		Credentials
		err error
	}
	have := make(chan found, 1)
	connecting, giveUp := context.WithCancel(ctx)
	defer giveUp()
	if credentials != nil {
		if err := e.Check(); err != nil {
			return nil, err
		}
		go func() {
			c, err := credentials(ctx)
			if err != nil {
				giveUp() // a silent server must not hold up the reason
			}
			have <- found{c, err}
		}()
	} else {
		have <- found{}
	}
	c, dialErr := connect(connecting, e, onPush)
	cred := <-have // bounded: every store is
	if cred.err != nil || dialErr != nil {
		if c != nil {
			c.close()
		}
		if cred.err != nil {
			return nil, cred.err
		}
		return nil, dialErr
	}
	s := &Session{conn: c, authenticated: make(chan struct{})}
	authCtx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	if credentials == nil {
		close(s.authenticated)
		return s, nil
	}
	if err := s.authenticate(ctx, authCtx, cred.Credentials); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// authenticate sends the first authentication request, and leaves the rest to a
// goroutine.
func (s *Session) authenticate(ctx, authCtx context.Context, cred Credentials) error {
	if cred.SID == "" && cred.Token.IsZero() {
		close(s.authenticated)
		return errors.New("there is neither a SID nor a token to log in with") // the callers see to it
	}
	first := proto.SessionRestore(cred.SID)
	if cred.SID == "" {
		first = proto.Authorize(cred.Login, cred.Token, s.conn.greeting.Challenge)
	}
	call := s.start(ctx, first)
	if call.err != nil {
		close(s.authenticated)
		return call.err
	}
	go func() {
		defer close(s.authenticated)
		reply, err := call.answer(authCtx)
		if err == nil && !reply.OK() && call.request.Type == proto.TypeSessionRestore && !cred.Token.IsZero() {
			s.conn.endpoint.trace("the SID was refused, using the token")
			call = s.start(authCtx, proto.Authorize(cred.Login, cred.Token, s.conn.greeting.Challenge))
			reply, err = call.answer(authCtx)
		}
		typ := call.request.Type
		switch {
		case err != nil:
			s.authErr = err
		case reply.Status == "":
			s.authErr = s.invalidReply(errors.New("it has no status"))
		case !reply.OK() && Temporary(refused(typ, reply)):
			s.authErr = refused(typ, reply) // it says nothing of the credentials
		case !reply.OK():
			s.authErr = loginRefused(typ, cred.Login, reply)
		default:
			s.account = account(reply, cred)
			s.account.Restored = typ == proto.TypeSessionRestore
			s.conn.endpoint.trace("logged in as %s with the %s", s.account.Login, map[bool]string{true: "SID", false: "token"}[s.account.Restored])
		}
	}()
	return nil
}

// account reads the reply to authorize and to session_restore.
func account(r proto.Reply, cred Credentials) Account {
	a := Account{Login: cred.Login, SID: r.Fields.Text("session_id")}
	if user, ok := r.Fields.Map("user"); ok {
		if login := user.Text("login"); login != "" {
			a.Login = login
		}
	}
	if a.SID == "" {
		a.SID = cred.SID // a server might not repeat it
	}
	return a
}

// Greeting is what the server said first.
func (s *Session) Greeting() proto.Greeting { return s.conn.greeting }

// Account waits for the end of the authentication. A refusal is an error of KindAuth.
func (s *Session) Account(ctx context.Context) (Account, error) {
	select {
	case <-s.authenticated:
	case <-ctx.Done():
		select {
		case <-s.authenticated:
		default:
			return Account{}, fmt.Errorf("waiting for the answer to the login: %w", context.Cause(ctx))
		}
	}
	if s.authErr != nil && ctx.Err() != nil && s.Err() != nil {
		return Account{}, context.Cause(ctx) // the connection ended because the context did
	}
	return s.account, s.authErr
}

// Done is closed when the connection has ended; Err says why.
func (s *Session) Done() <-chan struct{} { return s.conn.done }

// Err is why the connection ended; nil while it lasts.
func (s *Session) Err() error {
	select {
	case <-s.conn.done:
		return s.conn.err
	default:
		return nil
	}
}

// Close sends a close frame and drops the connection, without waiting.
func (s *Session) Close() {
	s.cancel()
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
