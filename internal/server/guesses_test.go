package server

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// delays are the delays of logins since the last call.
func (w *testServer) delays() []time.Duration {
	return slices.DeleteFunc(w.waits.take(), func(d time.Duration) bool { return d == answerTime })
}

// newGuesses are guesses with a clock, and an address for each name.
func newGuesses() (*guesses, *clock, map[string]netip.Prefix) {
	c := &clock{now: time.Unix(1e9, 0)}
	o := DefaultOptions()
	o.Clock = c.Now
	return &guesses{o: &o, known: recent[target, tries]{half: 100}}, c, map[string]netip.Prefix{
		"here": netip.MustParsePrefix("203.0.113.7/32"), "there": netip.MustParsePrefix("203.0.113.8/32"), "local": local,
	}
}

func TestDelaysGrowWithRefusedLogins(t *testing.T) {
	ms := func(n ...int) (all []time.Duration) {
		for _, d := range n {
			all = append(all, time.Duration(d)*time.Millisecond)
		}
		return all
	}
	for _, at := range []string{"here", "local"} {
		g, clock, addresses := newGuesses()
		guess := func(login, at string, refused bool) time.Duration {
			t.Helper()
			a, err := g.begin(login, addresses[at])
			if err != nil {
				t.Fatal(err)
			}
			a.end(refused)
			return a.delay
		}
		var got []time.Duration
		for range 10 {
			got = append(got, guess("alice", at, true))
		}
		if want := ms(0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000); !slices.Equal(got, want) {
			t.Errorf("%s: %v instead of %v", at, got, want)
		}
		if d := guess("alice", at, false); d != 5*time.Second {
			t.Errorf("%s: the right password waits %v", at, d)
		}
		if d := guess("alice", "there", false); d != 0 {
			t.Errorf("%s: from another address it waits %v", at, d)
		}
		if d := guess("bob", at, false); d != 0 {
			t.Errorf("%s: another login waits %v", at, d)
		}
		// After a while everything is as before, even if the clock was set back.
		clock.Add(-time.Hour)
		if d := guess("alice", at, false); d != 5*time.Second {
			t.Errorf("%s: with the clock set back it waits %v", at, d)
		}
		clock.Add(8 * forgetTime)
		if d := guess("alice", at, false); d != 0 {
			t.Errorf("%s: later it waits %v", at, d)
		}
		// Many logins from one address: only an address that stands for one client is delayed.
		for i := range freeAddress + 10 {
			guess(fmt.Sprint("user", i), at, true)
		}
		if d := guess("carol", at, false); (d != 0) != (at == "here") {
			t.Errorf("%s: after many logins another one waits %v", at, d)
		}
		if d := guess("carol", "there", false); d != 0 {
			t.Errorf("%s: after many logins it waits %v elsewhere", at, d)
		}
	}
}

// Only so many attempts wait; others are refused at once. An attempt from elsewhere is not.
func TestWaitingAttemptsAreBounded(t *testing.T) {
	g, _, addresses := newGuesses()
	g.o.MaxWaitingLogins = 3
	var open []*attempt
	for i := range 8 {
		a, err := g.begin("alice", addresses["local"])
		if err != nil {
			t.Fatal(err)
		}
		if i < 5 {
			a.end(true)
		} else {
			open = append(open, a)
		}
	}
	_, err := g.begin("alice", addresses["local"])
	want := &refusal{proto.StatusTooMany, "too many attempts at once: max-waiting-logins is 3; the server's operator can change it with --limit", 5 * time.Second}
	if !reflect.DeepEqual(err, error(want)) {
		t.Errorf("%v", err)
	}
	if a, err := g.begin("alice", addresses["there"]); err != nil || a.delay != 0 {
		t.Errorf("from another address: %v", err)
	}
	open[0].end(false)
	if a, err := g.begin("alice", addresses["local"]); err != nil || a.delay > g.o.LoginDelay {
		t.Errorf("after one has ended: %v", err)
	}
}

