package session

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// Forever is a time without end, for a RetryPolicy.
const Forever = time.Duration(math.MaxInt64)

// RetryPolicy says how long to try again after a lost or failed connection, and with which
// pauses. The zero policy makes no second attempt.
type RetryPolicy struct {
	// BeforeLogin and AfterLogin say how long to keep trying before and after the first
	// login. The time starts over with each attempt that makes progress.
	BeforeLogin, AfterLogin time.Duration

	// The pauses double from FirstPause to MostPause. They start over after a connection
	// that lasted. Zero means half a second, half a minute, and ten seconds.
	FirstPause, MostPause, Lasting time.Duration

	// Passes reports whether an error that is not of this package may go away by itself:
	// Credentials may return such an error. A nil Passes means that none does.
	Passes func(error) bool

	// jitter shortens a pause, so that many clients do not come back at once. A nil jitter
	// chooses a random length, at least half of the pause.
	jitter func(time.Duration) time.Duration
}

// attempt is the result of one connection.
type attempt struct {
	err  error // why it ended
	done bool  // there is nothing left to do, whatever err is

	loggedIn bool          // the server confirmed the login
	up       time.Time     // when it became useful; zero if it never did
	progress bool          // it made progress
	patience time.Duration // keep trying at least that long
}

// longestAsked bounds the pauses that a server asks for: it may be ready sooner.
const longestAsked = time.Hour

// retry calls once, which makes a connection and returns at its end, until there is
// nothing left to do or no point in another attempt. Before each pause it calls lost,
// which may be nil. It returns the error of the last attempt, or why ctx ended.
func (p RetryPolicy) retry(ctx context.Context, lost func(err error, pause time.Duration), once func(context.Context) attempt) error {
	limit, lastProgress := p.BeforeLogin, time.Now()
	pauses, loggedIn := newPauses(p), false
	var last error
	for {
		a := once(ctx)
		loggedIn = loggedIn || a.loggedIn
		switch {
		case a.done:
			return a.err
		case ctx.Err() != nil:
			return ended(ctx, a.err, last)
		case !p.mayPass(a.err, loggedIn):
			return a.err
		}
		last = a.err
		if !a.up.IsZero() {
			limit = p.AfterLogin
			pauses.lasted(time.Since(a.up))
		}
		if a.progress {
			lastProgress = time.Now()
		}
		left := max(limit, a.patience) - time.Since(lastProgress)
		if left <= 0 {
			return a.err
		}
		pause := min(max(pauses.next(), min(RetryAfter(a.err), longestAsked)), left)
		if lost != nil {
			lost(a.err, pause)
		}
		if sleep(ctx, pause) != nil {
			return ended(ctx, nil, last)
		}
	}
}

// ended returns the error of a run that ctx has ended. err is that of the attempt at that
// moment, and last that of the one before; nil means none.
func ended(ctx context.Context, err, last error) error {
	cause := context.Cause(ctx)
	switch {
	case last != nil && KindOf(cause) == KindTimeout: // an attempt that has just begun says less
		return outOfTime(last)
	case errors.Is(err, cause): // it says what ctx ended
		return err
	}
	return cause
}

// Run calls once until it succeeds, its error can't pass by itself, or the time of
// BeforeLogin is over. It calls lost, which may be nil, before each pause.
func (p RetryPolicy) Run(ctx context.Context, lost func(err error, pause time.Duration), once func(context.Context) error) error {
	return p.retry(ctx, lost, func(ctx context.Context) attempt {
		err := once(ctx)
		return attempt{err: err, done: err == nil}
	})
}

// mayPass reports whether another attempt may succeed. loggedIn means that the server has
// confirmed a login in this run.
func (p RetryPolicy) mayPass(err error, loggedIn bool) bool {
	return Temporary(err) || loggedIn && temporaryAfterLogin(err) || p.Passes != nil && p.Passes(err)
}

// sleep waits, or returns the cause of ctx's end.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pauses are the growing pauses of one run.
type pauses struct {
	first, most, lasting time.Duration
	jitter               func(time.Duration) time.Duration

	bound time.Duration // of the next pause
}

func newPauses(p RetryPolicy) *pauses {
	s := &pauses{
		first:   cmp.Or(p.FirstPause, 500*time.Millisecond),
		most:    cmp.Or(p.MostPause, 30*time.Second),
		lasting: cmp.Or(p.Lasting, 10*time.Second),
		jitter:  p.jitter,
	}
	if s.jitter == nil {
		s.jitter = func(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
	}
	s.bound = s.first
	return s
}

// lasted makes the pauses start over if a connection was up for long.
func (s *pauses) lasted(up time.Duration) {
	if up >= s.lasting {
		s.bound = s.first
	}
}

func (s *pauses) next() time.Duration {
	pause := s.jitter(s.bound)
	s.bound = min(2*s.bound, s.most)
	return pause
}
