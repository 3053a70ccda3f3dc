package session

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// expectUpdates reads one request for updates, and checks its position; -1 means that it
// has none.
func (p *peer) expectUpdates(after int64) proto.Frame {
	f := p.expect(proto.TypeGetUpdates)
	got, ok := f.Int("after")
	if !ok {
		got = -1
	}
	if got != after {
		p.t.Errorf("updates after %d, expected after %d", got, after)
	}
	return f
}

// pushAfterCatchUp pushes a message to a listener whose position is after. A listener that
// is not live yet leaves it out and asks for it.
func (p *peer) pushAfterCatchUp(after, id int64) {
	p.send(incoming(id))
	if f, ok := p.recv(); ok {
		if got, _ := f.Int("after"); got != after {
			p.t.Errorf("updates after %d, expected after %d", got, after)
		}
		p.updates(f, id, false, incoming(id))
		p.recv()
	}
}

func (p *peer) updates(f proto.Frame, last int64, more bool, messages ...any) {
	p.reply(f, proto.StatusOK, map[string]any{"messages": messages, "last_id": last, "more": more})
}

func incoming(id int64) map[string]any { return message(id, "bob", "alice", fmt.Sprint(id)) }

// What was missed is fetched, and pushes that come meanwhile are neither lost nor doubled.
func TestUpdatesFetchWhatWasMissed(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		switch p.nth {
		case 1:
			f := p.expectUpdates(-1)
			p.send(incoming(10)) // pushed before the answer that counts it
			p.updates(f, 10, false)
			p.send(incoming(11))
		case 2:
			f := p.expectUpdates(11)
			p.send(incoming(14))
			p.send(incoming(15))
			p.updates(f, 13, true, incoming(12), incoming(13))
			p.updates(p.expectUpdates(13), 14, false, incoming(14))
			p.updates(p.expectUpdates(14), 15, false, incoming(15))
		case 3:
			// Other people's messages went by: the position grows by more than ours.
			p.updates(p.expectUpdates(15), 99, false, incoming(16))
			p.send(incoming(16))
			p.pushAfterCatchUp(99, 100)
		}
	})
	l := listener(url)
	lost := 0
	l.Lost = func(error, time.Duration) { lost++ }
	want := []string{"10", "11", "12", "13", "14", "15", "16", "100"}
	if got := bodies(t, l, len(want)); !reflect.DeepEqual(got, want) || lost != 2 {
		t.Errorf("%q, lost %d times", got, lost)
	}
}

// An id that can't be right is the server's error, and never a position.
func TestUpdatesRefuseImpossibleIDs(t *testing.T) {
	odd := func(id any) map[string]any {
		m := incoming(0)
		m["id"] = id
		return m
	}
	huge := new(big.Int).Lsh(big.NewInt(1), 64)
	for name, script := range map[string]func(p *peer, f proto.Frame){
		"a last id below zero":               func(p *peer, f proto.Frame) { p.updates(f, -1, false) },
		"a last id above 2^53":               func(p *peer, f proto.Frame) { p.updates(f, maxID+1, false) },
		"a last id of 2^63-1":                func(p *peer, f proto.Frame) { p.updates(f, math.MaxInt64, false) },
		"an id above the last one":           func(p *peer, f proto.Frame) { p.updates(f, 101, false, incoming(102)) },
		"an id that we have":                 func(p *peer, f proto.Frame) { p.updates(f, 101, false, incoming(100)) },
		"ids that fall":                      func(p *peer, f proto.Frame) { p.updates(f, 103, false, incoming(103), incoming(102)) },
		"an id twice":                        func(p *peer, f proto.Frame) { p.updates(f, 103, false, incoming(103), incoming(103)) },
		"an id below zero":                   func(p *peer, f proto.Frame) { p.updates(f, 103, false, odd(-5)) },
		"an id of zero":                      func(p *peer, f proto.Frame) { p.updates(f, 103, false, odd(0)) },
		"an id of 2^64":                      func(p *peer, f proto.Frame) { p.updates(f, 103, false, odd(huge)) },
		"a push above 2^53":                  func(p *peer, f proto.Frame) { p.updates(f, 100, false); p.send(odd(int64(maxID + 1))) },
		"a push below zero":                  func(p *peer, f proto.Frame) { p.updates(f, 100, false); p.send(odd(-5)) },
		"a push above 2^53 before an answer": func(p *peer, f proto.Frame) { p.send(odd(int64(maxID + 1))); p.updates(f, 100, false) },
		"a push below zero before an answer": func(p *peer, f proto.Frame) { p.send(odd(-5)); p.updates(f, 100, false) },
	} {
		t.Run(name, func(t *testing.T) {
			l := listener(serve(t, func(p *peer) {
				p.login(proto.ExtUpdates)
				script(p, p.expectUpdates(100))
				p.recv()
			}))
			l.Resume = &Position{ID: 100}
			err := l.Run(bounded(t), func(e Event) error { t.Errorf("delivered %+v", e.Message); return nil })
			p, ok := l.Position()
			if KindOf(err) != KindProtocol || ok && p.ID != 100 {
				t.Errorf("%v, at %d", err, p.ID)
			}
		})
	}
}

