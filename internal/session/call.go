package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Call is the handle of a request that was sent: Start makes it, Wait ends it. Only one
// goroutine may use it at a time.
type Call struct {
	session *Session
	request proto.Request
	early   bool // sent before the login was confirmed

	id    int64
	reply chan proto.Reply // has room for the one reply

	maybeSent bool  // some of it may have left
	err       error // why it could not be sent
}

// Start sends a request without waiting for the login or for the reply. If the request
// can't be sent, Wait says why.
func (s *Session) Start(ctx context.Context, r proto.Request) *Call {
	early := true
	select {
	case <-s.authenticated:
		early = false
	default:
	}
	c := s.start(ctx, r)
	c.early = early
	return c
}

// start sends a request of the login or of a caller.
func (s *Session) start(ctx context.Context, r proto.Request) *Call {
	c := &Call{session: s, request: r, reply: make(chan proto.Reply, 1)}
	c.maybeSent, c.err = s.conn.send(ctx, c)
	return c
}

// Do sends a request and waits for its reply.
func (s *Session) Do(ctx context.Context, r proto.Request) (proto.Reply, error) {
	return s.Start(ctx, r).Wait(ctx)
}

// MaybeSent reports whether any of the request may have left this machine.
func (c *Call) MaybeSent() bool { return c.maybeSent }

// Err returns why the request could not be sent, and nil if it was.
func (c *Call) Err() error { return c.err }

// Answered reports whether the reply has arrived, so that Wait does not block.
func (c *Call) Answered() bool { return len(c.reply) > 0 }

// Wait returns the reply to the request. A refusal of the request or of the login means
// that the request had no effect. If a request that changes something may have been sent
// and was not answered, the error is of KindUnknown.
func (c *Call) Wait(ctx context.Context) (proto.Reply, error) {
	reply, err := c.wait(ctx)
	if err != nil && c.maybeSent && c.request.Changes() && !isRefusal(err) {
		err = Unknown(c.request.Type, err)
	}
	return reply, err
}

// wait is Wait without KindUnknown: its errors do not say whether the request had an effect.
func (c *Call) wait(ctx context.Context) (proto.Reply, error) {
	if c.err != nil {
		return proto.Reply{}, c.notSent(ctx)
	}
	if _, err := c.session.Account(ctx); err != nil {
		c.forget()
		return proto.Reply{}, err
	}
	reply, err := c.answer(ctx)
	if err == nil && c.early && unauthorized(reply) {
		// The server read the request before the login was done. Now it is done: send it again.
		c.session.conn.endpoint.trace("%s was refused before the login was done, sending it again", c.request.Type)
		*c = *c.session.start(ctx, c.request)
		reply, err = c.answer(ctx)
	}
	if err != nil {
		return reply, err
	}
	switch {
	case reply.Status == "":
		return reply, c.session.invalidReply(errors.New("it has no status"))
	case !reply.OK():
		return reply, refused(c.session.conn.endpoint.URL, c.request.Type, reply)
	}
	return reply, nil
}

// notSent returns why the request could not be sent. A server may hang up on a client
// that it refuses to log in: then the refusal is the reason.
func (c *Call) notSent(ctx context.Context) error {
	if c.session.Err() != nil {
		if _, err := c.session.Account(ctx); KindOf(err) == KindAuth {
			return err
		}
	}
	return c.err
}

// answer returns the reply, whatever its status. It returns an error if the connection or
// ctx ends first; a reply that has arrived by then still counts.
func (c *Call) answer(ctx context.Context) (proto.Reply, error) {
	if c.err != nil {
		return proto.Reply{}, c.err
	}
	conn := c.session.conn
	select {
	case r := <-c.reply:
		return r, c.check(r)
	case <-conn.done:
	case <-ctx.Done():
		c.forget()
	}
	select {
	case r := <-c.reply:
		return r, c.check(r)
	default:
	}
	if ctx.Err() == nil { // a context that ends during a write ends the connection too
		return proto.Reply{}, conn.err
	}
	return proto.Reply{}, noAnswer(ctx, conn.endpoint.URL, c.request.Type)
}

// check returns an error if a reply with our number names another request.
func (c *Call) check(r proto.Reply) error {
	if r.For == "" || r.For == c.request.Type {
		return nil
	}
	return c.session.invalidReply(fmt.Errorf("it is for %q, and not for %q", proto.Excerpt(r.For), c.request.Type))
}

// forget makes the connection drop the reply when it comes.
func (c *Call) forget() { c.session.conn.forget(c.id) }

// unauthorized reports whether a refusal may mean "not yet logged in".
func unauthorized(r proto.Reply) bool {
	code := proto.StatusCode(r.Status)
	return code == "401" || code == "403"
}
