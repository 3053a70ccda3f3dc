package server

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Before the disk is full, what would be stored is refused with 507 and the limit, and everything
// else goes on. When there is room again, so is this. The log has both.
func TestAlmostFullDiskRefusesNewMessages(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	w := newTestServer(t, func(o *Options) {
		o.Registration, o.AliveInterval = RegistrationOpen, time.Millisecond
		o.FreeBytes = func() (uint64, error) { return free.Load(), nil }
	}, "alice", "bob")
	setFree := func(bytes uint64) {
		free.Store(bytes)
		eventually(t, "the server knows", func() bool {
			w.srv.space.checked.Store(0) // it asks again at once
			return w.srv.space.isLow() == (bytes < 64<<20)
		})
	}
	alice := w.login("alice")
	requests := map[string]map[string]any{
		proto.TypeSendMessage: {"to": "bob", "body": "x"},
		proto.TypeAddContact:  {"login": "bob"},
		proto.TypeRegister:    {"form": map[string]any{"login": "carol", "token": newToken("x").Text()}},
	}
	alice.send("bob", "with much room")
	setFree(64<<20 - 1)
	if got := w.metric("skarod_disk_free_bytes"); got != "6.7108863e+07" {
		t.Errorf("the metric is %s", got)
	}
	for typ, fields := range requests {
		if r := alice.request(typ, fields); code(r) != "507" || !strings.HasPrefix(r.Info, "the server's disk is almost full: min-free-space is 64 MiB; ") {
			t.Errorf("%s: %s %q", typ, r.Status, r.Info)
		}
	}
	if got, body := w.ask("/healthz"); got != http.StatusServiceUnavailable || !strings.Contains(body, "almost full: min-free-space is 64 MiB") {
		t.Errorf("/healthz: %d %q", got, body)
	}
	if r := w.login("bob").request(proto.TypeGetUpdates, map[string]any{"after": 0}); !r.OK() {
		t.Errorf("what stores nothing: %s", r.Status)
	}
	eventually(t, "it is logged", func() bool { return strings.Contains(w.log.String(), "level=ERROR msg=\"the disk is almost full") })
	setFree(64 << 20)
	for typ, fields := range requests {
		if r := alice.request(typ, fields); !r.OK() {
			t.Errorf("%s with room: %s %q", typ, r.Status, r.Info)
		}
	}
	if got, body := w.ask("/healthz"); got != http.StatusOK {
		t.Errorf("/healthz with room: %d %q", got, body)
	}
	eventually(t, "that too", func() bool { return strings.Contains(w.log.String(), "the disk has room again") })
}

// The log has the reason before the first message is refused, or as soon as /healthz fails, and
// has it once.
func TestAlmostFullDiskIsLoggedAtOnce(t *testing.T) {
	for _, when := range []string{"a message", "/healthz", "the start"} {
		var free atomic.Uint64
		if when != "the start" {
			free.Store(1 << 40)
		}
		w := newTestServer(t, func(o *Options) {
			o.AliveInterval = time.Hour
			o.FreeBytes = func() (uint64, error) { return free.Load(), nil }
		}, "alice")
		logged := func() int { return strings.Count(w.log.String(), "the disk is almost full") }
		alice := w.login("alice")
		refuse := func() {
			free.Store(0)
			w.srv.space.checked.Store(0) // it asks again at once
			switch when {
			case "a message":
				alice.request(proto.TypeSendMessage, map[string]any{"to": "alice", "body": "x"})
			case "/healthz":
				w.ask("/healthz")
				eventually(t, "it is logged", func() bool { return logged() > 0 })
			case "the start":
				eventually(t, "it is logged", func() bool { return logged() > 0 })
			}
		}
		refuse()
		refuse()
		if n := logged(); n != 1 {
			t.Errorf("%s: it is logged %d times", when, n)
		}
	}
}

