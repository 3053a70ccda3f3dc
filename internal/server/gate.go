package server

import (
	"runtime"
	"sync"

	"github.com/skaroctl/skaroctl/internal/fair"
	"github.com/skaroctl/skaroctl/internal/store"
)

// gate lets a bounded number of requests read from the store at once, in turn by user. Logins
// do not pass through it.
type gate struct {
	mu      sync.Mutex
	waiting *fair.Queue[chan struct{}] // closed when it is their turn
	free    int                        // how many more may enter
}

// newGate leaves one reader of the store free for requests that read a row or two, and one
// processor for everything that does not read.
func newGate() *gate {
	return &gate{waiting: fair.NewQueue[chan struct{}](1), free: min(store.Readers-1, max(1, runtime.GOMAXPROCS(0)-1))}
}

// enter waits for the user's turn. leave must follow.
func (g *gate) enter(user int64) {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	g.waiting.Push(user, 1, turn)
	g.mu.Unlock()
	<-turn
}

// leave lets the next request enter.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if next := g.waiting.Pop(); next != nil {
		close(next.Value)
		return
	}
	g.free++
}