// The first position of a listener is never an id that can't be right.
func TestUpdatesBeginAtNoImpossibleID(t *testing.T) {
	for _, last := range []int64{math.MinInt64, -1, maxID + 1, math.MaxInt64} {
		l := listener(serve(t, func(p *peer) {
			p.login(proto.ExtUpdates)
			p.updates(p.expectUpdates(-1), last, false)
			p.recv()
		}))
		err := l.Run(bounded(t), func(Event) error { return nil })
		if p, ok := l.Position(); KindOf(err) != KindProtocol || ok {
			t.Errorf("%d: %v, at %+v", last, err, p)
		}
	}
	l := listener(serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		f := p.expectUpdates(-1)
		p.send(incoming(maxID + 1))
		p.updates(f, 5, false)
		p.recv()
	}))
	err := l.Run(bounded(t), func(Event) error { return errDone })
	if p, ok := l.Position(); KindOf(err) != KindProtocol || ok {
		t.Errorf("a push before the answer: %v, at %+v", err, p)
	}
}

// If more is pushed during begin than there is room for, it is fetched; what has no id, and
// so can't be fetched, is not lost.
func TestUpdatesFetchWhatBeginCannotHold(t *testing.T) {
	const n = heldMost + 10
	url := serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		f := p.expectUpdates(-1)
		p.send(message(0, "bob", "alice", "no id"))
		var all []any
		for id := range int64(n) {
			p.send(incoming(id + 1))
			all = append(all, incoming(id+1))
		}
		p.updates(f, 0, false)
		p.updates(p.expectUpdates(0), n, false, all...)
		p.recv()
	})
	got := bodies(t, listener(url), n+1)
	seen := map[string]bool{}
	for _, b := range got {
		seen[b] = true
	}
	if len(seen) != n+1 || !seen["no id"] {
		t.Errorf("%d messages of %d", len(seen), n+1)
	}
}

// A server whose ids went backwards is found at every connection, before anything is
// delivered, and the position stays.
func TestUpdatesNoticeIDsThatWentBackwards(t *testing.T) {
	shown := time.Unix(1479394800, 0)
	for name, c := range map[string]struct {
		begin func(*Listener)
		want  Backwards
		moved bool // the listener has a position, which is still the one from before
	}{
		"resumed":          {func(l *Listener) { l.Resume = &Position{ID: 100, Date: shown} }, Backwards{ID: 7, Position: 100, Date: shown}, false},
		"started at an id": {func(l *Listener) { l.Start = &Bound{ID: 100} }, Backwards{ID: 7, Position: 100, Start: true}, false},
		"connected through it": {
			func(l *Listener) { l.Start = &Bound{ID: 99} }, Backwards{ID: 7, Position: 100, Date: shown.Add(100 * time.Second)}, true,
		},
	} {
		url := serve(t, func(p *peer) {
			p.login(proto.ExtUpdates)
			f, _ := p.recv()
			if after, _ := f.Int("after"); after == 99 {
				p.updates(f, 100, false, incoming(100))
				return
			}
			p.updates(f, 7, false)
			p.send(incoming(8)) // an old server's only sign, and too late here
			p.recv()
		})
		l := listener(url)
		c.begin(l)
		var got []string
		err := l.Run(bounded(t), func(e Event) error { got = append(got, e.Message.Body); return nil })
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindIDsBackwards {
			t.Fatalf("%s: %v", name, err)
		}
		if b := e.Backwards; b.ID != c.want.ID || b.Position != c.want.Position || !b.Date.Equal(c.want.Date) || b.Start != c.want.Start {
			t.Errorf("%s: %+v", name, err)
		}
		if p, ok := l.Position(); ok != c.moved || p.ID != 100 || len(got) > 0 != c.moved {
			t.Errorf("%s: %q, and the position is %+v, %v", name, got, p, ok)
		}
	}
}

