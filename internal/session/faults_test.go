package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/server"
)

// receive runs a listener until n messages have come, and checks that their ids grow.
func receive(t *testing.T, l *Listener, n int, each func(m proto.Message, count int)) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	defer cancel()
	var got []string
	last := int64(0)
	err := l.Run(ctx, func(e Event) error {
		m := e.Message
		if m == nil {
			return nil
		}
		if m.ID <= last {
			t.Errorf("message %d came after message %d", m.ID, last)
		}
		last = m.ID
		got = append(got, m.Body)
		if each != nil {
			each(*m, len(got))
		}
		if len(got) == n {
			return ErrEnough
		}
		return nil
	})
	if err != nil {
		t.Fatalf("after %d messages of %d: %v", len(got), n, err)
	}
	return got
}

func expectBodies(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q, not %q", got, want)
	}
}

// The first connection is cut after every number of bytes. What was sent before and
// after the cut comes once and in order.
func TestListenSurvivesCutAtAnyByte(t *testing.T) {
	const parts = 4 // tried at the same time, since a login takes time and little work
	for first := int64(1); first <= parts; first++ {
		t.Run(fmt.Sprint("from ", first), func(t *testing.T) {
			t.Parallel()
			listenThroughCuts(t, first, parts)
		})
	}
}

// listenThroughCuts cuts after first bytes, after first+step bytes, and so on, through
// the handshake, the greeting, the login, the updates and the push.
func listenThroughCuts(t *testing.T, first, step int64) {
	h := newSkarod(t, nil, "alice", "bob")
	before := int64(0) // messages so far, and so the id of the last
	cutAt := func(bytes int64) (whole bool) {
		h.proxy.mu.Lock()
		h.proxy.nth = 0
		h.proxy.cutAfter = func(nth int) int64 {
			if nth == 1 {
				return bytes
			}
			return -1
		}
		h.proxy.mu.Unlock()
		h.send("bob", "one")
		l := h.listener()
		l.Start = &Bound{ID: before}
		var once sync.Once
		sent := make(chan struct{})
		second := func() {
			once.Do(func() {
				go func() {
					defer close(sent)
					h.send("bob", "two")
				}()
			})
		}
		whole = true
		l.Listening = func(Account) { second() }
		l.Lost = func(error, time.Duration) { whole = false; second() }
		expectBodies(t, receive(t, l, 2, nil), "one", "two")
		within(t, sent)
		before += 2
		return whole
	}
	n := first
	for ; !cutAt(n) && !t.Failed(); n += step {
	}
	if n < 500 {
		t.Errorf("a whole connection has only %d bytes", n)
	}
}

// If packets are lost and no end learns of it, only pings find out.
func TestListenNoticesHalfOpenLink(t *testing.T) {
	h := newSkarod(t, nil, "alice", "bob")
	l := h.listener()
	l.PingInterval = 50 * time.Millisecond
	lost, swallowed := "", false
	l.Lost = func(err error, _ time.Duration) {
		lost = err.Error()
		l.PingInterval *= 2 // a busy machine may need it
	}
	l.Listening = func(Account) {
		if !swallowed {
			swallowed = true
			h.proxy.swallow()
			h.send("bob", "into the void")
		}
	}
	expectBodies(t, receive(t, l, 1, nil), "into the void")
	if !strings.Contains(lost, "no answer to a ping within ") {
		t.Errorf("lost: %s", lost)
	}
}

// If the server goes away in mid-stream, the listener comes back with the SID of its last
// session, or with the token after more than five minutes. It misses nothing.
func TestListenReturnsWithSIDOrToken(t *testing.T) {
	for _, c := range []struct {
		away     time.Duration
		restored bool
	}{{4 * time.Minute, true}, {6 * time.Minute, false}} {
		t.Run(c.away.String(), func(t *testing.T) {
			var clock atomic.Int64
			clock.Store(time.Now().UnixNano())
			h := newSkarod(t, func(o *server.Options) {
				o.Clock = func() time.Time { return time.Unix(0, clock.Load()) }
			}, "alice", "bob")
			l := h.listener()
			logins := 0
			l.LoggedIn = func(a Account) {
				if logins++; logins == 2 && a.Restored != c.restored {
					t.Errorf("restored by the SID: %v", a.Restored)
				}
			}
			l.Listening = func(Account) {
				if logins == 1 {
					h.send("bob", "one", "two")
				}
			}
			got := receive(t, l, 4, func(_ proto.Message, count int) {
				if count == 1 {
					h.crash()
					clock.Add(int64(c.away))
					h.start()
					h.send("bob", "three", "four")
				}
			})
			expectBodies(t, got, "one", "two", "three", "four")
			if logins != 2 {
				t.Errorf("%d logins", logins)
			}
		})
	}
}

