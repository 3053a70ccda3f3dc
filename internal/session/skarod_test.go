package session

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/server"
	"github.com/skaroctl/skaroctl/internal/store"
)

// skarod is a skarod in this process, behind a proxy with a fixed address.
type skarod struct {
	t       *testing.T
	path    string
	options server.Options
	proxy   *proxy
	addr    string // the server's own
	stop    func()

	mu      sync.Mutex
	senders map[string]*Session
}

// newSkarod starts a server with accounts. A nil change means the default options.
func newSkarod(t *testing.T, change func(*server.Options), logins ...string) *skarod {
	h := &skarod{t: t, path: filepath.Join(t.TempDir(), "skarod.db"), options: server.DefaultOptions()}
	h.options.WriteTime, h.options.PingInterval, h.options.HTTPTime = patience, patience, patience // a client on a busy machine is not deaf
	if change != nil {
		change(&h.options)
	}
	st, err := store.Open(h.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range logins {
		if err := st.AddUser(login, token, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	h.proxy = newProxy(t)
	t.Cleanup(func() { h.crash() })
	h.start()
	return h
}

func (h *skarod) start() {
	h.t.Helper()
	st, err := store.Open(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	h.options.Store = st
	s, err := server.New(h.options)
	if err != nil {
		h.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	web := s.HTTP()
	go func() { _ = web.Serve(s.Listener(l)) }()
	h.addr = l.Addr().String()
	h.proxy.setTarget(h.addr)
	h.senders = map[string]*Session{}
	h.stop = func() {
		web.Close()
		s.Close(context.Background())
		if err := st.Close(); err != nil {
			h.t.Error(err)
		}
	}
}

// crash ends the server and cuts every connection, without a close frame.
func (h *skarod) crash() {
	if h.stop == nil {
		return
	}
	h.proxy.setTarget("")
	h.proxy.cut()
	for _, s := range h.senders {
		s.Close()
	}
	h.stop()
	h.stop = nil
}

// listener returns a listener of alice.
func (h *skarod) listener() *Listener { return listener(h.url()) }

func (h *skarod) url() string { return "ws://" + h.proxy.addr + server.Path }

// send sends messages to alice, past the proxy, and waits for their confirmations.
func (h *skarod) send(from string, bodies ...string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	h.mu.Lock()
	s := h.senders[from]
	h.mu.Unlock()
	if s == nil {
		var err error
		s, err = Open(ctx, Endpoint{URL: "ws://" + h.addr + server.Path}, func(context.Context) (Credentials, error) {
			return Credentials{Login: from, Token: token}, nil
		}, nil)
		if err != nil {
			h.t.Error(err)
			return
		}
		h.mu.Lock()
		h.senders[from] = s
		h.mu.Unlock()
	}
	calls := make(chan *Call, 32) // fewer than any test's server queues for one connection
	go func() {
		defer close(calls)
		for _, b := range bodies {
			calls <- s.Start(ctx, proto.SendMessage("alice", b, "", ""))
		}
	}()
	for c := range calls {
		if _, err := c.Wait(ctx); err != nil {
			h.t.Error(err)
		}
	}
}

// proxy is a TCP proxy that can do what networks do.
type proxy struct {
	addr string

	mu     sync.Mutex
	target string
	nth    int
	conns  map[net.Conn]bool

	// cutAfter returns the number of bytes to the client after which the nth connection,
	// from 1, is cut; -1 means never. A nil cutAfter means that none is cut.
	cutAfter func(nth int) int64
	// swallow makes the connections that exist lose every byte from now on.
	swallow func()
}

func newProxy(t *testing.T) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), conns: map[net.Conn]bool{}}
	var swallowing atomic.Int64 // connections up to this number
	p.swallow = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		swallowing.Store(int64(p.nth))
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			target, cutAfter := p.target, int64(-1)
			p.nth++
			nth := p.nth
			if p.cutAfter != nil {
				cutAfter = p.cutAfter(p.nth)
			}
			p.mu.Unlock()
			up, err := net.Dial("tcp", target)
			if target == "" || err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.conns[c], p.conns[up] = true, true
			p.mu.Unlock()
			lost := func() bool { return swallowing.Load() >= int64(nth) }
			running.Go(func() { p.carry(up, c, -1, lost) })
			running.Go(func() { p.carry(c, up, cutAfter, lost) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		running.Wait()
	})
	return p
}

// carry copies until either end closes, or most bytes are copied; -1 means no limit.
func (p *proxy) carry(to, from net.Conn, most int64, lost func() bool) {
	defer func() {
		to.Close()
		from.Close()
		p.mu.Lock()
		delete(p.conns, to)
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for most != 0 {
		b := buf
		if most > 0 && most < int64(len(b)) {
			b = b[:most]
		}
		n, err := from.Read(b)
		if !lost() {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if most > 0 {
			most -= int64(n)
		}
		if err != nil {
			if lost() {
				_, _ = io.Copy(io.Discard, to) // the other end does not learn of it: wait for its own end
			}
			return
		}
	}
}

// setTarget sets where new connections go; "" means nowhere.
func (p *proxy) setTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// cut cuts every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}
