package server

import (
	"context"
	"net"
	"sync"
)

// cork is a network connection that can hold back what is written, so that many
// small frames leave in one packet.
type cork struct {
	net.Conn
	mu   sync.Mutex
	held bool
	buf  []byte
}

// corkMost is how much is held back, in bytes.
const corkMost = 64 << 10

func (k *cork) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.held {
		return k.Conn.Write(b)
	}
	k.buf = append(k.buf, b...)
	if len(k.buf) >= corkMost {
		if err := k.flush(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (k *cork) flush() error {
	if len(k.buf) == 0 {
		return nil
	}
	_, err := k.Conn.Write(k.buf)
	k.buf = k.buf[:0]
	return err
}

func (k *cork) hold() {
	k.mu.Lock()
	k.held = true
	k.mu.Unlock()
}

func (k *cork) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = false
	_ = k.flush() // the next write meets the same error
}

type corkListener struct{ net.Listener }

// Listener is l with connections that Server can write to in large pieces. It
// goes below TLS.
func Listener(l net.Listener) net.Listener { return corkListener{l} }

func (l corkListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cork{Conn: c}, nil
}

type corkKey struct{}

// ConnContext lets Server find the connection below a request: it is for
// http.Server.ConnContext.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if k, ok := c.(*cork); ok {
		return context.WithValue(ctx, corkKey{}, k)
	}
	return ctx
}

func corkOf(ctx context.Context) *cork {
	k, _ := ctx.Value(corkKey{}).(*cork)
	return k
}
