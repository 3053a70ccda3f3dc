package cli

import (
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"10s": 10 * time.Second, "1m30s": 90 * time.Second, "-1h": -time.Hour, "0s": 0, "0": 0,
		"1d": 24 * time.Hour, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour, "2d1m500ms": 48*time.Hour + time.Minute + 500*time.Millisecond,
		"-1d12h": -36 * time.Hour, "1w": 168 * time.Hour, "1w2d3h": 219 * time.Hour, "0.5w": 84 * time.Hour, "-2w1h": -337 * time.Hour,
		"2w0d": 336 * time.Hour, "0d": 0, "106751d": 106751 * 24 * time.Hour,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for in, says := range map[string]string{
		"5": "write 5s for seconds", "1.5": "write 1.5s for seconds", "": "is not a duration like", "x": "is not a duration like", "5 m": "is not a duration like",
		"d": "is not a duration", "1h2d": "is not a duration", "1d-2h": "is not a duration", "1d+2h": "is not a duration", "1d2": "is not a duration",
		"1d2d": "is not a duration", "+1d": "is not a duration", "yesterday": "is not a duration", "w": "is not a duration", "1w2": "is not a duration", "1d1w": "is not a duration", "1w1w": "is not a duration", "1w-1d": "is not a duration",
		"1h1w": "is not a duration", "15251w": "is not a duration",
		"106752d": "is not a duration", "106751d24h": "is not a duration", "99999999999d": "is not a duration",
	} {
		if got, err := ParseDuration(in); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), in) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func TestDuration(t *testing.T) {
	for in, says := range map[string]string{
		"5": "write 5s for seconds", "x": "not a duration", "": "not a duration",
		"0s": "must be longer than 0", "-1s": "must be longer than 0", "0d": "must be longer than 0", "-1d": "must be longer than 0",
	} {
		var d Duration
		if err := d.Set(in); err == nil || !strings.Contains(err.Error(), says) || d != 0 {
			t.Errorf("%q: %v, %v", in, time.Duration(d), err)
		}
	}
	for in, want := range map[string]string{"10s": "10s", "90s": "1m30s", "24h": "1d", "7d": "7d", "1d12h": "1d12h0m0s", "25h": "1d1h0m0s"} {
		var d, again Duration
		if err := d.Set(in); err != nil || d.String() != want {
			t.Errorf("%q: %v, %v", in, &d, err)
		}
		if err := again.Set(d.String()); err != nil || again != d {
			t.Errorf("%v is read as %v, %v", &d, &again, err)
		}
	}
	if none := new(Duration); none.String() != "0" {
		t.Errorf("none is %v", none)
	}
}

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
