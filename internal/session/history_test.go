package session

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// A server with the extension history-page is asked for one page after another.
func TestHistoryAsksPageByPage(t *testing.T) {
	const total = 2500
	url := serve(t, func(p *peer) {
		p.login(proto.ExtHistoryPage)
		for {
			f, ok := p.recv()
			if !ok {
				return
			}
			limit, _ := f.Int("limit")
			before, ok := f.Int("before")
			if !ok {
				before = total + 1
			}
			after, _ := f.Int("after")
			var page []any
			first := max(after+1, before-limit)
			for id := first; id < before; id++ {
				page = append(page, message(id, "bob", "alice", fmt.Sprint(id)))
			}
			p.reply(f, proto.StatusOK, map[string]any{"history": page, "more": first > after+1})
		}
	})
	when := func(id int64) Bound { return Bound{Time: time.Unix(1479394800+id, 0)} }
	for name, c := range map[string]struct {
		r           HistoryRange
		first, last int64
	}{
		"all":                   {HistoryRange{}, 1, total},
		"newest":                {HistoryRange{Limit: 3}, total - 2, total},
		"newest of many":        {HistoryRange{Limit: 1700}, total - 1699, total},
		"since an id":           {HistoryRange{Since: Bound{ID: 2400}}, 2401, total},
		"since a time":          {HistoryRange{Since: when(1100)}, 1100, total},
		"until an id":           {HistoryRange{Until: Bound{ID: 50}}, 1, 49},
		"until a time":          {HistoryRange{Until: when(1200)}, 1, 1199},
		"limit until a time":    {HistoryRange{Limit: 5, Until: when(1200)}, 1195, 1199},
		"between":               {HistoryRange{Since: when(1000), Until: Bound{ID: 2000}}, 1000, 1999},
		"limit is out of range": {HistoryRange{Limit: 10, Since: Bound{ID: total - 2}}, total - 1, total},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, s := open(t, url, withToken)
			h, err := historyOf(ctx, s, c.r)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(h)) != c.last-c.first+1 || h[0].ID != c.first || h[len(h)-1].ID != c.last {
				t.Fatalf("%d messages, want %d to %d", len(h), c.first, c.last)
			}
			for i := range h {
				if h[i].ID != c.first+int64(i) {
					t.Fatalf("message %d is %d", i, h[i].ID)
				}
			}
		})
	}
}

// historyOf returns the messages with bob.
func historyOf(ctx context.Context, s *Session, r HistoryRange) (all []proto.Message, err error) {
	err = s.History(ctx, "bob", r, func(part []proto.Message) error {
		all = append(all, part...)
		return nil
	})
	return all, err
}

