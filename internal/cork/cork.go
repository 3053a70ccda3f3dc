// Package cork holds back small writes to a network connection, so that many frames
// leave in one packet. The writers of client and server know when more is to come.
package cork

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// Conn is a net.Conn with Cork and Uncork.
type Conn struct {
	net.Conn

	// OnWait, if it is set before the first write, is called with true when a write has to wait
	// until the peer takes what was sent before, and with false when that write has ended.
	OnWait func(waits bool)
	// WriteTime bounds how long the peer may take to accept a piece of a write that has to wait.
	// It counts only together with OnWait.
	WriteTime time.Duration

	mu     sync.Mutex
	corked bool
	held   *[]byte // from buffers; nil means that nothing is held back
}

// maxHeld bounds what is held back, in bytes.
const maxHeld = 64 << 10

// piece is how many bytes have a WriteTime of their own.
const piece = 16 << 10

// buffers are shared, so that a connection without a write in progress needs none.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Write writes b, or holds it back while the connection is corked. Its error may come
// from an earlier write that was held back.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.corked {
		return c.write(b)
	}
	if c.held == nil {
		c.held = buffers.Get().(*[]byte)
	}
	*c.held = append(*c.held, b...)
	if len(*c.held) >= maxHeld {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (c *Conn) flush() error {
	if c.held == nil {
		return nil
	}
	_, err := c.write(*c.held)
	*c.held = (*c.held)[:0]
	buffers.Put(c.held)
	c.held = nil
	return err
}

// write writes b to the network connection.
func (c *Conn) write(b []byte) (int, error) {
	if c.OnWait == nil {
		return c.Conn.Write(b)
	}
	n := c.try(b)
	if n == len(b) {
		return n, nil
	}
	c.OnWait(true)
	defer c.OnWait(false)
	for n < len(b) {
		if err := c.SetWriteDeadline(time.Now().Add(c.WriteTime)); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(b[n:min(n+piece, len(b))])
		if n += m; err != nil {
			return n, err
		}
	}
	return n, c.SetWriteDeadline(time.Time{})
}

// try writes what the system takes of b at once, and returns how much that was. An error is left
// to the write that follows.
func (c *Conn) try(b []byte) (n int) {
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Write(func(fd uintptr) bool {
		n = max(0, writeNow(fd, b))
		return true
	})
	return n
}

// Cork holds back what is written from now on.
func (c *Conn) Cork() {
	c.mu.Lock()
	c.corked = true
	c.mu.Unlock()
}

// Uncork sends what was held back, and holds back nothing more. After an error the
// connection is unusable.
func (c *Conn) Uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	return c.flush()
}
