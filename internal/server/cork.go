package server

import (
	"context"
	"net"

	"github.com/skaroctl/skaroctl/internal/cork"
)

type corkListener struct{ net.Listener }

// Listener returns l with connections whose small writes Server can hold back. It belongs
// below TLS.
func Listener(l net.Listener) net.Listener { return corkListener{l} }

func (l corkListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cork.Conn{Conn: c}, nil
}

type corkKey struct{}

// connContext is the http.Server.ConnContext that lets corkOf find the connection of a
// request.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if k, ok := c.(*cork.Conn); ok {
		return context.WithValue(ctx, corkKey{}, k)
	}
	return ctx
}

// corkOf returns the connection of a request, or nil if the listener does not come from
// Listener.
func corkOf(ctx context.Context) *cork.Conn {
	k, _ := ctx.Value(corkKey{}).(*cork.Conn)
	return k
}