// A plain server sends everything, and the range is cut out of that.
func TestHistoryCutsRangeOnPlainServer(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login()
		f := p.expect(proto.TypeGetHistory)
		if f.Len() != 3 { // type, on_request, login
			t.Errorf("asked a plain server %s", f.Describe())
		}
		var all []any
		for i := range 10 {
			m := proto.Message{From: "bob", To: "alice", Body: fmt.Sprint(i), Date: proto.Date{Time: time.Unix(int64(1000+i), 0)}}.Map()
			m["date"] = time.Unix(int64(1000+i), 0).UTC().Format(time.RFC3339)
			all = append(all, m)
		}
		p.reply(f, proto.StatusOK, map[string]any{"history": all, "more": true}) // more means nothing here
	})
	at := func(n int64) Bound { return Bound{Time: time.Unix(1000+n, 0)} }
	for name, c := range map[string]struct {
		r    HistoryRange
		want string
	}{
		"all":     {HistoryRange{}, "0123456789"},
		"limit":   {HistoryRange{Limit: 2}, "89"},
		"since":   {HistoryRange{Since: at(7)}, "789"},
		"until":   {HistoryRange{Until: at(3)}, "012"},
		"between": {HistoryRange{Since: at(2), Until: at(8), Limit: 3}, "567"},
	} {
		ctx, s := open(t, url, withToken)
		h, err := historyOf(ctx, s, c.r)
		got := ""
		for _, m := range h {
			got += m.Body
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// pagedServer has messages with bob of 100 KB each, and gives 40 of them at a time.
func pagedServer(t *testing.T, total int64) string {
	const most = 40
	body := strings.Repeat("x", 100<<10)
	return serve(t, func(p *peer) {
		p.login(proto.ExtHistoryPage)
		for {
			f, ok := p.recv()
			if !ok {
				return
			}
			limit, _ := f.Int("limit")
			before, ok := f.Int("before")
			if !ok {
				before = total + 1
			}
			after, _ := f.Int("after")
			first := max(after+1, before-min(limit, most))
			page := []any{}
			for id := first; id < before; id++ {
				m := message(id, "bob", "alice", fmt.Sprint(id, " ", body))
				if id%100 == 50 {
					m["date"] = 0 // the clock was wrong
				}
				page = append(page, m)
			}
			p.reply(f, proto.StatusOK, map[string]any{"history": page, "more": first > after+1})
		}
	})
}

// Of a history that is too large to be kept, the older pages are asked for a second time. It
// comes in order, and whole.
func TestHistoryAsksTwiceForWhatItCannotKeep(t *testing.T) {
	const total = 500 // 50 MB
	url := pagedServer(t, total)
	when := func(id int64) Bound { return Bound{Time: time.Unix(1479394800+id, 0)} }
	for name, c := range map[string]struct {
		r           HistoryRange
		first, last int64
	}{
		"all":     {HistoryRange{}, 1, total},
		"newest":  {HistoryRange{Limit: 450}, total - 449, total},
		"between": {HistoryRange{Since: when(30), Until: when(470)}, 30, 469},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, s := open(t, url, withToken)
			next, parts := c.first, 0
			err := s.History(ctx, "bob", c.r, func(part []proto.Message) error {
				for _, m := range part {
					if next%100 == 50 && !c.r.Since.Time.IsZero() {
						next++ // its date is before the range
					}
					if m.ID != next {
						t.Fatalf("message %d came, not %d", m.ID, next)
					}
					next++
				}
				parts++
				return nil
			})
			if err != nil || next != c.last+1 || parts < 2 {
				t.Errorf("%v, up to %d, in %d parts", err, next-1, parts)
			}
		})
	}
}

// The pages that are kept have a bound, however many a server has.
func TestHistoryKeepsOnlySoMuch(t *testing.T) {
	pages := historyPages{paged: true, before: maxID}
	body := strings.Repeat("x", 1<<20)
	for range 200 {
		more, err := pages.add(newPush(t, map[string]any{"more": true, "history": []any{message(pages.before-1, "bob", "alice", body)}}))
		if err != nil || !more {
			t.Fatal(more, err)
		}
	}
	if pages.size > historyBytes+2<<20 || pages.count != 200 {
		t.Errorf("%d bytes are kept of %d messages", pages.size, pages.count)
	}
}

// A server whose pages can't be right is told apart from one that has no more.
func TestHistoryRefusesImpossiblePages(t *testing.T) {
	for name, script := range map[string]func(p *peer, f proto.Frame){
		"the same page again": func(p *peer, f proto.Frame) {
			for range 2 {
				p.reply(f, proto.StatusOK, map[string]any{"more": true, "history": []any{incoming(5)}})
				f, _ = p.recv()
			}
		},
		"more without a message": func(p *peer, f proto.Frame) {
			p.reply(f, proto.StatusOK, map[string]any{"more": true, "history": []any{}})
		},
		"more without an id": func(p *peer, f proto.Frame) {
			p.reply(f, proto.StatusOK, map[string]any{"more": true, "history": []any{incoming(0)}})
		},
		"ids that fall": func(p *peer, f proto.Frame) {
			p.reply(f, proto.StatusOK, map[string]any{"history": []any{incoming(5), incoming(4)}})
		},
		"an id above 2^53": func(p *peer, f proto.Frame) {
			p.reply(f, proto.StatusOK, map[string]any{"history": []any{incoming(maxID + 1)}})
		},
		"an id before the range": func(p *peer, f proto.Frame) {
			p.reply(f, proto.StatusOK, map[string]any{"history": []any{incoming(1)}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, s := open(t, serve(t, func(p *peer) {
				p.login(proto.ExtHistoryPage)
				script(p, p.expect(proto.TypeGetHistory))
				p.recv()
			}), withToken)
			got, err := historyOf(ctx, s, HistoryRange{Since: Bound{ID: 1}})
			if KindOf(err) != KindProtocol || len(got) > 0 {
				t.Errorf("%v, %d messages", err, len(got))
			}
		})
	}
}