// Ten thousand messages of five senders come through a hundred connections, each of which
// is cut in the middle of a burst.
func TestListenKeepsOrderThroughHundredReconnects(t *testing.T) {
	senders := []string{"bob", "carol", "dave", "erin", "frank"}
	const rounds, each = 100, 20
	perRound := each * len(senders)
	h := newSkarod(t, nil, append(senders, "alice")...)
	var sending sync.WaitGroup
	var starts []chan int
	for _, from := range senders {
		start := make(chan int, rounds)
		starts = append(starts, start)
		sending.Go(func() {
			for round := range start {
				bodies := make([]string, each)
				for i := range bodies {
					bodies[i] = fmt.Sprint(round*each + i)
				}
				h.send(from, bodies...)
			}
		})
	}
	l := h.listener()
	lost, round := 0, 0
	l.Lost = func(error, time.Duration) { lost++ }
	l.Listening = func(Account) {
		if round < rounds {
			for _, start := range starts {
				start <- round
			}
			round++
		}
	}
	next := map[string]int{}
	receive(t, l, rounds*perRound, func(m proto.Message, count int) {
		if m.Body != fmt.Sprint(next[m.From]) {
			t.Errorf("%s of %s came where %d belongs", m.Body, m.From, next[m.From])
		}
		next[m.From]++
		if count%perRound == perRound/2 {
			h.proxy.cut()
		}
	})
	for _, start := range starts {
		close(start)
	}
	sending.Wait()
	if lost < rounds-1 {
		t.Errorf("only %d connections were lost", lost)
	}
}

// The server cuts off a listener that reads too slowly; it misses nothing.
func TestSlowListenerMissesNothing(t *testing.T) {
	h := newSkarod(t, func(o *server.Options) { o.MaxQueue, o.MaxQueueBytes = 64, 1<<20 }, "alice", "bob")
	const n = 3000
	body := strings.Repeat("x", 8<<10)
	l := h.listener()
	var reasons []string
	l.Lost = func(err error, _ time.Duration) { reasons = append(reasons, err.Error()) }
	var once sync.Once
	sent := make(chan struct{})
	l.Listening = func(Account) {
		once.Do(func() {
			go func() {
				defer close(sent)
				bodies := make([]string, n)
				for i := range bodies {
					bodies[i] = fmt.Sprint(i, body)
				}
				h.send("bob", bodies...)
			}()
		})
	}
	got := receive(t, l, n, func(_ proto.Message, count int) {
		if count == 1 {
			within(t, sent)
		}
	})
	for i, b := range got {
		if !strings.HasPrefix(b, fmt.Sprint(i, "x")) {
			t.Fatalf("message %d is %.10q", i, b)
		}
	}
	if len(reasons) == 0 || !strings.Contains(reasons[0], "too slow") {
		t.Errorf("lost: %q", reasons)
	}
}

// A link that is not read because deliver is slow answers no ping, and is not dead. If the
// peer itself is slow to answer one, on a busy machine, the test gives it more time.
func TestListenKeepsLinkThatWaitsForDeliver(t *testing.T) {
	for interval := 200 * time.Millisecond; !keepsLink(t, interval); interval *= 2 {
		if interval > patience/4 {
			t.Fatalf("the link was lost with pings every %v", interval)
		}
	}
}

