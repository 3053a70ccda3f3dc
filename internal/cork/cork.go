// Package cork holds back small writes to a network connection, so that many frames
// leave in one packet. The writers of client and server know when more is to come.
package cork

import (
	"net"
	"sync"
)

// Conn is a net.Conn with Cork and Uncork.
type Conn struct {
	net.Conn
	mu     sync.Mutex
	corked bool
	buf    []byte
}

// maxHeld bounds what is held back, in bytes.
const maxHeld = 64 << 10

// Write writes b, or holds it back while the connection is corked. Its error may come
// from an earlier write that was held back.
func (c *Conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.corked {
		return c.Conn.Write(b)
	}
	c.buf = append(c.buf, b...)
	if len(c.buf) >= maxHeld {
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
