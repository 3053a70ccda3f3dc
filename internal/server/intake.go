package server

import (
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/fair"
)

// intake shares the time that the server takes for what connections send: frames of any kind,
// HTTP, TLS. A payer, which is a user or an address without a login, waits after taking more than
// a share. The payer's links then need slots, even if no other user is active, so that a processor
// stays free for other payers.
type intake struct {
	mu    sync.Mutex // guards pace
	pace  *fair.Pace
	clock func() time.Time
	slots chan struct{} // has one element for each link that holds a slot
}

// intakeRest is how long what a link has read waits at most for a share, and again for a slot.
const intakeRest = 500 * time.Millisecond

// newIntake leaves half of the processors to payers that owe nothing, if there are several
// processors.
func newIntake() *intake {
	return &intake{pace: fair.NewPace(intakeRest), clock: time.Now, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// localPayer pays for all clients of the address local that have not logged in. It may stand for
// a proxy and thousands of clients, so it is charged only a part of the work: it may take half of
// the time, instead of a sixth.
const (
	localPayer    = -1
	localDiscount = 3
)

var payerSeed = maphash.MakeSeed()

// payerOf returns the payer of an address: a number below zero, which no user has. Two addresses
// hardly ever have the same payer.
func payerOf(address netip.Prefix) int64 {
	if address == local {
		return localPayer
	}
	return int64(maphash.Comparable(payerSeed, address) | 1<<63)
}

// note charges a payer for work in advance. It returns how much it has noted, how long to wait
// before the work, and whether the payer owes anything. A user who is alone does not wait. An
// address always does, because a login fits into the bytes that need no share.
func (i *intake) note(payer int64, about time.Duration) (noted, wait time.Duration, owes bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.clock()
	owed := i.pace.Owed(payer, now)
	if wait = owed; payer > 0 {
		wait = i.pace.Wait(payer, now)
	}
	return i.charge(payer, about, now), wait, owed > 0
}

// charge notes work, and returns how much it has noted. intake.mu is held.
func (i *intake) charge(payer int64, d time.Duration, now time.Time) time.Duration {
	if payer == localPayer {
		return i.pace.Took(payer, d/localDiscount, now) * localDiscount
	}
	return i.pace.Took(payer, d, now)
}

// correct adds to what note has noted; more may be negative.
func (i *intake) correct(payer int64, more time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.charge(payer, more, i.clock())
}

// active notes that a user has sent a request.
func (i *intake) active(user int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pace.Active(user, i.clock())
}
