package session

import (
	"context"
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

// History returns the messages of the dialog with login, oldest first. On a server with
// the extension history-page it asks for no more than the range needs, page by page; on
// any other server it drops what is outside the range.
func (s *Session) History(ctx context.Context, login string, r HistoryRange) ([]proto.Message, error) {
	pages := historyPages{r: r, paged: s.Greeting().Has(proto.ExtHistoryPage), before: r.Until.ID}
	for more := true; more; {
		reply, err := s.Do(ctx, proto.GetHistory(login, pages.next()))
		if err != nil {
			return nil, err
		}
		if more, err = pages.add(reply.Fields); err != nil {
			return nil, s.invalidReply(err)
		}
	}
	return pages.messages(), nil
}

// historyPage is the number of messages that one request asks for.
const historyPage = 1000

// historyPages are the pages of a history, which come newest first.
type historyPages struct {
	r      HistoryRange
	paged  bool  // the server has pages; otherwise the first one is everything
	before int64 // the id before which the next page ends; zero means that it is the newest page

	pages [][]proto.Message // without the messages that the range excludes
	count int               // of the messages in pages
}

// next returns what to ask for.
func (p *historyPages) next() proto.Page {
	if !p.paged {
		return proto.Page{}
	}
	page := proto.Page{Limit: historyPage, Before: p.before, After: p.r.Since.ID}
	if p.r.Limit > 0 && p.r.Until.Time.IsZero() { // only then is the limit the last thing to cut
		page.Limit = min(page.Limit, p.r.Limit-p.count)
	}
	return page
}

// add adds the page of a reply, and reports whether another one is needed.
func (p *historyPages) add(reply proto.Frame) (more bool, err error) {
	page, err := proto.ParseMessages(reply, "history")
	if err != nil {
		return false, err
	}
	more, _ = reply.Bool("more")
	more = more && p.paged && p.goesBack(page)
	kept := slices.DeleteFunc(page, p.r.excludes)
	p.pages = append(p.pages, kept)
	p.count += len(kept)
	return more && (p.r.Limit == 0 || p.count < p.r.Limit), nil
}

// goesBack moves to the page before a page, and reports whether there can be one. There is
// none if the server is faulty, and the page begins no earlier than the last one did.
func (p *historyPages) goesBack(page []proto.Message) bool {
	if len(page) == 0 || page[0].ID <= 0 || p.before != 0 && page[0].ID >= p.before {
		return false
	}
	p.before = page[0].ID
	return p.r.Since.after(page[0])
}

// messages returns the messages of all pages, oldest first.
func (p *historyPages) messages() []proto.Message {
	slices.Reverse(p.pages)
	messages := slices.Concat(p.pages...)
	if p.r.Limit > 0 && len(messages) > p.r.Limit {
		messages = messages[len(messages)-p.r.Limit:]
	}
	return messages
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
	id, ok = reply.Fields.Int("last_id")
	return id, ok, nil
}
