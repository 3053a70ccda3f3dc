package main

import (
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
)

func TestBound(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.FixedZone("", 2*60*60))
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, now.Location())
	for in, want := range map[string]session.Bound{
		"": {}, "42": {ID: 42}, "90m": {Time: now.Add(-90 * time.Minute)}, "-1h": {Time: now.Add(-time.Hour)}, "1d12h": {Time: now.Add(-36 * time.Hour)},
		"2026-01-02T03:04:00Z": {Time: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)}, "2026-01-02 03:04": {Time: at}, "2026-01-02T03:04": {Time: at},
		"2026-01-02": {Time: time.Date(2026, 1, 2, 0, 0, 0, 0, now.Location())}, "1w": {Time: now.AddDate(0, 0, -7)},
		"11:59": {Time: now.Add(-time.Minute)}, "today": {Time: now.Add(-12 * time.Hour)}, "yesterday": {Time: now.Add(-36 * time.Hour)},
		"2027-01-01": {Time: time.Date(2027, 1, 1, 0, 0, 0, 0, now.Location())},
	} {
		if got, err := bound("--since", in, now); err != nil || got.ID != want.ID || !got.Time.Equal(want.Time) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	if got, err := bound("--until", "12:01", now); err != nil || !got.Time.Equal(now.Add(time.Minute)) {
		t.Errorf("until a time that is still to come: %+v, %v", got, err)
	}
	for _, in := range []string{"0", "-5", "tomorrow", "12:01", "24:00", "2026-13-01", "5 m", "1h2d"} {
		if _, err := bound("--since", in, now); kindOf(err) != cli.KindUsage || !strings.Contains(err.Error(), in) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
