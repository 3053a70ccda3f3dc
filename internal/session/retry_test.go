package session

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// down is an error that may go away by itself.
var down = &Error{Kind: KindUnreachable, Msg: "down"}

// policy has pauses without jitter.
func policy(before, after time.Duration) RetryPolicy {
	return RetryPolicy{
		BeforeLogin: before, AfterLogin: after,
		FirstPause: time.Second, MostPause: 8 * time.Second, Lasting: time.Minute,
		jitter: func(d time.Duration) time.Duration { return d },
	}
}

// runs runs a policy over a script of attempts, whose last one is repeated. It returns the
// pauses in seconds.
func runs(p RetryPolicy, script ...func() attempt) (pauses []float64, err error) {
	n := 0
	err = p.retry(context.Background(), func(_ error, pause time.Duration) { pauses = append(pauses, pause.Seconds()) },
		func(context.Context) attempt {
			n++
			return script[min(n, len(script))-1]()
		})
	return pauses, err
}

// fails is an attempt that makes no connection.
func fails() attempt { return attempt{err: down} }

// ends is an attempt after which there is nothing left to do.
func ends() attempt { return attempt{done: true} }

// errBusy is the cause of what busy returns.
var errBusy = errors.New("busy")

// busy is an attempt that the server refuses for now, and asks for a pause. The error is
// somewhere below the one of the attempt.
func busy(d time.Duration) func() attempt {
	err := &Error{Kind: KindUnreachable, Msg: "busy", Err: &Error{Kind: KindRefused, RetryAfter: d, Err: errBusy}}
	return func() attempt { return attempt{err: err} }
}

// errLocked is an error of a credential store. With passing it may go away by itself.
var errLocked = errors.New("locked")

func locked() attempt { return attempt{err: errLocked} }

var passing = RetryPolicy{
	BeforeLogin: time.Minute, FirstPause: time.Second, MostPause: 8 * time.Second,
	Passes: func(err error) bool { return err == errLocked },
	jitter: func(d time.Duration) time.Duration { return d },
}

// loses is an attempt that logs in and loses its connection after a while.
func loses(after time.Duration, progress bool) func() attempt {
	return func() attempt {
		up := time.Now()
		time.Sleep(after)
		return attempt{err: down, up: up, progress: progress}
	}
}

// unanswered is an attempt that leaves unanswered messages, which extend the time.
func unanswered() attempt { return attempt{err: down, patience: 5 * time.Second} }

func TestRetryPauses(t *testing.T) {
	final := &Error{Kind: KindUnreachable, Msg: "final", Final: true}
	for name, c := range map[string]struct {
		policy RetryPolicy
		script []func() attempt
		pauses []float64
		err    error
	}{
		"the zero policy tries once":           {RetryPolicy{}, []func() attempt{fails}, nil, down},
		"pauses grow up to the longest":        {policy(Forever, 0), []func() attempt{fails, fails, fails, fails, fails, ends}, []float64{1, 2, 4, 8, 8}, nil},
		"the last pause ends with the time":    {policy(5*time.Second, 0), []func() attempt{fails}, []float64{1, 2, 2}, down},
		"a final error ends it":                {policy(Forever, Forever), []func() attempt{fails, func() attempt { return attempt{err: final} }}, []float64{1}, final},
		"the first connection must succeed":    {policy(0, Forever), []func() attempt{fails}, nil, down},
		"then it is made again":                {policy(0, Forever), []func() attempt{loses(0, true), fails, fails, ends}, []float64{1, 2, 4}, nil},
		"a lasting connection resets pauses":   {policy(Forever, Forever), []func() attempt{fails, fails, loses(time.Minute, true), ends}, []float64{1, 2, 1}, nil},
		"a short connection does not":          {policy(Forever, Forever), []func() attempt{fails, fails, loses(time.Second, true), ends}, []float64{1, 2, 4}, nil},
		"progress starts the time over":        {policy(3*time.Second, 3*time.Second), []func() attempt{fails, loses(0, true), fails, fails}, []float64{1, 2, 1}, down},
		"a login without progress does not":    {policy(3*time.Second, 3*time.Second), []func() attempt{fails, loses(0, false), fails}, []float64{1, 2}, down},
		"the server says how long to wait":     {policy(Forever, 0), []func() attempt{busy(20 * time.Second), busy(0), busy(3 * time.Second), ends}, []float64{20, 2, 4}, nil},
		"but not for ever":                     {policy(Forever, 0), []func() attempt{busy(300 * time.Hour), ends}, []float64{3600}, nil},
		"nor beyond the end":                   {policy(5*time.Second, 0), []func() attempt{busy(20 * time.Second)}, []float64{5}, errBusy},
		"what passes by itself is tried again": {passing, []func() attempt{locked, locked, ends}, []float64{1, 2}, nil},
		"what does not is final":               {policy(Forever, Forever), []func() attempt{locked}, nil, errLocked},
		"unanswered messages extend the time":  {policy(0, 0), []func() attempt{unanswered}, []float64{1, 2, 2}, down},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pauses, err := runs(c.policy, c.script...)
				if !reflect.DeepEqual(pauses, c.pauses) || err != c.err && !errors.Is(err, c.err) {
					t.Errorf("pauses %v and %v, want %v and %v", pauses, err, c.pauses, c.err)
				}
			})
		})
	}
}

