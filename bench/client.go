package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// client is a bare Skaro client: it measures the server, and costs as little as it can.
type client struct {
	ws   *websocket.Conn
	next int64 // number of the next request
}

// connect logs in at a server.
func connect(ctx context.Context, url, login string) (*client, error) {
	c := &client{}
	ws, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, err
	}
	c.ws = ws
	ws.SetReadLimit(proto.MaxFrame)
	f, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	greeting, err := proto.ParseGreeting(f)
	if err != nil {
		return nil, err
	}
	token, err := proto.NewToken(password)
	if err != nil {
		return nil, err
	}
	r := proto.Authorize(login, token, greeting.Challenge)
	reply, err := c.request(ctx, r.Type, r.Fields)
	if err == nil && !reply.OK() {
		err = fmt.Errorf("login of %s: %s", login, reply.Status)
	}
	return c, err
}

// connectAll logs in with each of the logins.
func connectAll(ctx context.Context, url string, logins []string) ([]*client, error) {
	clients := make([]*client, len(logins))
	errs := make([]error, len(logins))
	var wg sync.WaitGroup
	at := make(chan struct{}, 16)
	for i, login := range logins {
		at <- struct{}{}
		wg.Go(func() {
			clients[i], errs[i] = connect(ctx, url, login)
			<-at
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return clients, nil
}

func (c *client) read(ctx context.Context) (proto.Frame, error) {
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return proto.Frame{}, err
	}
	return proto.Decode(b)
}

// ask sends a request, and does not wait for the reply.
func (c *client) ask(ctx context.Context, typ string, fields map[string]any) error {
	c.next++
	b, err := proto.EncodeRequest(typ, c.next, fields)
	if err != nil {
		return err
	}
	return c.ws.Write(ctx, websocket.MessageBinary, b)
}

// request sends a request, and waits for the reply. It drops pushes that come before it.
func (c *client) request(ctx context.Context, typ string, fields map[string]any) (proto.Reply, error) {
	if err := c.ask(ctx, typ, fields); err != nil {
		return proto.Reply{}, err
	}
	for {
		f, err := c.read(ctx)
		if err != nil {
			return proto.Reply{}, err
		}
		if f.Type() == proto.TypeReply {
			return proto.ParseReply(f)
		}
	}
}

// drain reads and drops whatever comes, until the connection ends.
func (c *client) drain(ctx context.Context) {
	for {
		_, r, err := c.ws.Reader(ctx)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return
		}
	}
}

// pump sends messages with a window of them in flight, until ctx or the connection ends, or
// n are confirmed (0 means no end). It returns how many were confirmed.
func (c *client) pump(ctx context.Context, to, body string, window, n int) (int, error) {
	slots := make(chan struct{}, window)
	asked := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for i := 0; n == 0 || i < n; i++ {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				asked <- ctx.Err()
				return
			}
			if err := c.ask(ctx, proto.TypeSendMessage, map[string]any{"to": to, "body": body}); err != nil {
				asked <- err
				return
			}
		}
		asked <- nil
	}()
	confirmed := 0
	for n == 0 || confirmed < n {
		_, b, err := c.ws.Read(ctx)
		if err != nil {
			cancel()
			<-asked
			return confirmed, err
		}
		f, err := proto.Decode(b)
		if err != nil {
			return confirmed, err
		}
		if f.Type() != proto.TypeReply {
			continue
		}
		r, err := proto.ParseReply(f)
		if err == nil && !r.OK() {
			err = fmt.Errorf("a message was refused: %s", r.Status)
		}
		if err != nil {
			cancel()
			<-asked
			return confirmed, err
		}
		confirmed++
		<-slots
	}
	return confirmed, <-asked
}
