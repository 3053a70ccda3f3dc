package server

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"

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
			l.links.failed(err)
			return nil, err
		}
		if k := l.links.count(c); k != nil {
			return &cork.Conn{Conn: k}, nil
		}
		c.Close()
	}
}

// links counts the network connections of each address, whatever becomes of them. Those above
// MaxConnectionsPerAddress get an HTTP answer, so there is room for spareLinks more.
type links struct {
	o      *Options
	bursts *bursts
	intake *intake
	most   int // beyond it, there would be no descriptors for anything else

	mu     sync.Mutex
	open   int
	counts map[netip.Prefix]int // without local and trusted proxies
}

const spareLinks = 64

// failed logs that a connection can't be accepted. net/http tries again.
func (l *links) failed(err error) {
	if !errors.Is(err, net.ErrClosed) {
		l.bursts.add(burst{event: eventNotAccepted, reason: err.Error()}, "")
	}
}

// count returns the connection as a link, or nil if there are too many of all or of its address.
func (l *links) count(c net.Conn) net.Conn {
	addr := parseAddr(c.RemoteAddr().String())
	key := addressOf(addr)
	if l.o.trusts(addr) {
		key = local
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most {
		l.bursts.add(burst{eventConnectionRefused, key.String(), "the limit of open files leaves no room"}, "")
		return nil
	}
	if key != local {
		if l.counts[key] >= l.o.MaxConnectionsPerAddress+spareLinks {
			return nil
		}
		l.counts[key]++
	}
	l.open++
	k := newLink(c, func() { l.release(key) })
	k.intake = l.intake
	k.payer.Store(payerOf(key))
	return k
}

func (l *links) release(key netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if key == local {
		return
	}
	if l.counts[key]--; l.counts[key] == 0 {
		delete(l.counts, key)
	}
}

// slim gives a WebSocket small buffers: each of net/http's, of 4 KiB, would be a tenth of the
// memory of an idle connection. What it writes is held back by a cork.Conn anyway.
type slim struct {
	http.ResponseWriter
	link *link
}

func (s slim) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	c = s.link.upgrade(c)
	rw.Writer = bufio.NewWriterSize(c, 512)
	if rw.Reader.Buffered() == 0 {
		rw.Reader = bufio.NewReaderSize(c, 2<<10)
	}
	return c, rw, nil
}

// reservedFiles are the descriptors that network connections leave to the database, the
// certificates and the log.
const reservedFiles = 64

// mostLinks returns how many network connections the limit of open files leaves room for.
func mostLinks() int {
	limit := openFiles()
	return limit - min(reservedFiles, limit/2)
}

// WarnOfFiles logs if the limit of open files is too low for MaxConnections.
func (s *Server) WarnOfFiles() {
	if s.links.most < s.o.MaxConnections {
		s.o.Log.Warn("the limit of open files leaves room for fewer connections", maxConnections, s.o.MaxConnections, "room", s.links.most, "open_files", openFiles())
	}
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
