package server

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what is logged about clients that are refused again and again.
const (
	burstTime   = 10 * time.Second // how often a line is written about each
	maxBursts   = 1000             // lines each time; the rest is one line
	burstLogins = 8                // named in a line
)

// noLogin stands in the log for a login that does not exist: it may be a mistyped password.
const noLogin = "(no such login)"

// bursts collects what happens again and again, so that the log has one line for each burst.
type bursts struct {
	mu  sync.Mutex
	all map[burst]*burstCount
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
	if n == nil {
		if len(b.all) >= maxBursts {
			x = burst{event: x.event, address: "others"}
		}
		if n = b.all[x]; n == nil {
			n = &burstCount{}
			b.all[x] = n
		}
	}
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

// log writes a line for each burst, and forgets them.
func (b *bursts) log(log *slog.Logger) {
	b.mu.Lock()
	all := b.all
	b.all = nil
	b.mu.Unlock()
	for x, n := range all {
		about := []any{"address", x.address}
		if len(n.logins) > 0 {
			names := strings.Join(n.logins, ",")
			if n.more {
				names += ",…"
			}
			about = append(about, "login", names)
		}
		about = append(about, "count", n.count)
		if x.reason != "" {
			about = append(about, "reason", x.reason)
		}
		log.Info(x.event, about...)
	}
}