// For a time, the id to begin at is found in few requests: wherever it is, however rare our
// messages are among those of others, and after the server's clock was set back.
func TestUpdatesFindIDForTime(t *testing.T) {
	const newest = 1 << 20
	even := func(id int64) int64 { return id } // one message a second
	const turn = newest - 5000
	setBack := func(id int64) int64 { // by nine minutes
		if id > turn {
			return id - 540
		}
		return id
	}
	for name, c := range map[string]struct {
		step  int64 // every which message is ours
		date  func(int64) int64
		since int64
	}{
		"the last minute":         {1, even, newest - 60},
		"nothing":                 {1, even, newest + 1},
		"of a quiet account":      {100_000, even, 999_000},
		"all, of a quiet account": {100_000, even, 1},
		"the middle":              {200, even, newest / 2},
		"what came twice":         {1, setBack, turn - 60},
		"what came twice, sparse": {200, setBack, turn - 60},
	} {
		t.Run(name, func(t *testing.T) {
			want := 0
			for id := c.step; id <= newest; id += c.step {
				if c.date(id) >= c.since {
					want++
				}
			}
			requests := make(chan int, 1)
			url := serve(t, func(p *peer) {
				p.login(proto.ExtUpdates)
				n := 0
				for f, ok := p.recv(); ok; f, ok = p.recv() {
					n++
					after, asked := f.Int("after")
					limit, _ := f.Int("limit")
					var page []any
					id := (after/c.step + 1) * c.step
					for ; asked && id <= newest && int64(len(page)) < limit; id += c.step {
						m := incoming(id)
						m["date"] = c.date(id)
						page = append(page, m)
					}
					if asked && id <= newest {
						p.updates(f, id-c.step, true, page...)
					} else {
						p.updates(f, newest, false, page...)
					}
				}
				requests <- n
			})
			l := listener(url)
			l.Start = &Bound{Time: time.Unix(c.since, 0)}
			ctx, cancel := context.WithCancelCause(bounded(t))
			l.Listening = func(Account) { cancel(errDone) }
			got := 0
			if err := l.Run(ctx, func(Event) error { got++; return nil }); !errors.Is(err, errDone) {
				t.Fatal(err)
			}
			pages := (got+int(clockMargin.Seconds()))/updatesPage + 2 // of the last one a part is wanted, of the first one too
			if n := within(t, requests); got != want || n > 1+20+pages {
				t.Errorf("%d of %d messages in %d requests, of which %d may be for the messages", got, want, n, pages)
			}
		})
	}
}

// More pushes than any queue holds come before the answer that the listener waits for.
func TestUpdatesAnsweredAfterFlood(t *testing.T) {
	const flood = 5 * inboxSize
	url := serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		switch p.nth {
		case 1:
			f := p.expectUpdates(-1)
			var list []any
			for id := int64(1); id <= flood; id++ {
				p.send(incoming(id))
				list = append(list, incoming(id))
			}
			p.updates(f, flood, false)
			p.updates(p.expectUpdates(0), flood, false, list...) // it is too much to be held
		case 2:
			f := p.expectUpdates(flood)
			for range flood {
				p.send(map[string]any{"type": "info", "info": "x"})
			}
			p.updates(f, flood, false)
			p.pushAfterCatchUp(flood, flood+1)
		}
	})
	got := bodies(t, listener(url), flood+1)
	for i, b := range got {
		if b != fmt.Sprint(i+1) {
			t.Fatalf("message %d is %s", i+1, b)
		}
	}
}

func TestUpdatesBeginAtStart(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		f, ok := p.recv()
		if !ok {
			return
		}
		after, ok := f.Int("after")
		if !ok { // for a time, it asks first where we are
			p.updates(f, 5, false)
			f = p.expectUpdates(0)
		}
		var list []any
		for id := after + 1; id <= 5; id++ {
			list = append(list, incoming(id))
		}
		p.updates(f, 5, false, list...)
		p.pushAfterCatchUp(5, 6)
	})
	for name, c := range map[string]struct {
		start *Bound
		want  []string
	}{
		"all":    {&Bound{}, []string{"1", "2", "3", "4", "5", "6"}},
		"id":     {&Bound{ID: 3}, []string{"4", "5", "6"}},
		"time":   {&Bound{Time: time.Unix(1479394800+4, 0)}, []string{"4", "5", "6"}},
		"future": {&Bound{Time: time.Unix(1479394800+6, 0)}, []string{"6"}},
	} {
		l := listener(url)
		l.Start = c.start
		if got := bodies(t, l, len(c.want)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A listener that begins before the first message has a position as soon as a message is
// delivered, and not only at the end of the page.
func TestUpdatesPositionAfterFirstMessage(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		f := p.expectUpdates(0)
		p.updates(f, 3, false, incoming(1), incoming(2), incoming(3))
		p.recv()
	})
	for name, begin := range map[string]func(*Listener){
		"resume": func(l *Listener) { l.Resume = &Position{} },
		"start":  func(l *Listener) { l.Start = &Bound{} },
	} {
		l := listener(url)
		begin(l)
		if got := bodies(t, l, 2); len(got) != 2 {
			t.Errorf("%s: %q", name, got)
		}
		if p, ok := l.Position(); !ok || p.ID != 1 { // the second was not taken
			t.Errorf("%s: the position is %+v, %v", name, p, ok)
		}
	}
}

