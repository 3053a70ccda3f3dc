package server

import (
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Requests that read wait for a turn of each other user, not for all requests before them.
func TestReadersAreServedInTurn(t *testing.T) {
	const mallory, alice = 1, 2
	g := newGate()
	for g.free > 0 {
		g.enter(mallory)
	}
	order := make(chan int64, 100)
	waiting := 0
	wait := func(user int64) {
		t.Helper()
		go func() {
			g.enter(user)
			order <- user
		}()
		waiting++
		eventually(t, "it waits", func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.waiting.Len() == waiting
		})
	}
	for range 50 {
		wait(mallory)
	}
	wait(alice)
	at := 0
	for i := range 51 {
		g.leave()
		if <-order == alice {
			at = i + 1
		}
	}
	if at < 1 || at > 3 {
		t.Errorf("the other user is number %d of 51", at)
	}
}

// A login does not wait for requests that read, and neither does a message.
func TestLoginsDoNotWaitForReaders(t *testing.T) {
	w := newTestServer(t, nil, "alice", "bob")
	g := w.srv.readers
	entered := 0
	for ; g.free > 0; entered++ {
		g.enter(nobody)
	}
	alice := w.login("alice")
	if r := alice.request(proto.TypeGetUserData, map[string]any{"login": "bob"}); !r.OK() {
		t.Error(r.Status)
	}
	alice.send("bob", "x")
	id := alice.ask(proto.TypeGetUpdates, map[string]any{"after": 0})
	eventually(t, "the request waits", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.waiting.Len() == 1
	})
	g.leave()
	if r := alice.reply(id); !r.OK() {
		t.Error(r.Status)
	}
	for range entered - 1 {
		g.leave()
	}
}
