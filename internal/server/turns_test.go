package server

import (
	"net"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cork"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// stop takes all slots, so that nothing is written until the test takes the turns itself.
func (t *turns) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free = 0
}

// idle is a connection that only has a queue.
func (w *testServer) idle() *conn {
	return newConn(w.srv, nil, &cork.Conn{Conn: newLink(nil, func() {})}, peer{}, &place{})
}

// However many connections get one user's messages, another user's message waits for a turn.
func TestPushesOfOneUserDelayOthersByATurn(t *testing.T) {
	const members, mallory, alice, carol = 1000, 1, 2, 3
	w := newTestServer(t, nil)
	turns := w.srv.turns
	turns.stop()
	var crowd []*conn
	for range members {
		crowd = append(crowd, w.idle())
	}
	for range 5 {
		for _, c := range crowd {
			c.enqueue(make([]byte, 100), mallory)
		}
	}
	bob := w.idle()
	bob.enqueue(make([]byte, 100), alice)
	// The last one in the crowd gets a message of carol's too: it need not wait for the crowd.
	last := crowd[members-1]
	last.enqueue(make([]byte, 100), carol)
	at := map[*conn]int{}
	total := 0
	for x := turns.next(); x != nil; x = turns.next() {
		c := x.Value
		batch, _, ok := c.begin()
		if !ok {
			continue // its frames went with an earlier turn
		}
		for i, x := range batch {
			if c == last && i == 5 && x.user != carol || c == last && i < 5 && x.user != mallory {
				t.Errorf("frame %d is of user %d", i, x.user)
			}
		}
		total += len(batch)
		at[c] = len(at)
		c.pause()
	}
	if total != 5*members+2 || len(at) != members+1 {
		t.Errorf("%d frames of %d connections", total, len(at))
	}
	const most = 2 * writeTurn / writeCost
	if at[bob] > most || at[last] > most {
		t.Errorf("they are number %d and %d of %d", at[bob], at[last], members+1)
	}
}

// A turn has a bounded size, and what is left gets the next one.
func TestLongQueueTakesSeveralTurns(t *testing.T) {
	w := newTestServer(t, nil)
	w.srv.turns.stop()
	c := w.idle()
	for _, size := range []int{30 << 10, 30 << 10, 30 << 10, 100 << 10, 1} {
		c.enqueue(make([]byte, size), 1)
	}
	c.end(1000, "")
	for i, want := range []int{2, 1, 1, 1} {
		if x := w.srv.turns.next(); x == nil || x.Value != c {
			t.Fatalf("turn %d is missing", i)
		}
		batch, ending, _ := c.begin()
		if len(batch) != want || ending != (i == 3) {
			t.Errorf("turn %d has %d frames, ending %v", i, len(batch), ending)
		}
		c.pause()
	}
}

// A user has to wait with new messages while too much is to be written for them. Other users
// do not.
func TestAdmitWaitsForTheUserAlone(t *testing.T) {
	const mallory, alice = 1, 2
	w := newTestServer(t, nil)
	turns := w.srv.turns
	turns.stop()
	conns := 0
	for turns.queue.CostOf(mallory) <= turns.queue.Share(maxUnwritten) {
		w.idle().enqueue(make([]byte, 64<<10), mallory)
		conns++
	}
	if turns.admit(alice) {
		t.Error("another user waits")
	}
	admitted := make(chan bool, 1)
	go func() { admitted <- turns.admit(mallory) }()
	eventually(t, "it waits", func() bool {
		turns.mu.Lock()
		defer turns.mu.Unlock()
		return turns.room[mallory] != nil
	})
	for range conns / 4 {
		turns.next()
	}
	select {
	case <-admitted:
		t.Error("it is admitted while there is little room")
	default:
	}
	for range conns/2 + 1 {
		turns.next()
	}
	if !<-admitted {
		t.Error("it does not say that it waited")
	}
}

// Connections whose peers read nothing keep no other one from writing, however many they are.
func TestDeafPeersHoldNoSlots(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.WriteTime = 2 * patience }, "alice", "mallory")
	slots := w.srv.turns.free
	for range slots + 3 {
		deaf := w.dialPipe(func(c net.Conn) net.Conn { return c })
		if r := deaf.authorize("mallory", "secret of mallory"); !r.OK() {
			t.Fatal(r.Status)
		}
		deaf.ask(proto.TypeRegisterType, nil) // the answer is never read
	}
	alice := w.login("alice")
	for range 20 {
		alice.send("mallory", "x")
	}
	deaf := 0
	eventually(t, "every deaf connection waits, and every slot is free", func() bool {
		w.srv.mu.Lock()
		deaf = 0
		for c := range w.srv.conns {
			if c.link.waitsForPeer() {
				deaf++
			}
		}
		w.srv.mu.Unlock()
		w.srv.turns.mu.Lock()
		defer w.srv.turns.mu.Unlock()
		return deaf == slots+3 && w.srv.turns.free == slots
	})
	w.srv.mu.Lock()
	defer w.srv.mu.Unlock()
	for c := range w.srv.conns {
		if c.link.waitsForPeer() {
			c.drop() // so that the test ends before WriteTime
		}
	}
}

// goroutines counts the goroutines of the server, of its kinds that belong to connections.
func goroutines() int {
	var all strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&all, 2)
	n := 0
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, "internal/server.(*conn)") || strings.Contains(stack, "internal/server.(*turns)") || strings.Contains(stack, "net/http.(*conn)") {
			n++
		}
	}
	return n
}

// An idle connection has one goroutine, its reader.
func TestIdleConnectionHasOneGoroutine(t *testing.T) {
	const n = 50
	w := newTestServer(t, nil, "alice")
	for range n {
		w.login("alice")
	}
	eventually(t, "there is one for each connection", func() bool { return goroutines() == n })
}

// The time of a turn counts for the user who has caused the frames, and not for the user who gets them.
func TestTurnsCountForTheUserWhoCausedThem(t *testing.T) {
	const messages = 20
	w := newTestServer(t, nil, "alice", "bob")
	var mu sync.Mutex
	turns := map[int64]int{}
	w.srv.turns.took = func(user int64, _ time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		turns[user]++
	}
	w.login("bob")
	alice := w.login("alice")
	from, err := w.store.User(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	to, err := w.store.User(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	for range messages {
		alice.send("bob", "x")
	}
	eventually(t, "the turns of all messages are counted", func() bool {
		mu.Lock()
		defer mu.Unlock()
		// bob has one for the reply to the login, and greetings have none.
		return turns[from.ID] > messages && turns[to.ID] == 1 && len(turns) == 2
	})
}