// A position of a server without ids is good for the same server with the extension.
func TestUpdatesResumePositionOfHistories(t *testing.T) {
	var list []any
	for i := int64(1); i <= 4; i++ {
		list = append(list, message(i, "bob", "alice", fmt.Sprint(i)))
	}
	url := serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		p.updates(p.expectUpdates(-1), 4, false) // to find the date where we were
		p.updates(p.expectUpdates(0), 4, false, list...)
		p.recv()
	})
	l := listener(url)
	seen := proto.Message{From: "bob", To: "alice", Body: "2", Date: proto.Date{Time: time.Unix(1479394802, 0)}}
	f := fingerprintOf(seen)
	var g seenSet
	g.addOne(seenMessage{f, seen.Date.Time})
	p := g.position()
	l.Resume = &p
	if got := bodies(t, l, 2); !reflect.DeepEqual(got, []string{"3", "4"}) {
		t.Errorf("%q", got)
	}
}

// A drain ends at what the server had when the connection was made, whatever is sent
// meanwhile; the position is there, so that the rest comes the next time.
func TestUpdatesDrain(t *testing.T) {
	for name, c := range map[string]struct {
		resume int64
		script func(p *peer)
		want   []string
		last   int64
	}{
		"nothing": {100, func(p *peer) {
			p.updates(p.expectUpdates(-1), 100, false)
			p.updates(p.expectUpdates(100), 100, false)
		}, nil, 100},
		"a page with newer messages": {100, func(p *peer) {
			p.updates(p.expectUpdates(-1), 102, false)
			p.updates(p.expectUpdates(100), 103, true, incoming(101), incoming(102), incoming(103))
		}, []string{"101", "102"}, 102},
		"two pages, and pushes": {100, func(p *peer) {
			p.updates(p.expectUpdates(-1), 102, false)
			f := p.expectUpdates(100)
			p.send(incoming(103))
			p.updates(f, 101, true, incoming(101))
			p.updates(p.expectUpdates(101), 102, true, incoming(102))
		}, []string{"101", "102"}, 102},
		"messages of other people": {100, func(p *peer) {
			p.updates(p.expectUpdates(-1), 110, false)
			p.updates(p.expectUpdates(100), 120, true, incoming(101), incoming(115))
		}, []string{"101"}, 110},
	} {
		t.Run(name, func(t *testing.T) {
			l := listener(serve(t, func(p *peer) {
				p.login(proto.ExtUpdates)
				c.script(p)
				if f, ok := p.recv(); ok {
					t.Errorf("after the end, the listener asked for %s", f.Type())
				}
			}))
			l.Resume, l.Drain = &Position{ID: c.resume}, true
			var got []string
			err := l.Run(bounded(t), func(e Event) error { got = append(got, e.Message.Body); return nil })
			if p, ok := l.Position(); err != nil || !reflect.DeepEqual(got, c.want) || !ok || p.ID != c.last {
				t.Errorf("%q, %v, at %d", got, err, p.ID)
			}
		})
	}
}

// A connection that is lost during a drain is made again.
func TestUpdatesDrainReconnects(t *testing.T) {
	l := listener(serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		switch p.nth {
		case 1:
			p.updates(p.expectUpdates(-1), 102, false)
			p.updates(p.expectUpdates(100), 101, true, incoming(101))
			p.expectUpdates(101)
		case 2:
			p.updates(p.expectUpdates(-1), 103, false)
			p.updates(p.expectUpdates(101), 103, false, incoming(102), incoming(103))
			p.recv()
		}
	}))
	l.Resume, l.Drain = &Position{ID: 100}, true
	var got []string
	err := l.Run(bounded(t), func(e Event) error { got = append(got, e.Message.Body); return nil })
	if want := []string{"101", "102", "103"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}
