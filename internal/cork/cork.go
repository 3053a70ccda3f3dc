// Package cork is a network connection that can hold back what is written, so
// that many small frames leave in one packet. Client and server both have a
// writer that knows when more is to come.
package cork

import (
	"net"
	"sync"
)

// Conn is a net.Conn with Hold and Release.
type Conn struct {
	net.Conn
	mu   sync.Mutex
	held bool
	buf  []byte
}

// most is how much is held back, in bytes.
const most = 64 << 10

// Write writes, or keeps for later. An error may come from what was kept before.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held {
		return c.Conn.Write(b)
	}
	c.buf = append(c.buf, b...)
	if len(c.buf) >= most {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (c *Conn) flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// Hold keeps back what is written from now on.
func (c *Conn) Hold() {
	c.mu.Lock()
	c.held = true
	c.mu.Unlock()
}

// Release sends what was kept back, and keeps nothing more. The connection is
// broken after an error.
func (c *Conn) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	return c.flush()
}
