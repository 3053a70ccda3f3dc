package session

import (
	"context"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Bound is one end of a range of messages: a time, or a message's id. The zero
// Bound is none.
type Bound struct {
	Time time.Time
	ID   int64
}

// after reports whether a message comes after the bound: an id is exclusive, a
// time inclusive. A message that lacks what the bound is about counts as after
// it, so that it is shown rather than lost.
func (b Bound) after(m proto.Message) bool {
	switch {
	case b.ID != 0 && m.ID != 0:
		return m.ID > b.ID
	case !b.Time.IsZero() && !m.Date.Time.IsZero():
		return !m.Date.Time.Before(b.Time)
	}
	return true
}

// before is the same for the other end: both an id and a time are exclusive.
func (b Bound) before(m proto.Message) bool {
	switch {
	case b.ID != 0 && m.ID != 0:
		return m.ID < b.ID
	case !b.Time.IsZero() && !m.Date.Time.IsZero():
		return m.Date.Time.Before(b.Time)
	}
	return true
}

// HistoryRange says which messages of a dialog are wanted.
type HistoryRange struct {
	Limit        int // the newest so many; 0: all
	Since, Until Bound
}

// Empty reports whether no message can be in the range, where that is known without
// looking: one of a time and an id may hold something.
func (r HistoryRange) Empty() bool {
	switch {
	case r.Since.ID != 0 && r.Until.ID != 0:
		return r.Since.ID >= r.Until.ID
	case !r.Since.Time.IsZero() && !r.Until.Time.IsZero():
		return !r.Since.Time.Before(r.Until.Time)
	}
	return false
}

// historyPage is how many messages one request asks for.
const historyPage = 1000

// History returns the messages of the dialog with login, oldest first. On a
// server with the extension history-page it asks for no more than the range
// needs, page by page; elsewhere it leaves out what the range leaves out.
func (s *Session) History(ctx context.Context, login string, r HistoryRange) ([]proto.Message, error) {
	var pages [][]proto.Message // newest page first
	count, before := 0, r.Until.ID
	paged := s.conn.greeting.Has(proto.ExtHistoryPage)
	for {
		var page proto.Page
		if paged {
			page = proto.Page{Limit: historyPage, Before: before, After: r.Since.ID}
			// A limit can be left to the server only if nothing else is cut after it.
			if r.Limit > 0 && r.Until.Time.IsZero() {
				page.Limit = min(page.Limit, r.Limit-count)
			}
		}
		reply, err := s.Do(ctx, proto.GetHistory(login, page))
		if err != nil {
			return nil, err
		}
		messages, err := proto.ParseMessages(reply.Fields, "history")
		if err != nil {
			return nil, s.wrongReply(err)
		}
		more, _ := reply.Fields.Bool("more")
		more = more && paged && len(messages) > 0 && messages[0].ID > 0 && (before == 0 || messages[0].ID < before)
		if more {
			before = messages[0].ID
			more = r.Since.after(messages[0])
		}
		messages = slices.DeleteFunc(messages, func(m proto.Message) bool { return !r.Since.after(m) || !r.Until.before(m) })
		pages = append(pages, messages)
		count += len(messages)
		if !more || r.Limit > 0 && count >= r.Limit {
			break
		}
	}
	slices.Reverse(pages)
	messages := slices.Concat(pages...)
	if r.Limit > 0 && len(messages) > r.Limit {
		messages = messages[len(messages)-r.Limit:]
	}
	return messages, nil
}

// NewestID is the id of the newest message that the server has, of anybody's; ok is false
// where it can't tell, without the extension updates.
func (s *Session) NewestID(ctx context.Context) (id int64, ok bool, err error) {
	if !s.conn.greeting.Has(proto.ExtUpdates) {
		return 0, false, nil
	}
	reply, err := s.Do(ctx, proto.GetLastID())
	if err != nil {
		return 0, false, err
	}
	id, ok = reply.Fields.Int("last_id")
	return id, ok, nil
}