// What is remembered is bounded, and what is asked for stays.
func TestRecentIsBounded(t *testing.T) {
	r := recent[int, int]{half: 100}
	*r.get(-1) = 7
	for i := range 1000 {
		*r.get(i) = 1
		if got := *r.get(-1); got != 7 {
			t.Fatalf("after %d others: %d", i, got)
		}
		if n := len(r.young) + len(r.old); n > 200 {
			t.Fatalf("it remembers %d", n)
		}
	}
	if *r.get(0) != 0 {
		t.Error("the first is not forgotten")
	}
}

// A client that guesses the password of alice does not delay her login from another address, and at
// most by LoginDelay from the same.
func TestGuesserDelaysOnlyTheSameAddress(t *testing.T) {
	w := newTestServer(t, behindProxy, "alice", "bob")
	for range 5 {
		c := w.dialFrom("203.0.113.7")
		for range 10 {
			c.authorize("alice", "wrong")
		}
		c.ws.CloseNow()
	}
	if n := len(w.delays()); n != 50-freeTarget {
		t.Errorf("%d of 50 guesses wait", n)
	}
	for _, x := range []struct {
		address, login string
		delays         []time.Duration
	}{
		{"203.0.113.8", "alice", nil},
		{"", "alice", nil},
		{"203.0.113.7", "alice", []time.Duration{w.options.LoginDelay}},
		{"203.0.113.7", "bob", []time.Duration{w.options.LoginDelay}}, // more than freeAddress are refused
	} {
		c := w.dialFrom(x.address)
		if r := c.authorize(x.login, "secret of "+x.login); !r.OK() {
			t.Errorf("%s from %q: %s", x.login, x.address, r.Fields.Describe())
		}
		if got := w.delays(); !slices.Equal(got, x.delays) {
			t.Errorf("%s from %q waits %v", x.login, x.address, got)
		}
	}
}

// A login that exists and one that does not are refused in the same words, after the same time.
func TestMissingLoginIsRefusedLikeAnExistingOne(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	var replies []map[string]any
	for _, login := range []string{"alice", "nobody", "no login", ""} {
		c := w.dial()
		release := w.waits.hold()
		before := total(t, w.srv.counter.refusals.WithLabelValues(refusedLogin, "401"))
		id := c.ask(proto.TypeAuthorize, map[string]any{"login": login, "password": "x"})
		eventually(t, "the server waits", func() bool { return len(w.waitsSoFar()) == 1 })
		if got := w.waits.take(); !slices.Equal(got, []time.Duration{answerTime}) {
			t.Errorf("%q: it waits %v", login, got)
		}
		if total(t, w.srv.counter.refusals.WithLabelValues(refusedLogin, "401")) != before {
			t.Errorf("%q: it is refused already", login)
		}
		release()
		r := c.reply(id)
		replies = append(replies, map[string]any{"status": r.Status, "info": r.Info, "fields": r.Fields.Len()})
	}
	for _, r := range replies[1:] {
		if !reflect.DeepEqual(r, replies[0]) {
			t.Errorf("%v and %v", replies[0], r)
		}
	}
}

// waitsSoFar are the waits that take would return.
func (w *testServer) waitsSoFar() []time.Duration {
	w.waits.mu.Lock()
	defer w.waits.mu.Unlock()
	return slices.Clone(w.waits.all)
}

// A connection that ends while its login waits ends at once.
func TestWaitingLoginEndsWithItsConnection(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	for range freeTarget {
		w.dial().authorize("alice", "wrong")
	}
	w.waits.take()
	c := w.dial()
	release := w.waits.hold()
	defer release()
	c.ask(proto.TypeAuthorize, map[string]any{"login": "alice", "password": "x"})
	eventually(t, "the login waits", func() bool { return len(w.waitsSoFar()) == 1 })
	w.stop()
	if got := w.delays(); !slices.Equal(got, []time.Duration{firstDelay}) {
		t.Errorf("it waits %v", got)
	}
}
