package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// HistoryRange says which messages of a dialog are wanted.
type HistoryRange struct {
	Limit        int // the newest messages; zero means no limit
	Since, Until Bound
}

// Empty reports whether no message can be in the range. If one bound is a time and the
// other an id, only the server can tell.
func (r HistoryRange) Empty() bool {
	switch {
	case r.Since.ID != 0 && r.Until.ID != 0:
		return r.Since.ID >= r.Until.ID
	case !r.Since.Time.IsZero() && !r.Until.Time.IsZero():
		return !r.Since.Time.Before(r.Until.Time)
	}
	return false
}

// excludes reports whether a message is outside the bounds of the range.
func (r HistoryRange) excludes(m proto.Message) bool {
	return !r.Since.after(m) || !r.Until.before(m)
}

// History passes the messages of the dialog with login to each, oldest first, in parts. On a
// server with the extension history-page it asks for no more than the range needs, page by
// page. Pages come newest first; if they are too many to be kept, the older ones are asked for
// a second time. On any other server, what is outside the range is dropped.
func (s *Session) History(ctx context.Context, login string, r HistoryRange, each func([]proto.Message) error) error {
	pages := historyPages{r: r, paged: s.Greeting().Has(proto.ExtHistoryPage), before: r.Until.ID}
	get := func(p proto.Page, parse func(proto.Frame) error) error {
		reply, err := s.Do(ctx, proto.GetHistory(login, p))
		if err == nil {
			if err = parse(reply.Fields); err != nil {
				err = s.invalidReply(err)
			}
		}
		if err != nil {
			return fmt.Errorf("with %s: %w", login, err)
		}
		return nil
	}
	for more := true; more; {
		err := get(pages.next(), func(f proto.Frame) (err error) {
			more, err = pages.add(f)
			return err
		})
		if err != nil {
			return err
		}
	}
	skip := pages.tooMany() // in the oldest page
	for _, page := range slices.Backward(pages.pages) {
		messages := page.messages
		if page.dropped > 0 {
			err := get(page.again(), func(f proto.Frame) (err error) {
				messages, err = pages.parse(f, page.after, page.before)
				return err
			})
			if err != nil {
				return err
			}
			messages = slices.DeleteFunc(messages, r.excludes)
		}
		messages = messages[min(skip, len(messages)):]
		skip = 0
		if err := each(messages); err != nil {
			return err
		}
	}
	return nil
}

// Bounds of a history: the messages that one request asks for, and the bytes of the pages
// that are kept, which the last page may exceed.
const (
	historyPage  = 1000
	historyBytes = 32 << 20
)

// historyPages are the pages of a history, which come newest first.
type historyPages struct {
	r      HistoryRange
	paged  bool  // the server has pages; otherwise the first one is everything
	before int64 // the id before which the next page ends; zero means that it is the newest page

	pages []page
	count int // of the messages in pages
	size  int // of the messages that are kept, as sizeOf counts
}

// page is a page of a history.
type page struct {
	messages      []proto.Message // without those that the range excludes
	dropped       int             // the number of messages, if they were not kept
	after, before int64           // the ids between which the page is
}

// again returns what to ask for to get a dropped page a second time.
func (p page) again() proto.Page {
	return proto.Page{Limit: historyPage, Before: p.before, After: p.after}
}

// next returns what to ask for.
func (p *historyPages) next() proto.Page {
	if !p.paged {
		return proto.Page{}
	}
	page := proto.Page{Limit: historyPage, Before: p.before, After: p.r.Since.ID}
	if p.r.Limit > 0 && p.r.Until.Time.IsZero() { // otherwise the range may exclude the newest messages
		page.Limit = min(page.Limit, p.r.Limit-p.count)
	}
	return page
}

// add adds the page of a reply, and reports whether another one is needed.
func (p *historyPages) add(reply proto.Frame) (more bool, err error) {
	before := p.before
	messages, err := p.parse(reply, p.r.Since.ID, before)
	if err != nil {
		return false, err
	}
	var first proto.Message
	if len(messages) > 0 {
		first = messages[0]
	}
	kept := slices.DeleteFunc(messages, p.r.excludes)
	p.keep(kept, before)
	more, _ = reply.Bool("more")
	if !more || !p.paged || p.r.Limit > 0 && p.count >= p.r.Limit || !p.r.Since.after(first) {
		return false, nil
	}
	if p.before = first.ID; first.ID == 0 {
		return false, errors.New("it promises earlier messages, and does not say before which id")
	}
	return true, nil
}

// keep adds the messages of a page that ends before an id, if there is room for them.
func (p *historyPages) keep(kept []proto.Message, before int64) {
	p.count += len(kept)
	if len(p.pages) > 0 && p.size >= historyBytes && len(kept) > 0 {
		p.pages = append(p.pages, page{dropped: len(kept), after: kept[0].ID - 1, before: before})
	} else {
		p.pages = append(p.pages, page{messages: kept})
		for _, m := range kept {
			p.size += sizeOf(m)
		}
	}
}

// parse returns the messages of a page between two ids; a before of zero means no bound. The
// ids of a server that has no pages mean nothing.
func (p *historyPages) parse(reply proto.Frame, after, before int64) ([]proto.Message, error) {
	messages, err := proto.ParseMessages(reply, "history")
	if err != nil || !p.paged {
		return messages, err
	}
	return messages, checkIDs(messages, after, cmp.Or(before, maxID+1))
}

// tooMany returns how many of the oldest messages are above the limit.
func (p *historyPages) tooMany() int {
	if p.r.Limit == 0 {
		return 0
	}
	return max(0, p.count-p.r.Limit)
}

// NewestID returns the id of the newest message on the server, in any dialog. ok is
// false if the server can't tell, because it lacks the extension updates.
func (s *Session) NewestID(ctx context.Context) (id int64, ok bool, err error) {
	if !s.Greeting().Has(proto.ExtUpdates) {
		return 0, false, nil
	}
	reply, err := s.Do(ctx, proto.GetLastID())
	if err != nil {
		return 0, false, err
	}
	id, err = s.lastID(reply)
	return id, err == nil, err
}