// keepsLink reports whether a listener keeps its link while its first delivery waits for
// three pings.
func keepsLink(t *testing.T, interval time.Duration) (kept bool) {
	pings, gone := make(chan struct{}, 3), make(chan struct{})
	const flood = inboxSize + 100
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{OnPingReceived: func(context.Context, []byte) bool {
			select {
			case pings <- struct{}{}:
			default:
			}
			return true
		}})
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.CloseNow()
		p := &peer{t: t, ws: ws}
		p.login(proto.ExtUpdates)
		p.updates(p.expectUpdates(-1), 0, false)
		for id := range flood {
			p.send(incoming(int64(id + 1)))
		}
		p.recv() // which answers pings until the listener goes
	}))
	defer srv.Close()
	l := listener("ws" + strings.TrimPrefix(srv.URL, "http") + "/")
	l.PingInterval, l.Retry = interval, RetryPolicy{}
	count := 0
	err := l.Run(bounded(t), func(Event) error {
		count++
		for n := 0; count == 1 && n < cap(pings); n++ {
			select {
			case <-pings:
			case <-gone:
			}
		}
		if count == flood {
			return ErrEnough
		}
		return nil
	})
	return err == nil
}

func TestManyReconnectsLeaveNothingBehind(t *testing.T) {
	h := newSkarod(t, nil, "alice", "bob")
	const few, many = 50, 300
	type usage struct {
		goroutines, files int
		heap              uint64
	}
	measure := func() usage {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		files := 0
		if list, err := os.ReadDir("/proc/self/fd"); err == nil {
			files = len(list)
		}
		return usage{runtime.NumGoroutine(), files, m.HeapAlloc}
	}
	l := h.listener()
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	defer cancel()
	running, stop := context.WithCancelCause(ctx)
	var first usage
	count := 0
	l.Listening = func(Account) {
		switch count++; count {
		case few:
			first = measure()
		case many:
			stop(errDone)
			return
		}
		h.proxy.cut()
	}
	if err := l.Run(running, func(Event) error { return nil }); !errors.Is(err, errDone) {
		t.Fatal(err)
	}
	// The server and the proxy may still be closing connections.
	var last usage
	for ctx.Err() == nil {
		last = measure()
		if last.goroutines <= first.goroutines && last.files <= first.files && last.heap < first.heap+1<<20 {
			t.Logf("after %d reconnects %+v, after %d %+v", few, first, many, last)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("after %d reconnects %+v, after %d %+v", few, first, many, last)
}

// TestOutboxCutSkarod cuts a send to the real server before, in and after each of
// its frames, in both directions: all messages are confirmed, and the recipient has
// each once and in order.
func TestOutboxCutSkarod(t *testing.T) {
	h := newSkarod(t, nil, "alice", "bob")
	var want []string
	for _, direction := range []string{"up", "down"} {
		uncut := 0
		for at := int64(0); uncut < 3; at += 7 {
			up, down := at, int64(-1)
			if direction == "down" {
				up, down = -1, at
			}
			through, settle := cutter(t, "ws://"+h.addr+server.Path, up, down)
			ch := make(chan Message, 3)
			for i := range cap(ch) {
				body := fmt.Sprintf("%s %d, message %d", direction, at, i)
				want = append(want, body)
				ch <- Message{To: "bob", Body: body}
			}
			close(ch)
			o := outbox(through)
			o.Retry = retryFor(patience)
			lost := 0
			o.Lost = func(error, time.Duration) { lost++ }
			ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
			got, err := run(ctx, o, ch)
			cancel()
			settle()
			if err != nil || len(got) != cap(ch) {
				t.Fatalf("%s, cut at %d: %v, results %v", direction, at, err, got)
			}
			for _, out := range got {
				if out.Err != nil || out.ID == 0 {
					t.Errorf("%s, cut at %d: %v", direction, at, out.Err)
				}
			}
			if lost == 0 {
				uncut++
			}
		}
	}
	ctx, s := open(t, "ws://"+h.addr+server.Path, withToken)
	list, err := historyOf(ctx, s, HistoryRange{})
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, m := range list {
		have = append(have, m.Body)
	}
	if !slices.Equal(have, want) {
		t.Errorf("the recipient has %d messages of %d, or in another order", len(have), len(want))
	}
}
