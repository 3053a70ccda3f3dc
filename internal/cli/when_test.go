package cli

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	// Clocks went back an hour in the night before: midnight was 25 hours ago.
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("SKIPPED: there are no time zones here; how to enable it: install tzdata")
	}
	now := time.Date(2026, 10, 25, 12, 30, 0, 0, berlin)
	for in, want := range map[string]time.Time{
		"2026-01-02T03:04:05Z": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05+02:00": time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
		"2026-01-02 03:04": time.Date(2026, 1, 2, 2, 4, 0, 0, time.UTC), "2026-01-02": time.Date(2026, 1, 1, 23, 0, 0, 0, time.UTC),
		"today": time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), "yesterday": time.Date(2026, 10, 23, 22, 0, 0, 0, time.UTC),
		"09:15": time.Date(2026, 10, 25, 8, 15, 0, 0, time.UTC), "00:00": time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), "23:59:58": time.Date(2026, 10, 25, 22, 59, 58, 0, time.UTC),
	} {
		if got, ok := ParseTime(in, now); !ok || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "24:00", "12:60", "12", "noon", "Today", "tomorrow", "2026-13-01", "01/02/2026", "2026-01-02T25:00"} {
		if got, ok := ParseTime(in, now); ok {
			t.Errorf("%q: %v", in, got)
		}
	}
}
