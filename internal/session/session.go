// Package session is one authenticated Skaro connection: dial, greeting,
// authentication, requests, pushes; and Listen, a loop over such connections.
// It prints nothing; its errors are typed (errors.go). docs/protocol.md is the
// specification of what it says.
package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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
	authorize := func(ctx context.Context) (*pending, error) {
		p, _, err := s.conn.start(ctx, proto.TypeAuthorize, map[string]any{
			"login": cred.Login, "password": cred.Token.Answer(s.conn.greeting.Challenge),
		})
		return p, err
	}
	var p *pending
	var err error
	if cred.SID != "" {
		p, _, err = s.conn.start(ctx, proto.TypeSessionRestore, map[string]any{"sid": cred.SID})
	} else {
		p, err = authorize(ctx)
	}
	if err != nil {
		close(s.authenticated)
		return err
	}
	go func() {
		defer close(s.authenticated)
		reply, err := p.wait(authCtx)
		if err == nil && !reply.OK() && p.typ == proto.TypeSessionRestore && !cred.Token.IsZero() {
			s.conn.endpoint.trace("the SID was refused, using the token")
			if p, err = authorize(authCtx); err == nil {
				reply, err = p.wait(authCtx)
			}
		}
		switch {
		case err != nil:
			s.authErr = err
		case reply.Status == "":
			s.authErr = s.wrongReply(errors.New("it has no status"))
		case !reply.OK() && refused(reply, p.typ).Temporary():
			s.authErr = refused(reply, p.typ) // it says nothing of the credentials
		case !reply.OK():
			login := cred.Login
			if p.typ == proto.TypeSessionRestore {
				login = ""
			}
			s.authErr = &AuthError{Login: login, RefusedError: *refused(reply, p.typ)}
		default:
			s.account = account(reply, cred)
			s.account.Restored = p.typ == proto.TypeSessionRestore
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

// Account waits for the end of the authentication. A refusal is an *AuthError.
func (s *Session) Account(ctx context.Context) (Account, error) {
	select {
	case <-s.authenticated:
	case <-ctx.Done():
		select {
		case <-s.authenticated:
		default:
			return Account{}, fmt.Errorf("waiting for the answer to the login: %w", ended(ctx))
		}
	}
	if s.authErr != nil && ctx.Err() != nil && s.Err() != nil {
		return Account{}, ended(ctx) // the connection ended because the context did
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

// Request is a request on its way. See Start.
type Request struct {
	s     *Session
	p     *pending
	early bool // it was sent before the authentication had succeeded
	again func(context.Context) (*pending, bool, error)
}

// Start sends a request without waiting for the authentication or for the reply.
// sent tells, where there is an error, whether any of the request may have gone
// out.
func (s *Session) Start(ctx context.Context, typ string, fields map[string]any) (r *Request, sent bool, err error) {
	early := true
	select {
	case <-s.authenticated:
		early = false
	default:
	}
	again := func(ctx context.Context) (*pending, bool, error) { return s.conn.start(ctx, typ, fields) }
	p, sent, err := again(ctx)
	if err != nil {
		// A server may hang up on whom it does not let in: then that is the reason.
		var auth *AuthError
		if s.Err() != nil {
			if _, authErr := s.Account(ctx); errors.As(authErr, &auth) {
				return nil, false, authErr
			}
		}
		return nil, sent, err
	}
	return &Request{s: s, p: p, early: early, again: again}, true, nil
}

// Wait returns the reply. Where the session authenticates, it is awaited first:
// its refusal is returned, and means that the request did not take effect. A
// request that left before the authentication had been accepted, and was refused
// for that reason, is sent once more. A status other than 200 is a
// *RefusedError; any other error leaves open whether the request took effect.
func (r *Request) Wait(ctx context.Context) (proto.Reply, error) {
	if _, err := r.s.Account(ctx); err != nil {
		r.p.forget()
		return proto.Reply{}, err
	}
	reply, err := r.p.wait(ctx)
	if err == nil && !reply.OK() && r.early && unauthorized(reply.Status) {
		r.s.conn.endpoint.trace("%s was refused before the login was done, sending it again", r.p.typ)
		if r.p, _, err = r.again(ctx); err != nil {
			return proto.Reply{}, err
		}
		reply, err = r.p.wait(ctx)
	}
	switch {
	case err == nil && reply.Status == "":
		err = r.s.wrongReply(errors.New("it has no status"))
	case err == nil && !reply.OK():
		err = refused(reply, r.p.typ)
	}
	return reply, err
}

// unauthorized reports whether a refusal may mean "not yet logged in".
func unauthorized(status string) bool {
	code := proto.StatusCode(status)
	return code == "401" || code == "403"
}

// harmless are the requests that change nothing: when one is not answered, that is
// all there is to say.
func harmless(typ string) bool {
	switch typ {
	case proto.TypeRegisterType, proto.TypeAuthorize, proto.TypeSessionRestore, proto.TypeSearchContacts:
		return true
	}
	return strings.HasPrefix(typ, "get_")
}

// Change sends a request that may change something on the server, and waits for
// its reply. A refusal is a *RefusedError or an *AuthError, and means that nothing
// was done; where it was sent and not answered the error is an *UnknownError,
// unless the request is one that changes nothing.
func (s *Session) Change(ctx context.Context, typ string, fields map[string]any) (proto.Reply, error) {
	r, sent, err := s.Start(ctx, typ, fields)
	var reply proto.Reply
	if err == nil {
		reply, err = r.Wait(ctx)
	}
	var refused *RefusedError
	var auth *AuthError
	switch {
	case err == nil, !sent, harmless(typ), errors.As(err, &refused), errors.As(err, &auth):
		return reply, err
	}
	return reply, &UnknownError{Err: err, Request: typ}
}

// Do sends a request that changes nothing and waits for its reply, as Start and
// Wait do.
func (s *Session) Do(ctx context.Context, typ string, fields map[string]any) (proto.Reply, error) {
	r, _, err := s.Start(ctx, typ, fields)
	if err != nil {
		return proto.Reply{}, err
	}
	return r.Wait(ctx)
}

// RegisterType asks for the server's registration policy: open, invite, closed,
// or the server's own word (docs/protocol.md, "register_type").
func (s *Session) RegisterType(ctx context.Context) (string, error) {
	r, err := s.Do(ctx, proto.TypeRegisterType, nil)
	if err != nil {
		return "", err
	}
	word, ok := r.Fields.TextOK("register_type")
	if !ok {
		return "", s.wrongReply(errors.New("its register_type is missing or not text"))
	}
	return proto.RegisterPolicy(word), nil
}

// NewAccount is who wants an account.
type NewAccount struct {
	Login  string
	Token  proto.Token
	Invite string // the code of an invitation; "" where everybody may
}

// Register makes an account (docs/protocol.md, "register"), and returns its login
// as the server has it. Its errors are those of Change.
func (s *Session) Register(ctx context.Context, a NewAccount) (string, error) {
	form := map[string]any{"login": a.Login, "token": a.Token.Text()}
	policy := "open"
	if a.Invite != "" {
		form["invite"], policy = a.Invite, "invite"
	}
	r, err := s.Change(ctx, proto.TypeRegister, map[string]any{"register_type": policy, "form": form})
	if err != nil {
		return "", err
	}
	if user, ok := r.Fields.Map("user"); ok && user.Text("login") != "" {
		return user.Text("login"), nil
	}
	return a.Login, nil
}

// wrongReply is the error for a reply that lacks what its request is for.
func (s *Session) wrongReply(err error) error {
	return &ProtocolError{Server: s.conn.endpoint.URL, Saw: "it sent a wrong reply", Err: err}
}

// Sent is a message that the server has confirmed.
type Sent struct {
	ID    int64 // 0 where the server gives none
	Date  proto.Date
	To    string
	Extra map[string]any
}

// Sending is a message on its way. See StartSend.
type Sending struct {
	request *Request
	to      string
}

// StartSend sends a message without waiting for its confirmation. An error means
// that it may have gone out in part (*UnknownError), or that it did not. The nonce
// goes along where the server knows what it is for.
func (s *Session) StartSend(ctx context.Context, to, body, nonce string) (*Sending, error) {
	fields := map[string]any{"to": to, "body": body}
	if nonce != "" && s.Greeting().Has(proto.ExtNonce) {
		fields["nonce"] = nonce
	}
	r, sent, err := s.Start(ctx, proto.TypeSendMessage, fields)
	if err != nil {
		if sent {
			err = &UnknownError{Err: err}
		}
		return nil, err
	}
	return &Sending{request: r, to: to}, nil
}

// Wait waits for the confirmation. A refusal is a *RefusedError or an
// *AuthError: the message was not delivered. Anything else is an *UnknownError.
func (m *Sending) Wait(ctx context.Context) (Sent, error) {
	r, err := m.request.Wait(ctx)
	var refused *RefusedError
	var auth *AuthError
	switch {
	case errors.As(err, &refused), errors.As(err, &auth):
		return Sent{}, err
	case err != nil:
		return Sent{}, &UnknownError{Err: err}
	}
	sent := Sent{To: m.to, Date: r.Fields.Date("date")}
	known := []string{"type", "for", "id", "status", "date", "session_id"} // nobody should print a SID
	if id, ok := r.Fields.Int("message_id"); ok {
		sent.ID = id
		known = append(known, "message_id")
	}
	sent.Extra = r.Fields.Extra(known...)
	return sent, nil
}

// RoundTrip measures how long the server takes to answer a ping.
func (s *Session) RoundTrip(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if err := s.conn.ws.Ping(ctx); err != nil {
		if ctx.Err() != nil {
			return 0, &UnreachableError{Server: s.conn.endpoint.URL, Lost: true, Err: ended(ctx)}
		}
		return 0, s.conn.failed(err)
	}
	return time.Since(start), nil
}
