package fair

import "time"

// Pace delays users who take more than a share of the server's time, so that other active users
// usually find the server idle. A user who is alone does not wait. A Pace has no lock of its own.
type Pace struct {
	rest          time.Duration       // that a user waits at most
	due           map[int64]time.Time // when the time that a user took is paid for
	newest, other activity            // of two users
}

// activity is when a user was active last.
type activity struct {
	user int64
	at   time.Time
}

const (
	paceShare = 6                    // a user who is not alone gets a sixth of the time
	paceBurst = 5 * time.Millisecond // that a user who was idle may take at once
	paceAlone = time.Second          // if no other user is active for so long, a user is alone
	maxPaced  = 1 << 12              // users
)

// NewPace makes a Pace in which a user waits for a time at most.
func NewPace(rest time.Duration) *Pace { return &Pace{rest: rest, due: map[int64]time.Time{}} }

// Active notes that a user has work for the server. A user who takes more than a share does not
// count as active, so that two users who flood do not wait for each other.
func (p *Pace) Active(user int64, now time.Time) {
	if p.due[user].After(now.Add(-paceBurst * paceShare / 2)) {
		return // after a wait, a user owes nothing, but has no burst left
	}
	if user != p.newest.user {
		p.other = p.newest
	}
	p.newest = activity{user, now}
}

// Alone reports whether no other user has been active for a while.
func (p *Pace) Alone(user int64, now time.Time) bool {
	last := p.newest
	if last.user == user {
		last = p.other
	}
	return last.at.IsZero() || now.Sub(last.at) > paceAlone
}

// Took notes that the server has worked for a user, and returns how much of it is noted: a user
// never owes more than the longest wait. If took is negative, the server has worked less than was
// noted before.
func (p *Pace) Took(user int64, took time.Duration, now time.Time) (noted time.Duration) {
	due, known := p.due[user]
	earliest, latest := now.Add(-paceBurst*paceShare), now.Add(p.rest)
	if due.Before(earliest) {
		due = earliest
	}
	after := due.Add(took * paceShare)
	if after.After(latest) {
		after = latest
	}
	if !known && len(p.due) >= maxPaced {
		p.forget(earliest)
	}
	p.due[user] = after
	return after.Sub(due) / paceShare
}

// forget removes the users who had paid before a time. If there is none, it removes all users.
func (p *Pace) forget(before time.Time) {
	for user, due := range p.due {
		if due.Before(before) {
			delete(p.due, user)
		}
	}
	if len(p.due) >= maxPaced {
		clear(p.due)
	}
}

// Wait returns how long the server lets a user wait.
func (p *Pace) Wait(user int64, now time.Time) time.Duration {
	if p.Alone(user, now) {
		return 0
	}
	return p.Owed(user, now)
}

// Owed returns how long a user waits while others are active.
func (p *Pace) Owed(user int64, now time.Time) time.Duration {
	return max(0, p.due[user].Sub(now))
}
