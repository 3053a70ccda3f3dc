package fair

import (
	"testing"
	"time"
)

const (
	ms       = time.Millisecond
	paceRest = 250 * ms
)

// A user waits for what it took, unless it is alone, was idle before, or has waited long enough.
func TestWaitIsThatOfAShare(t *testing.T) {
	const mallory, alice = 1, 2
	start := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		others time.Duration   // how long before the end another user was active; negative means never
		took   []time.Duration // all at the start
		passed time.Duration   // from the start to the end
		wait   time.Duration
	}{
		{"nothing taken", 0, nil, 0, 0},
		{"the burst", 0, []time.Duration{paceBurst}, 0, 0},
		{"more than the burst", 0, []time.Duration{paceBurst, 4 * ms, 3 * ms}, 0, 7 * ms * paceShare},
		{"time passes", 0, []time.Duration{paceBurst, 4 * ms}, 10 * ms, 4*ms*paceShare - 10*ms},
		{"it is paid for", 0, []time.Duration{paceBurst + 4*ms}, 4 * ms * paceShare, 0},
		{"twice at once", 0, []time.Duration{paceBurst, paceBurst}, 0, paceBurst * paceShare},
		{"one slow transaction", 0, []time.Duration{time.Minute}, 0, paceRest},
		{"several of them", 0, []time.Duration{time.Minute, time.Minute}, 0, paceRest},
		{"alone", -1, []time.Duration{time.Minute}, 0, 0},
		{"another user was active", paceAlone, []time.Duration{time.Minute}, 0, paceRest},
		{"long ago", paceAlone + 1, []time.Duration{time.Minute}, 0, 0},
	} {
		p := NewPace(paceRest)
		end := start.Add(test.passed)
		if test.others >= 0 {
			p.Active(alice, end.Add(-test.others))
		}
		for _, d := range test.took {
			p.Active(mallory, start)
			p.Took(mallory, d, start)
		}
		p.Active(mallory, end)
		if got := p.Wait(mallory, end); got != test.wait {
			t.Errorf("%s: %v instead of %v", test.name, got, test.wait)
		}
		if got := p.Wait(alice, end); got != 0 {
			t.Errorf("%s: the other user waits %v", test.name, got)
		}
		if p.Alone(mallory, end) != (test.others < 0 || test.others > paceAlone) {
			t.Errorf("%s: alone is wrong", test.name)
		}
	}
}

// Of two active users, neither is alone, even if a third was active between them.
func TestAloneKnowsTheLastTwoUsers(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	p := NewPace(paceRest)
	for i, user := range []int64{1, 1, 2, 1, 1, 3, 3} {
		now = now.Add(paceAlone / 2)
		p.Active(user, now)
		alone := []bool{true, true, false, false, false, false, false}[i]
		if p.Alone(user, now) != alone {
			t.Errorf("activity %d of user %d: alone is %v", i, user, !alone)
		}
	}
	now = now.Add(paceAlone / 2)
	p.Active(3, now)
	if !p.Alone(3, now) || p.Alone(1, now) {
		t.Error("user 3 is not alone after a second, or user 1 is")
	}
}

// Users who all take more than a share don't wait for each other, but for a user who takes less.
func TestNobodyWaitsForAFlooder(t *testing.T) {
	const mallory, trudy, alice = 1, 2, 3
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	p := NewPace(paceRest)
	flood := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); now = now.Add(10 * ms) {
			for _, user := range []int64{mallory, trudy} {
				p.Active(user, now)
				if p.Wait(user, now) == 0 {
					p.Took(user, 5*ms, now)
				}
			}
		}
	}
	flood(2 * paceAlone)
	if p.Wait(mallory, now) != 0 || p.Wait(trudy, now) != 0 {
		t.Errorf("two flooders wait %v and %v", p.Wait(mallory, now), p.Wait(trudy, now))
	}
	p.Active(alice, now)
	flood(paceAlone / 2)
	if p.Wait(mallory, now) == 0 || p.Wait(trudy, now) == 0 || p.Wait(alice, now) != 0 {
		t.Errorf("beside alice, they wait %v and %v, and she %v", p.Wait(mallory, now), p.Wait(trudy, now), p.Wait(alice, now))
	}
}

// A Pace remembers the users who still have to wait, however many others there are.
func TestPaceForgetsThoseWhoHavePaid(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	p := NewPace(paceRest)
	p.Active(1, now)
	p.Active(2, now)
	for i := range int64(maxPaced - 1) {
		p.Took(10+i, ms, now)
	}
	now = now.Add(2 * paceBurst * paceShare)
	p.Took(1, 2*paceBurst, now)
	p.Took(2, 2*paceBurst, now)
	if len(p.due) != 2 || p.Wait(1, now) == 0 || p.Wait(2, now) == 0 {
		t.Errorf("%d users; they wait %v and %v", len(p.due), p.Wait(1, now), p.Wait(2, now))
	}
	for i := range int64(2 * maxPaced) {
		p.Took(i, paceBurst, now)
	}
	if len(p.due) > maxPaced {
		t.Errorf("%d users", len(p.due))
	}
}

// What is noted beyond the longest wait is lost, so it must not be given back later.
func TestTookReturnsWhatItNotes(t *testing.T) {
	p, now := NewPace(paceRest), time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for _, x := range []struct{ took, noted time.Duration }{
		{paceBurst, paceBurst},
		{ms, ms},
		{-ms, -ms},
		{time.Hour, paceRest / paceShare},
		{time.Hour, 0},
	} {
		if got := p.Took(1, x.took, now); got.Round(time.Microsecond) != x.noted.Round(time.Microsecond) {
			t.Errorf("of %v, %v is noted instead of %v", x.took, got, x.noted)
		}
	}
}
