package server

import (
	"net/netip"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// How refused logins delay the next ones. A delay is doubled with each, up to LoginDelay.
const (
	firstDelay   = 250 * time.Millisecond
	freeTarget   = 3                // refused logins of one login from one address that delay nothing
	freeAddress  = 40               // of all logins from one address: an office mistypes more often
	forgetTime   = 10 * time.Second // after which one refused login is forgotten
	maxDoublings = 10
	maxTargets   = 16 << 10 // targets that are remembered at least; at most twice as many
)

// answerTime is how long a refusal takes at least. So its time does not tell whether the
// login exists.
const answerTime = 10 * time.Millisecond

// invitations is the login of a target whose guesses are codes. No user has it.
const invitations = "\x00"

// target is what is guessed from one address. An empty login means all logins.
type target struct {
	login   string
	address netip.Prefix
}

// tries are the attempts at a target.
type tries struct {
	refused int       // less those that are forgotten
	since   time.Time // when refused was last brought up to date
	open    int       // attempts that wait for their turn or their result
}

// guesses delays the attempts of an address whose earlier attempts were refused. Those of
// other addresses are not delayed.
type guesses struct {
	o *Options

	mu    sync.Mutex
	known recent[target, tries]
}

// attempt is a login or an invitation that is being tried.
type attempt struct {
	guesses *guesses
	of      []*tries // of the login from this address, and of the address
	delay   time.Duration
}

// begin counts an attempt, or refuses it if too many others wait. The caller waits for its
// delay, and ends it.
func (g *guesses) begin(login string, address netip.Prefix) (*attempt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := &attempt{guesses: g}
	now := g.o.Clock()
	for _, x := range []struct {
		target target
		free   int
	}{{target{login, address}, freeTarget}, {target{"", address}, freeAddress}} {
		if x.target.login == "" && address == local {
			continue
		}
		if login == "" && x.free == freeTarget {
			continue // no account has it
		}
		t := g.known.get(x.target)
		t.forget(now)
		n := t.refused - x.free
		if t.refused > 0 {
			n += t.open // those that are tried at the same time
		}
		if n >= 0 {
			a.delay = max(a.delay, min(firstDelay<<min(n, maxDoublings), g.o.LoginDelay))
			if t.open >= g.o.MaxWaitingLogins {
				return nil, &refusal{proto.StatusTooMany, "too many attempts at once: " + g.o.limited(maxWaitingLogins), g.o.LoginDelay}
			}
		}
		a.of = append(a.of, t)
	}
	for _, t := range a.of {
		t.open++
	}
	return a, nil
}

// forget brings the count of refused attempts up to date.
func (t *tries) forget(now time.Time) {
	n := int(now.Sub(t.since) / forgetTime)
	if n < 0 || t.refused == 0 { // the clock may have been set back
		t.since = now
		return
	}
	t.refused = max(0, t.refused-n)
	t.since = t.since.Add(time.Duration(n) * forgetTime)
}

// end records the result of the attempt.
func (a *attempt) end(refused bool) {
	a.guesses.mu.Lock()
	defer a.guesses.mu.Unlock()
	for _, t := range a.of {
		t.open--
		if refused {
			t.refused = min(t.refused+1, freeAddress+maxDoublings)
		}
	}
}

// recent remembers the values of the keys that were asked for last: at least as many as half
// says, and at most twice as many.
type recent[K comparable, V any] struct {
	half       int
	young, old map[K]*V
}

// get returns the value of a key, a zero one if it is not remembered.
func (r *recent[K, V]) get(key K) *V {
	if v := r.young[key]; v != nil {
		return v
	}
	v := r.old[key]
	if v == nil {
		v = new(V)
	}
	if r.young == nil || len(r.young) >= r.half {
		r.young, r.old = map[K]*V{}, r.young
	}
	r.young[key] = v
	return v
}

// try runs an attempt that may be a guess, after its delay. A refusal takes answerTime at
// least. The attempt returns whether the client guessed wrong.
func (c *conn) try(login string, attempt func() (wrong bool)) error {
	a, err := c.server.guesses.begin(login, c.peer.address)
	if err != nil {
		return err
	}
	wrong := false
	defer func() { a.end(wrong) }()
	if a.delay > 0 && !c.wait(c.server.o.After(a.delay)) {
		return refuse(proto.StatusUnavailable, "the connection ends")
	}
	settled := c.server.o.After(answerTime)
	if wrong = attempt(); wrong {
		c.wait(settled)
	}
	return nil
}

// wait waits for a time, as the reader. It returns false if the connection ends before.
func (c *conn) wait(until <-chan time.Time) bool {
	for !c.isEnding() {
		select {
		case <-until:
			return true
		case <-c.taken:
		}
	}
	return false
}