// The end of the context ends an attempt and a pause, and its cause is the error.
func TestRetryEndsWithContext(t *testing.T) {
	interrupted := errors.New("interrupted")
	for name, once := range map[string]func(context.Context) attempt{
		"in a pause":    func(context.Context) attempt { return fails() },
		"in an attempt": func(ctx context.Context) attempt { <-ctx.Done(); return fails() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(context.Background())
				time.AfterFunc(500*time.Millisecond, func() { cancel(interrupted) })
				start := time.Now()
				if err := policy(Forever, Forever).retry(ctx, nil, once); err != interrupted || time.Since(start) != 500*time.Millisecond {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// If the time is over, the error says what happened last, and not that nothing came at the
// end.
func TestRetryOutOfTimeSaysWhatHappenedLast(t *testing.T) {
	hungUp := &Error{Kind: KindUnreachable, Msg: "hung up", Hint: "try again"}
	waits := func(ctx context.Context) attempt {
		<-ctx.Done()
		return attempt{err: interrupted(ctx, "can't reach x")}
	}
	fails := func(context.Context) attempt { return attempt{err: hungUp} }
	for name, c := range map[string]struct {
		script []func(context.Context) attempt
		want   string
	}{
		"in a pause":             {[]func(context.Context) attempt{fails, fails, fails, fails}, "out of time: hung up"},
		"in the next attempt":    {[]func(context.Context) attempt{fails, waits}, "out of time: hung up"},
		"in the first attempt":   {[]func(context.Context) attempt{waits}, "can't reach x: no answer within 10s"},
		"at the end of the last": {[]func(context.Context) attempt{func(ctx context.Context) attempt { <-ctx.Done(); return fails(ctx) }}, "no answer within 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				n := -1
				err := policy(Forever, Forever).retry(ctx, nil, func(ctx context.Context) attempt { n++; return c.script[n](ctx) })
				if err == nil || err.Error() != c.want || KindOf(err) != KindTimeout {
					t.Errorf("%v, not %s", err, c.want)
				}
			})
		})
	}
}

// A pause is between half and all of its bound, and no two clients have the same pauses.
func TestRetryJitter(t *testing.T) {
	p := newPauses(RetryPolicy{})
	if a, b := p.jitter(time.Hour), p.jitter(time.Hour); a == b && a == p.jitter(time.Hour) {
		t.Errorf("three pauses of %v", a)
	}
	for range 1000 {
		bound := p.bound
		if pause := p.next(); pause < bound/2 || pause > bound {
			t.Fatalf("a pause of %v for a bound of %v", pause, bound)
		}
		p.lasted(p.lasting)
	}
}
