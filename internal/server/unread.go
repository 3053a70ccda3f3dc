package server

import "sync/atomic"

const (
	// unreadShare is the divisor for the part of the remaining room that one connection may
	// fill. So there is always room for another one, however many clients do not read.
	unreadShare = 32
	// leastUnread is what a connection may always have, in bytes.
	leastUnread = 64 << 10
)

// unread counts the bytes of all frames that are queued or being written. A frame for several
// connections counts for each.
type unread struct {
	limit int64
	bytes atomic.Int64
}

// share returns how many bytes one connection may have.
func (u *unread) share() int {
	return int(max((u.limit-u.bytes.Load())/unreadShare, leastUnread))
}

// hold counts bytes of a frame that is queued, or of a reply that is being made.
func (c *conn) hold(bytes int) {
	c.held.Add(int64(bytes))
	c.server.unread.bytes.Add(int64(bytes))
}

// release is the opposite of hold, when they have been written.
func (c *conn) release(bytes int) {
	c.held.Add(int64(-bytes))
	c.server.unread.bytes.Add(int64(-bytes))
	wake(c.taken)
}

// releaseAll releases what was never written, after the end of the connection.
func (c *conn) releaseAll() { c.server.unread.bytes.Add(-c.held.Swap(0)) }
