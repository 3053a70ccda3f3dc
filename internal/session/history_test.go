package session

import (
	"fmt"
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
			h, err := s.History(ctx, "bob", c.r)
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
			m := proto.Message{From: "bob", To: "alice", Body: fmt.Sprint(i), Date: proto.Date{Time: time.Unix(int64(1000+i), 0)}}.Fields()
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
		h, err := s.History(ctx, "bob", c.r)
		got := ""
		for _, m := range h {
			got += m.Body
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