// Health does not wait for the log: the watchdog of systemd would kill the server.
func TestHealthDoesNotWaitForTheLog(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	w := newTestServer(t, func(o *Options) {
		o.AliveInterval = time.Hour
		o.FreeBytes = func() (uint64, error) { return free.Load(), nil }
	})
	free.Store(0)
	w.srv.space.checked.Store(0) // it asks again at once
	answer := make(chan error, 1)
	w.log.mu.Lock()
	go func() { answer <- w.srv.Health(t.Context()) }()
	select {
	case err := <-answer:
		if err == nil || !strings.Contains(err.Error(), "the disk is almost full") {
			t.Errorf("%v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits")
	}
	w.log.mu.Unlock()
	eventually(t, "it is logged", func() bool { return strings.Contains(w.log.String(), "the disk is almost full") })
}

// Deleted messages make room on an almost full disk, although the file does not shrink.
// Three quarters of the limit must be free on the disk even so.
func TestDeletedMessagesMakeRoom(t *testing.T) {
	var free atomic.Uint64
	const least = 1 << 20
	free.Store(1 << 40)
	w := newTestServer(t, func(o *Options) {
		o.MinFreeSpace, o.FreeBytes = least, func() (uint64, error) { return free.Load(), nil }
	}, "alice", "bob")
	alice := w.login("alice")
	for range 8 {
		alice.send("bob", strings.Repeat("x", 128<<10))
	}
	status := func(bytes uint64) string {
		free.Store(bytes)
		w.srv.space.checked.Store(0) // it asks again at once
		return code(alice.request(proto.TypeSendMessage, map[string]any{"to": "bob", "body": "x"}))
	}
	if got := status(least - 1); got != "507" {
		t.Errorf("before messages are deleted: %s", got)
	}
	if n, err := w.srv.o.Store.Prune(t.Context(), time.Now().Add(time.Hour)); n < 8 || err != nil {
		t.Fatalf("%d messages are deleted, %v", n, err)
	}
	for bytes, want := range map[uint64]string{least / 4 * 3: "200", least/4*3 - 1: "507"} {
		if got := status(bytes); got != want {
			t.Errorf("after that, with %d bytes: %s, not %s", bytes, got, want)
		}
	}
}

// A system that does not say how much is free has enough.
func TestUnknownSpaceIsEnough(t *testing.T) {
	x := space{free: func() (uint64, error) { return 0, errors.New("unknown") }, least: 1}
	if x.isLow() {
		t.Error("it is low")
	}
}

// A disk that is full in spite of the limit is named too.
func TestFullDiskIsNamed(t *testing.T) {
	err := fullDisk(t)
	var refused *refusal
	if !errors.As(orDiskFull(err), &refused) || refused.status != proto.StatusStorage || refused.info != "the server's disk is full; nothing was done" {
		t.Errorf("%v", err)
	}
	if other := errors.New("x"); orDiskFull(other) != other || orDiskFull(nil) != nil {
		t.Error("it is another error")
	}
}

// Old messages are deleted by themselves, if the operator wants that.
func TestKeepDeletesOldMessages(t *testing.T) {
	for _, keep := range []time.Duration{0, 24 * time.Hour} {
		w := newTestServer(t, func(o *Options) { o.Keep, o.PruneInterval = keep, time.Millisecond }, "alice", "bob")
		alice := w.login("alice")
		alice.send("bob", "old")
		w.clock.Add(24*time.Hour + time.Second)
		alice.send("bob", "young")
		bodies := func() string {
			r := alice.request(proto.TypeGetHistory, map[string]any{"login": "bob"})
			list, err := proto.ParseMessages(r.Fields, "history")
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, m := range list {
				b.WriteString(m.Body + " ")
			}
			return b.String()
		}
		if keep == 0 {
			if got := bodies(); got != "old young " {
				t.Errorf("without Keep: %s", got)
			}
			continue
		}
		eventually(t, "the old one is deleted", func() bool { return bodies() == "young " })
		eventually(t, "the log says so", func() bool {
			return strings.Contains(w.log.String(), `msg="old messages deleted" count=1 keep=24h0m0s`)
		})
	}
	for _, bad := range []time.Duration{-1, 23 * time.Hour} {
		if err := (&Options{Store: newTestServer(t, nil).store, Keep: bad}).complete(); err == nil {
			t.Errorf("Keep of %v", bad)
		}
	}
}
