package session

import (
	"context"
	"errors"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// subscription is one connection of a listener, from the login to its end.
type subscription struct {
	session *Session
	own     string // our login, in the server's spelling; set after the login
	inbox   *inbox
	catchUp catchUp
	deliver func(Event) error
	settled func() error

	positionFirst bool  // no message is delivered before there is a position
	drain         bool  // what is newer than the connection need not be delivered
	first         *Call // the first request of begin; nil if there is a position
}

// sendFirst sends the first request of begin with the login, if the listener has no
// position: the server's answers to both arrive together.
func (c *subscription) sendFirst(ctx context.Context) {
	if _, stage := c.catchUp.position(); stage == unset {
		c.first = c.session.Start(ctx, c.catchUp.first())
	}
}

// begin gives the listener a position, if it has none, and settles it.
func (c *subscription) begin(ctx context.Context) error {
	if c.first == nil {
		return nil
	}
	if err := c.catchUp.begin(ctx, c); err != nil {
		return err
	}
	return c.settle()
}

// start brings the listener from the position to the present.
func (c *subscription) start(ctx context.Context) error {
	deliver := c.catchUp.fetch
	if c.first != nil {
		deliver = c.catchUp.meanwhile
	}
	if err := deliver(ctx, c); err != nil {
		return err
	}
	return c.settle()
}

// live delivers what the server pushes, until the connection or ctx ends.
func (c *subscription) live(ctx context.Context) error {
	for {
		f, err := c.next(ctx)
		if err != nil {
			return err
		}
		if err := c.push(ctx, f); err != nil {
			return err
		}
	}
}

// next returns the next push. If none is ready, what was delivered is settled first.
func (c *subscription) next(ctx context.Context) (proto.Frame, error) {
	var q queued
	select {
	case q = <-c.inbox.queue:
	default:
		if err := c.settle(); err != nil {
			return proto.Frame{}, err
		}
		select {
		case q = <-c.inbox.queue:
		case <-ctx.Done():
			return proto.Frame{}, context.Cause(ctx)
		case <-c.session.Done():
			select { // what the reader read before its end is still to be delivered
			case q = <-c.inbox.queue:
			default:
				return proto.Frame{}, c.session.Err()
			}
		}
	}
	if ctx.Err() != nil {
		return proto.Frame{}, context.Cause(ctx)
	}
	return c.inbox.take(q), nil
}

// push delivers a push, unless it is a message that was delivered before.
func (c *subscription) push(ctx context.Context, f proto.Frame) error {
	if f.Type() != proto.TypeShowMessage {
		return c.other(f)
	}
	return c.catchUp.push(ctx, c, proto.ParseMessage(f))
}

// taker takes the messages that the server pushes while a request waits for its reply.
type taker interface {
	// take takes a message.
	take(context.Context, proto.Message) error
	// full reports whether no other push may be taken before the reply.
	full() bool
}

// taken passes a message to t, and delivers any other push.
func (c *subscription) taken(ctx context.Context, t taker, f proto.Frame) error {
	if f.Type() != proto.TypeShowMessage {
		return c.other(f)
	}
	return t.take(ctx, proto.ParseMessage(f))
}

// other delivers a push that is not a message.
func (c *subscription) other(f proto.Frame) error {
	return stopping(c.deliver(Event{Push: f, Own: c.own}))
}

// hand delivers a message, and calls done if deliver has taken it.
func (c *subscription) hand(m proto.Message, done func()) error {
	err := c.deliver(Event{Message: &m, Own: c.own})
	if err == nil || errors.Is(err, ErrEnough) {
		done()
	}
	return stopping(err)
}

// settle reports that no event is ready.
func (c *subscription) settle() error {
	if c.settled == nil {
		return nil
	}
	return stopping(c.settled())
}

// requestTime limits each request of a catch-up: a server that never answers one must not
// stop the listener.
const requestTime = time.Minute

// ask sends a request and returns the reply, as await does.
func (c *subscription) ask(ctx context.Context, r proto.Request, t taker) (proto.Reply, error) {
	return c.await(ctx, t, func(ctx context.Context) (proto.Reply, error) { return c.session.Do(ctx, r) })
}

// await returns the reply that wait returns. Meanwhile it passes what the server pushes to
// t: otherwise the inbox would fill, and the reader would block and never read the reply.
// If t is full, the reader does block, until the request times out.
func (c *subscription) await(ctx context.Context, t taker, wait func(context.Context) (proto.Reply, error)) (proto.Reply, error) {
	ctx, cancel := WithTimeout(ctx, requestTime)
	defer cancel()
	var reply proto.Reply
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		reply, err = wait(ctx)
	}()
	for waiting := true; waiting; {
		queue := c.inbox.queue
		if t.full() {
			queue = nil
		}
		select {
		case q := <-queue:
			err := c.taken(ctx, t, c.inbox.take(q))
			if err == nil && len(c.inbox.queue) == 0 {
				err = c.settle()
			}
			if err != nil {
				cancel()
				<-answered
				return proto.Reply{}, err
			}
		case <-answered:
			waiting = false
		}
	}
	// What came before the reply, or before the end of the connection, is taken too.
	for n := len(c.inbox.queue); n > 0 && !t.full() && ctx.Err() == nil; n-- {
		if err := c.taken(ctx, t, c.inbox.take(<-c.inbox.queue)); err != nil {
			return proto.Reply{}, err
		}
	}
	switch {
	case KindOf(err) == KindTimeout && t.full():
		return proto.Reply{}, pushedTooMuch(c.session.conn.endpoint.URL, err)
	case err != nil:
		return proto.Reply{}, err
	case ctx.Err() != nil && len(c.inbox.queue) > 0:
		return proto.Reply{}, context.Cause(ctx)
	}
	return reply, nil
}
