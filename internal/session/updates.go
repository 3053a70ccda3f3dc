package session

import (
	"context"
	"errors"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// updates is the catchUp for a server with the extension updates. Message ids grow across
// the whole server, so that one id says what was delivered.
type updates struct {
	stage       stage
	last        int64     // the id of the last message that was delivered or passed over; zero if there was none yet
	date        time.Time // of the newest message that was delivered
	lastAtLogin int64     // last when this connection began: what is pushed must be newer

	drain *int64   // the id at which a drain of this connection ends; nil means that there is none
	start *Bound   // what came before it is passed over; nil means no bound
	held  arrivals // what was pushed during begin
	older *seenSet // where to begin by date, until the first fetch is done; nil means that last is enough
}

func newUpdates(start *Bound, resume *Position) *updates {
	switch {
	case resume != nil && resume.ID != 0:
		return &updates{stage: claimed, last: resume.ID, date: resume.Date}
	case resume != nil:
		return &updates{stage: claimed, older: seenUpTo(*resume)}
	case start != nil:
		return &updates{stage: claimed, last: start.ID, start: start, older: seenBefore(*start)}
	}
	return &updates{}
}

func (u *updates) position() (Position, stage) {
	if u.last == 0 && u.older != nil {
		return u.older.position(), u.stage
	}
	return Position{ID: u.last, Date: u.date}, u.stage
}

// withoutIDs returns the catchUp for the same server after it has lost the extension
// updates: an id means nothing there.
func (u *updates) withoutIDs() *histories {
	if u.older == nil {
		return newHistories(nil, nil)
	}
	return &histories{stage: claimed, seen: u.older}
}

func (u *updates) first() proto.Request { return proto.GetLastID() }

// begin takes the id of the newest message that the server has pushed to this connection
// (docs/protocol.md, "updates"). A message that is pushed before the answer is newer than
// our login, and is held: the position stays below it, even if there is no answer.
func (u *updates) begin(ctx context.Context, c *subscription) error {
	u.held = arrivals{session: c.session}
	r, err := c.await(ctx, &u.held, c.first.Wait)
	newest, err := u.lastID(c, r, err)
	switch lowest := u.held.lowest; {
	case err == nil && lowest == 0:
		u.last, u.stage = newest, agreed
	case err == nil:
		u.last, u.stage = min(newest, lowest-1), agreed
	case lowest != 0:
		u.last, u.stage = lowest-1, agreed
	}
	return err
}

// meanwhile delivers what was pushed during begin. If that was too much to be held, it is
// fetched.
func (u *updates) meanwhile(ctx context.Context, c *subscription) error {
	if u.held.dropped {
		return u.fetchWith(ctx, c, &u.held)
	}
	return u.held.flush(ctx, func(m proto.Message) error { return u.deliver(c, m) })
}

// arrivals are what the server pushes while updates are fetched.
type arrivals struct {
	held
	session *Session
	lowest  int64 // id that was pushed, even if the message was dropped; zero if there is none
	dropped bool  // there was no room for messages with ids: they are to be fetched
	tooMuch bool  // there was no room for a message without an id, which can't be fetched
}

// take implements taker.
func (p *arrivals) take(_ context.Context, m proto.Message) error {
	if why := wrongID(m); why != "" {
		return p.session.invalidPush(why)
	}
	if m.ID != 0 && (p.lowest == 0 || m.ID < p.lowest) {
		p.lowest = m.ID
	}
	switch full := p.held.full(); {
	case full && m.ID != 0:
		p.dropped = true
		return nil
	case full:
		p.tooMuch = true
	}
	p.add(m)
	return nil
}

// full implements taker.
func (p *arrivals) full() bool { return p.tooMuch }

// fetch delivers what came since the position, page by page. Meanwhile the inbox leaves
// out what is pushed: the next page contains it.
func (u *updates) fetch(ctx context.Context, c *subscription) error {
	return u.fetchWith(ctx, c, &arrivals{session: c.session})
}

// fetchWith is fetch for a hold that may have messages already. It holds what is pushed
// without an id, or before the inbox begins to leave messages out.
func (u *updates) fetchWith(ctx context.Context, c *subscription, hold *arrivals) error {
	u.lastAtLogin = u.last
	c.inbox.beginBackfill()
	if err := u.beginDrain(ctx, c, hold); err != nil {
		return err
	}
	after, err := u.firstID(ctx, c, hold)
	if err != nil {
		return err
	}
	for stuck, more := 0, true; more; {
		before := after
		if after, more, err = u.page(ctx, c, after, hold); err != nil {
			return err
		}
		if stuck++; after > before {
			stuck = 0
		}
		if more && stuck > 1 { // once is possible: a message may be pushed right after the answer
			return c.session.invalidReply(errors.New("it promises more messages, and has none"))
		}
	}
	if err := hold.flush(ctx, func(m proto.Message) error { return u.push(ctx, c, m) }); err != nil {
		return err
	}
	u.older = nil
	return nil
}

// beginDrain asks for the server's newest id, if the listener is to end there: otherwise
// a sender that is faster than the listener would keep it running for ever.
func (u *updates) beginDrain(ctx context.Context, c *subscription, hold *arrivals) error {
	if !c.drain {
		return nil
	}
	_, newest, err := u.ask(ctx, c, proto.GetLastID(), hold)
	u.drain = &newest
	return err
}

// drainedAt reports whether a drain ends at an id or before it.
func (u *updates) drainedAt(id int64) bool { return u.drain != nil && id >= *u.drain }

// updatesPage is the number of messages that one request for updates asks for.
const updatesPage = 1000

// page delivers the messages of one page, which begins after an id. It returns where the
// next page begins, and whether there is one.
func (u *updates) page(ctx context.Context, c *subscription, after int64, hold *arrivals) (next int64, more bool, err error) {
	r, last, err := u.ask(ctx, c, proto.GetUpdates(after, updatesPage), hold)
	if err != nil {
		return 0, false, err
	}
	if last < after {
		return 0, false, u.wentBackwards(c, last, after)
	}
	messages, err := u.messages(c, r, after, last)
	if err != nil {
		return 0, false, err
	}
	u.stage = agreed
	for _, m := range messages {
		if ctx.Err() != nil {
			return 0, false, context.Cause(ctx)
		}
		if u.passesOver(m) {
			continue
		}
		if u.drainedAt(m.ID - 1) {
			break
		}
		if err := u.deliver(c, m); err != nil {
			return 0, false, err
		}
	}
	drained := u.drainedAt(last)
	if drained {
		last = *u.drain
	}
	u.last = max(u.last, last)
	if err := c.settle(); err != nil {
		return 0, false, err
	}
	if drained {
		return u.last, false, nil
	}
	if more, _ = r.Fields.Bool("more"); more {
		return u.last, true, nil
	}
	done, lowest := c.inbox.endBackfill(u.last)
	return u.last, !done, u.check(c, lowest)
}

// messages returns the messages of a reply. Their ids must be above after, and not above
// last: any other id would move the position to one that the server has not reached.
func (u *updates) messages(c *subscription, r proto.Reply, after, last int64) ([]proto.Message, error) {
	messages, err := proto.ParseMessages(r.Fields, "messages")
	if err != nil {
		return nil, c.session.invalidReply(err)
	}
	if err := checkIDs(messages, after, last+1); err != nil {
		return nil, c.session.invalidReply(err)
	}
	return messages, nil
}

// passesOver reports whether a message of the updates is older than the start of the
// listener, or was delivered when the server gave no ids.
func (u *updates) passesOver(m proto.Message) bool {
	return u.start != nil && !u.start.after(m) || u.older != nil && u.older.has(m)
}

// push delivers a message, unless it was delivered already.
func (u *updates) push(_ context.Context, c *subscription, m proto.Message) error {
	if why := wrongID(m); why != "" {
		return c.session.invalidPush(why)
	}
	if err := u.check(c, m.ID); err != nil {
		return err
	}
	return u.deliver(c, m)
}

func (u *updates) deliver(c *subscription, m proto.Message) error {
	if m.ID != 0 && m.ID <= u.last {
		return nil
	}
	return c.hand(m, func() {
		if m.ID != 0 {
			u.last, u.stage = m.ID, agreed
		}
		if m.Date.Time.After(u.date) {
			u.date = m.Date.Time
		}
	})
}

// check returns an error if a message with that id can't be new. Zero means no id.
func (u *updates) check(c *subscription, id int64) error {
	if id != 0 && id <= u.lastAtLogin {
		return u.wentBackwards(c, id, u.lastAtLogin)
	}
	return nil
}

func (u *updates) wentBackwards(c *subscription, id, position int64) error {
	return idsBackwards(c.session.conn.endpoint.URL, Backwards{ID: id, Position: position, Date: u.date, Start: u.start != nil && u.start.ID == position})
}

// clockMargin is how far the clock of a server may have been set back without the search
// by date missing a message.
const clockMargin = 10 * time.Minute

// firstID returns the id after which to fetch. If the start is a date, a binary search finds
// an id such that all of our messages up to it are older than the date. Each request of the
// search looks at one message.
func (u *updates) firstID(ctx context.Context, c *subscription, hold *arrivals) (int64, error) {
	if u.last != 0 || u.older == nil || u.older.from().IsZero() {
		return u.last, nil
	}
	from := u.older.from().Add(-clockMargin)
	// Our messages up to the id low are older than from. Those after high count as not older.
	_, high, err := u.ask(ctx, c, proto.GetLastID(), hold)
	if err != nil {
		return 0, err
	}
	low := int64(0)
	for high-low > updatesPage {
		middle := low + (high-low)/2
		r, last, err := u.ask(ctx, c, proto.GetUpdates(middle, 1), hold)
		if err != nil {
			return 0, err
		}
		next, err := u.messages(c, r, middle, last)
		if err != nil {
			return 0, err
		}
		if len(next) > 0 && !next[0].Date.Time.IsZero() && next[0].Date.Time.Before(from) {
			low = max(middle, next[0].ID)
		} else {
			high = middle
		}
	}
	return low, nil
}

// ask sends a request for updates, and returns the reply with its last id.
func (u *updates) ask(ctx context.Context, c *subscription, request proto.Request, hold *arrivals) (r proto.Reply, last int64, err error) {
	r, err = c.ask(ctx, request, hold)
	last, err = u.lastID(c, r, err)
	return r, last, err
}

// lastID returns the last id of a reply, or the error that came instead of the reply.
func (u *updates) lastID(c *subscription, r proto.Reply, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return c.session.lastID(r)
}
