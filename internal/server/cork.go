package server

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"

	"github.com/skaroctl/skaroctl/internal/cork"
)

type corkListener struct {
	net.Listener
	links *links
}

// Listener returns l with connections whose small writes Server can hold back, and closes those
// that one address makes far beyond its limit. It belongs below TLS.
func (s *Server) Listener(l net.Listener) net.Listener { return corkListener{l, s.links} }

func (l corkListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if counted := l.links.count(c); counted != nil {
			return &cork.Conn{Conn: counted}, nil
		}
		c.Close()
	}
}

// links counts the network connections of each address, whatever becomes of them. Those above
// MaxConnectionsPerAddress get an answer of HTTP, so there is room for spareLinks more.
type links struct {
	o *Options

	mu     sync.Mutex
	counts map[netip.Prefix]int // without local and trusted proxies
}

const spareLinks = 64

// link is a network connection that is counted until it is closed.
type link struct {
	net.Conn
	release func() // of sync.OnceFunc
}

func (l link) Close() error {
	l.release()
	return l.Conn.Close()
}

// SyscallConn lets cork.Conn write without waiting.
func (l link) SyscallConn() (syscall.RawConn, error) {
	s, ok := l.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return s.SyscallConn()
}

// count returns the connection as a link, or nil if its address has too many.
func (l *links) count(c net.Conn) net.Conn {
	addr := parseAddr(c.RemoteAddr().String())
	key := addressOf(addr)
	if key == local || l.o.trusts(addr) {
		return c
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[key] >= l.o.MaxConnectionsPerAddress+spareLinks {
		return nil
	}
	l.counts[key]++
	return link{c, sync.OnceFunc(func() { l.release(key) })}
}

func (l *links) release(key netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[key]--; l.counts[key] == 0 {
		delete(l.counts, key)
	}
}

// slim gives a WebSocket small buffers: each of the 4 KiB of net/http would be a tenth of what
// an idle connection costs. What it writes is held back by a cork.Conn anyway.
type slim struct{ http.ResponseWriter }

func (s slim) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	rw.Writer = bufio.NewWriterSize(c, 512)
	if rw.Reader.Buffered() == 0 {
		rw.Reader = bufio.NewReaderSize(c, 2<<10)
	}
	return c, rw, nil
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
