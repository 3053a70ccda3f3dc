package server

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what is logged about clients that are refused again and again.
const (
	burstTime   = 10 * time.Second // how often a line is written about each, after the first
	maxBursts   = 500              // in that time, each with at most two lines; the rest is one line
	burstLogins = 8                // named in a line
)

// noLogin stands in the log for a login that does not exist: it may be a mistyped password.
const noLogin = "(no such login)"

// bursts collects what happens again and again. The log has the first event of a burst at once,
// and the others in one line every burstTime. Only keepHouse writes the lines: no connection waits
// for the log.
type bursts struct {
	begun chan struct{} // wakes keepHouse: first is not empty; has room for one

	mu     sync.Mutex
	first  []burstLine
	all    map[burst]*burstCount
	before map[burst]*burstCount // the last ones that were logged: if one goes on, it does not begin again
}

type burstLine struct {
	burst
	burstCount
}

// burst is what a line is about.
type burst struct{ event, address, reason string }

type burstCount struct {
	count  int
	logins []string // the first of them
	more   bool     // there are others
}

// add counts an event. The login may be empty.
func (b *bursts) add(x burst, login string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[burst]*burstCount{}
	}
	n := b.all[x]
	begins := n == nil && b.before[x] == nil
	if n == nil && len(b.all) >= maxBursts {
		x, begins = burst{event: x.event, address: "others"}, false
		n = b.all[x]
	}
	if n == nil {
		n = &burstCount{}
		b.all[x] = n
	}
	if !begins {
		n.add(login)
		return
	}
	first := burstLine{burst: x}
	first.add(login)
	b.first = append(b.first, first)
	wake(b.begun)
}

func (n *burstCount) add(login string) {
	n.count++
	if login == "" || slices.Contains(n.logins, login) {
		return
	}
	if len(n.logins) < burstLogins {
		n.logins = append(n.logins, login)
	} else {
		n.more = true
	}
}

// logFirst writes a line for each burst that has begun.
func (b *bursts) logFirst(log *slog.Logger) {
	b.mu.Lock()
	first := b.first
	b.first = nil
	b.mu.Unlock()
	for _, l := range first {
		l.log(log)
	}
}

// log writes a line for the rest of each burst, and forgets them.
func (b *bursts) log(log *slog.Logger) {
	b.mu.Lock()
	first, all := b.first, b.all // of the same time: the first line of a burst precedes the rest
	maps.DeleteFunc(all, func(_ burst, n *burstCount) bool { return n.count == 0 })
	b.first, b.all, b.before = nil, nil, all
	b.mu.Unlock()
	for _, l := range first {
		l.log(log)
	}
	for x, n := range all {
		burstLine{x, *n}.log(log)
	}
}

func (l burstLine) log(log *slog.Logger) {
	about := []any{"address", l.address}
	if len(l.logins) > 0 {
		names := strings.Join(l.logins, ",")
		if l.more {
			names += ",…"
		}
		about = append(about, "login", names)
	}
	about = append(about, "count", l.count)
	if l.reason != "" {
		about = append(about, "reason", l.reason)
	}
	log.Info(l.event, about...)
}
