package server

import (
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/fair"
)

// intake makes connections wait whose payers have the server work for more than a share of its
// time on what they send: on frames of any kind, on HTTP, on TLS. A payer is a user, or an
// address without a login.
type intake struct {
	mu    sync.Mutex // guards pace
	pace  *fair.Pace
	clock func() time.Time
	slots chan struct{} // has an element for each link that has waited and works now
}

// intakeRest is how long a connection waits at most before its next bytes are decoded.
const intakeRest = 500 * time.Millisecond

// newIntake leaves half of the processors for those who need not wait.
func newIntake() *intake {
	return &intake{pace: fair.NewPace(intakeRest), clock: time.Now, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// localPayer pays for all clients of the address local that have not logged in. It may stand for
// a proxy and thousands of clients, so it pays for one in localDiscount parts of the work: that
// gives it half of the time instead of a sixth.
const (
	localPayer    = -1
	localDiscount = 3
)

var payerSeed = maphash.MakeSeed()

// payerOf returns the payer of an address: a number below zero, which no user has. Two addresses
// hardly ever have the same.
func payerOf(address netip.Prefix) int64 {
	if address == local {
		return localPayer
	}
	return int64(maphash.Comparable(payerSeed, address) | 1<<63)
}

// begin notes work for a payer, and returns how long the payer has to wait before it. A user who
// is alone does not wait. An address has no use for more than its share.
func (i *intake) begin(payer int64, about time.Duration) (wait time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.clock()
	if payer < 0 {
		wait = i.pace.Owed(payer, now)
	} else {
		wait = i.pace.Wait(payer, now)
	}
	i.charge(payer, about, now)
	return wait
}

// charge notes work. intake.mu is held.
func (i *intake) charge(payer int64, d time.Duration, now time.Time) {
	if payer == localPayer {
		d /= localDiscount
	}
	i.pace.Took(payer, d, now)
}

// took corrects what begin has noted.
func (i *intake) took(payer int64, more time.Duration) {
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
