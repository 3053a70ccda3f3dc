package store

import (
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/fair"
)

// queue is what waits for the writing goroutine, which takes it in turn by user. A user whose jobs
// take most of the time waits while others are active.
type queue struct {
	mu      sync.Mutex // guards the fields up to closed
	jobs    *fair.Queue[*job]
	pace    *fair.Pace
	clock   func() time.Time
	group   map[int64]int // cost of the jobs of each user in the transaction
	hurried bool          // no user waits for a share any more
	closed  bool          // the writing goroutine has ended, or is about to

	wake chan struct{} // there are jobs; has room for one
}

func newQueue() queue {
	return queue{jobs: fair.NewQueue[*job](turnCost), pace: fair.NewPace(maxRest), clock: time.Now, group: map[int64]int{}, wake: make(chan struct{}, 1)}
}

// now returns the time of the clock.
func (q *queue) now() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.clock()
}

// push queues a job. If the user has more than a share of the queue, it waits until the job
// is taken. It reports whether the queue is open.
func (q *queue) push(user int64, cost int, j *job) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	j.user, j.cost = user, cost
	q.jobs.Push(user, cost, j)
	if user != nobody {
		q.pace.Active(user, q.clock())
	}
	if q.jobs.CostOf(user) > q.jobs.Share(maxQueued) {
		j.taken = make(chan struct{})
	}
	taken := j.taken
	q.mu.Unlock()
	q.ring()
	if taken != nil {
		<-taken
	}
	return true
}

// ring wakes the writing goroutine.
func (q *queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop takes the next job of a user who need not wait, and reports whether that user is alone.
func (q *queue) pop() (j *job, alone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock()
	x := q.jobs.PopOf(func(user int64) bool {
		return q.hurried || user == nobody || q.pace.Alone(user, now) || q.group[user] < userGroup && q.pace.Wait(user, now) == 0
	})
	if x == nil {
		return nil, false
	}
	q.group[x.User] += x.Cost()
	return handOver(x), q.pace.Alone(x.User, now)
}

// beginGroup begins a transaction.
func (q *queue) beginGroup() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.group)
}

// popAny takes the next job of all users.
func (q *queue) popAny() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if x := q.jobs.Pop(); x != nil {
		return handOver(x)
	}
	return nil
}

// handOver returns the job of an item, and wakes the caller that waits until it is taken.
func handOver(x *fair.Item[*job]) *job {
	if x.Value.taken != nil {
		close(x.Value.taken)
	}
	return x.Value
}

// wait returns how long every user who has jobs has to wait, and reports whether there are any.
func (q *queue) wait() (least time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock()
	q.jobs.Users(func(user int64) bool {
		if wait := q.pace.Wait(user, now); !ok || wait < least {
			least, ok = wait, true
		}
		return least > 0
	})
	return least, ok
}

// addCost adds to the cost of the user's last job.
func (q *queue) addCost(user int64, cost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.group[user] += cost
	q.jobs.Charge(user, cost)
}

// took charges users for the time of their jobs, which the function of returns.
func (q *queue) took(group []*job, of func(*job) time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, took := q.clock(), time.Duration(0)
	for i, j := range group {
		took += of(j)
		if i+1 < len(group) && group[i+1].user == j.user {
			continue
		}
		if j.user != nobody {
			q.pace.Took(j.user, took, now)
		}
		took = 0
	}
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.jobs.Len() == 0
}

// hurry lets no user wait for a share any more.
func (q *queue) hurry() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hurried = true
}

// close closes the queue if it has no jobs, and reports whether it did.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = q.jobs.Len() == 0
	return q.closed
}
