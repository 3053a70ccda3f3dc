package server

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/fair"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// endless is a peer that always has more to read, until it is closed.
type endless struct {
	net.Conn
	read, most int
	reached    chan struct{} // closed when most bytes have been read
	closed     bool
	reading    func() // called by each Read, if it is set
}

func (e *endless) Read(b []byte) (int, error) {
	if e.reading != nil {
		e.reading()
	}
	if e.closed {
		return 0, net.ErrClosed
	}
	if e.read < e.most && e.read+len(b) >= e.most {
		close(e.reached)
	}
	e.read += len(b)
	return len(b), nil
}

func (e *endless) Close() error {
	e.closed = true
	return nil
}

// What a link has read beyond its limit is handed over when it is closed, and nothing more is read.
func TestReadsOfALinkAreLimited(t *testing.T) {
	e := &endless{most: 100, reached: make(chan struct{})}
	l := newLink(e, func() {})
	l.limitReads(int64(e.most) - 1)
	ended := make(chan int)
	go func() {
		n := 0
		for {
			m, err := l.Read(make([]byte, 10))
			if n += m; err != nil {
				ended <- n
				return
			}
		}
	}()
	<-e.reached
	select {
	case n := <-ended:
		t.Fatalf("the reads end after %d bytes, before the link is closed", n)
	default:
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := <-ended; n != e.most {
		t.Errorf("%d bytes were read, of a limit of %d", n, e.most)
	}
}

// endlessLink is a link to an endless peer, with a payer.
func endlessLink(payer int64) (*link, *intake) {
	i := newIntake()
	l := newLink(&endless{most: 1 << 20, reached: make(chan struct{})}, func() {})
	l.intake = i
	l.payer.Store(payer)
	return l, i
}

// What a payer who owes time has sent is handed over when its connection ends, if not before.
func TestReadWaitsForItsPayer(t *testing.T) {
	const mallory, alice = 1, 2
	near, far := net.Pipe()
	defer far.Close()
	i := newIntake()
	i.pace = fair.NewPace(time.Hour)
	i.active(alice)
	i.correct(mallory, time.Hour)
	l := newLink(near, func() {})
	l.intake = i
	l.payer.Store(mallory)
	l.work.fresh = 0
	if wait := l.note(5); wait < time.Minute {
		t.Errorf("the wait is %v", wait)
	}
	read := make(chan int)
	go func() {
		n, _ := l.Read(make([]byte, 10))
		read <- n
	}()
	if _, err := far.Write(make([]byte, 5)); err != nil { // returns when they have been read
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := <-read; n != 5 {
		t.Errorf("%d bytes instead of 5", n)
	}
}

// The payer is charged for the time of the work, even if nothing is read after it.
func TestWorkIsCharged(t *testing.T) {
	l, i := endlessLink(1)
	now := time.Now()
	i.clock = func() time.Time { return now }
	l.work.perByte = 0
	i.correct(1, 5*time.Millisecond) // the credit of fair.Pace is used up
	if _, err := l.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	l.work.mu.Lock()
	l.work.since = l.work.since.Add(-time.Second)
	l.work.mu.Unlock()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, most := i.pace.Owed(1, now), 6*(readTime+1000*perByteTime); got != most {
		t.Errorf("%v are owed for a second of work, instead of the most, %v", got, most)
	}
}

// decrypting is the TLS of a link. It takes a second for what it has read.
type decrypting struct{ *link }

func (d decrypting) Read(b []byte) (int, error) {
	n, err := d.link.Read(b)
	d.work.mu.Lock()
	defer d.work.mu.Unlock()
	d.work.since = d.work.since.Add(-time.Second)
	return n, err
}

// The payer is charged for the time that TLS takes, and not for the time that the peer takes.
func TestTLSIsCharged(t *testing.T) {
	l, i := endlessLink(1)
	now := time.Now()
	i.clock = func() time.Time { return now }
	l.work.perByte = 0
	i.correct(1, 5*time.Millisecond) // the credit of fair.Pace is used up
	p := l.upgrade(decrypting{l})
	clockRuns := false
	l.Conn.(*endless).reading = func() { clockRuns = !l.work.since.IsZero() }
	if _, err := p.Read(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	if clockRuns {
		t.Error("the clock runs while the peer is waited for")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, most := i.pace.Owed(1, now), 6*(readTime+500*perByteTime); got != most {
		t.Errorf("%v are owed for a second of TLS, instead of the most, %v", got, most)
	}
}

// Reads whose work takes no time are charged too: TLS hands over each record on its own, even if it
// has a single byte.
func TestEachReadIsCharged(t *testing.T) {
	const reads = 100
	l, i := endlessLink(1)
	now := time.Now()
	i.clock = func() time.Time { return now }
	i.correct(1, 5*time.Millisecond) // the credit of fair.Pace is used up
	for range reads {
		l.note(1)
		l.settle()
	}
	if got, least := i.pace.Owed(1, now), 6*reads*accountTime; got < least {
		t.Errorf("%v are owed for %d reads, instead of %v", got, reads, least)
	}
}

// A reader that has to wait behind a write to its peer, to answer a ping, has no slot meanwhile.
func TestPongBehindAWriteHoldsNoSlot(t *testing.T) {
	w := newTestServer(t, nil, "mallory")
	w.srv.intake.pace = fair.NewPace(time.Hour) // the debt lasts for the test
	deaf := w.dialPipe(func(c net.Conn) net.Conn { return c })
	if r := deaf.authorize("mallory", "secret of mallory"); !r.OK() {
		t.Fatal(r.Status)
	}
	c := w.connection()
	defer c.drop() // so that the test ends before WriteTime
	eventually(t, "the write of the login's answer has ended", func() bool { return !c.link.waitsForPeer() })
	deaf.ask(proto.TypeRegisterType, nil) // the answer is never read
	eventually(t, "the answer waits for the peer", c.link.waitsForPeer)
	w.srv.intake.correct(c.link.payer.Load(), time.Minute)
	before := c.link.left.Load()
	go func() { _ = deaf.ws.Ping(t.Context()) }()
	eventually(t, "the ping is worked on", func() bool {
		x := &c.link.work
		x.mu.Lock()
		defer x.mu.Unlock()
		return c.link.left.Load() < before && x.bytes > 0 && !x.since.IsZero()
	})
	if n := len(w.srv.intake.slots); n != 0 {
		t.Errorf("%d slots are taken", n)
	}
	c.link.work.mu.Lock()
	defer c.link.work.mu.Unlock()
	if c.link.work.owes {
		t.Error("the ping has not waited for a slot, although none is to be had")
	}
}

// A reader gets a slot as soon as the write to its peer has ended. On Windows, every write counts as
// one that waits, so a longer wait would slow every client down.
func TestReaderGetsASlotWhenTheWriteHasEnded(t *testing.T) {
	l, i := endlessLink(1)
	l.startWaiting()
	got := make(chan bool)
	go func() { got <- l.awaitSlot(time.Hour) }()
	select {
	case <-got:
		t.Error("it has not waited for the write")
	case <-time.After(20 * time.Millisecond):
	}
	l.stopWaiting()
	if !<-got || len(i.slots) != 1 {
		t.Error("it has no slot")
	}
}

// A link that has waited for a slot for long enough works without one, and so do all the frames of
// that read.
func TestReadWaitsForASlotOnce(t *testing.T) {
	l, i := endlessLink(localPayer)
	for range cap(i.slots) {
		i.slots <- struct{}{}
	}
	i.correct(localPayer, time.Hour)
	l.note(10)
	l.work.patience = time.Nanosecond
	l.resume()
	if l.work.slot || l.work.owes {
		t.Error("it has a slot, or still needs one")
	}
	l.rest(0)
	if len(i.slots) != cap(i.slots) {
		t.Error("it has given back a slot that it never had")
	}
}

// The first bytes of a connection wait for a slot only: a login must not wait for its address.
func TestFirstBytesDoNotWaitForAShare(t *testing.T) {
	l, i := endlessLink(localPayer)
	i.correct(localPayer, time.Hour)
	if wait := l.note(freshBytes); wait != 0 || !l.work.owes {
		t.Errorf("the first bytes wait %v, and need a slot: %v", wait, l.work.owes)
	}
	if wait := l.note(1); wait == 0 {
		t.Error("the byte after them does not wait")
	}
}

// A login that arrives together with a message does not wait for a share either.
func TestFirstBytesDoNotWaitForTheNextBytes(t *testing.T) {
	l, i := endlessLink(localPayer)
	i.pace = fair.NewPace(time.Hour)
	i.correct(localPayer, time.Hour)
	p := l.upgrade(l)
	n, err := p.Read(make([]byte, 2*freshFrame)) // after more bytes, it would take an hour
	if n != freshFrame || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// A link whose payer owes something works with a slot. It gives the slot back when it reads again,
// while its request is handled, and when it is closed.
func TestLinkGivesItsSlotBack(t *testing.T) {
	l, i := endlessLink(localPayer)
	taken := func(want int) {
		t.Helper()
		if len(i.slots) != want {
			t.Fatalf("%d slots are taken, not %d", len(i.slots), want)
		}
	}
	read := func() {
		t.Helper()
		i.correct(localPayer, time.Hour)
		if _, err := l.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	read()
	taken(1)
	read()
	taken(1)
	l.giveUpSlot()
	taken(0)
	l.rest(0)
	taken(0)
	l.resume()
	taken(1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	taken(0)
	l.resume()
	taken(0)
}

// A client that owes nothing needs no slot.
func TestClientWithinItsShareNeedsNoSlot(t *testing.T) {
	l, i := endlessLink(1)
	if _, err := l.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if len(i.slots) != 0 {
		t.Error("it has a slot")
	}
}

// A link notes in advance what its bytes may take, and afterwards what they took.
func TestWorkIsNotedAndCorrected(t *testing.T) {
	const mallory = 1
	l, i := endlessLink(mallory)
	now := time.Now()
	i.clock = func() time.Time { return now }
	const burst = 5 * time.Millisecond // fair.Pace
	i.correct(mallory, burst)          // the credit is used up
	owed := func() time.Duration { return i.pace.Owed(mallory, now) }
	b := make([]byte, 1000)
	if _, err := l.Read(b); err != nil {
		t.Fatal(err)
	}
	first := owed()
	if share := time.Duration(6); first != share*(readTime+1000*perByteTime) {
		t.Errorf("%v are owed for 1,000 bytes of a new link", first)
	}
	l.rest(time.Hour) // at most what 1,000 bytes may take
	l.settle()
	if got := owed(); got != first {
		t.Errorf("%v are owed for the longest work, not %v", got, first)
	}
	if _, err := l.Read(b); err != nil {
		t.Fatal(err)
	}
	l.work.mu.Lock()
	l.work.since = time.Time{} // no time at all
	l.work.took = 0
	l.work.mu.Unlock()
	l.settle()
	if got := owed(); got != first {
		t.Errorf("%v are owed after work that took no time, not %v", got, first)
	}
}

// The payer of a connection is the user, or the address of a client that has not logged in.
func TestPayerIsTheUserOrTheAddress(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	payer := func() int64 { return w.connection().link.payer.Load() }
	c := w.dial()
	if got := payer(); got != localPayer {
		t.Errorf("the payer of a local client is %d", got)
	}
	c.authorize("alice", "secret of alice")
	u, err := w.store.User(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if got := payer(); got != u.ID {
		t.Errorf("the payer is %d instead of user %d", got, u.ID)
	}
	a, b := payerOf(netip.MustParsePrefix("192.0.2.1/32")), payerOf(netip.MustParsePrefix("2001:db8::/64"))
	if a == b || a >= localPayer || b >= localPayer {
		t.Errorf("two addresses are payers %d and %d", a, b)
	}
}

// An address waits for a share, and a user who is alone does not. Both need a slot.
func TestOnlyAUserWhoIsAloneHasAllOfTheIntake(t *testing.T) {
	const alice, mallory = 1, 2
	stranger := payerOf(netip.MustParsePrefix("192.0.2.1/32"))
	i := newIntake()
	now := time.Now()
	i.clock = func() time.Time { return now }
	waits := func(payer int64) bool {
		t.Helper()
		i.correct(payer, time.Hour)
		_, wait, owes := i.note(payer, 0)
		if !owes {
			t.Errorf("payer %d needs no slot", payer)
		}
		return wait > 0
	}
	if waits(mallory) || !waits(localPayer) || !waits(stranger) {
		t.Error("while no user is active, a user waits, or an address does not")
	}
	i.active(alice)
	if !waits(mallory) || !waits(localPayer) || !waits(stranger) {
		t.Error("while a user is active, another payer does not wait")
	}
	if _, wait, owes := i.note(alice, 0); wait > 0 || owes {
		t.Error("the active user waits")
	}
	now = now.Add(intakeRest)
	if _, wait, _ := i.note(mallory, 0); wait > 0 {
		t.Errorf("a user waits longer than %v", intakeRest)
	}
}
