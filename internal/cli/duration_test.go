package cli

import (
	"fmt"
	"regexp"
	"strconv"
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
	// The day before may have 25 hours, or 23.
	for _, c := range []struct{ now, yesterday time.Time }{
		{time.Date(2026, 10, 26, 12, 30, 0, 0, berlin), time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC)},
		{time.Date(2026, 10, 26, 0, 30, 0, 0, berlin), time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC)},
		{time.Date(2026, 3, 30, 12, 30, 0, 0, berlin), time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC)},
		{time.Date(2026, 3, 30, 0, 30, 0, 0, berlin), time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC)},
	} {
		if got, ok := ParseTime("yesterday", c.now); !ok || !got.Equal(c.yesterday) {
			t.Errorf("yesterday of %v is %v, %v; want %v", c.now, got, ok, c.yesterday)
		}
	}
	for _, in := range []string{"", "24:00", "12:60", "12", "noon", "Today", "tomorrow", "2026-13-01", "01/02/2026", "2026-01-02T25:00"} {
		if got, ok := ParseTime(in, now); ok {
			t.Errorf("%q: %v", in, got)
		}
	}
}

// FuzzDuration: a duration is the sum of its parts, where a week has 168 hours and a day 24.
// What a flag holds reads back as it is shown.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"10s", "1w2d3h", "-1d12h", "1.5d", "0", "106751d24h", "5", "1d-2h", "0.1w0.1d", "00007d", "1d.5h"} {
		f.Add(s)
	}
	parts := regexp.MustCompile(`^(-?)(?:(\d{1,4})w)?(?:(\d{1,4})d)?([^wd]*)$`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseDuration(s)
		if p := parts.FindStringSubmatch(s); p != nil && p[2]+p[3] != "" && p[4] != "0" {
			weeks, _ := strconv.Atoi(p[2])
			days, _ := strconv.Atoi(p[3])
			want, wantErr := time.ParseDuration(fmt.Sprintf("%s%dh%s", p[1], 168*weeks+24*days, p[4]))
			if (err == nil) != (wantErr == nil) || err == nil && got != want {
				t.Errorf("%q is %v, %v, not %v, %v", s, got, err, want, wantErr)
			}
		}
		var d, again Duration
		if d.Set(s) != nil {
			return
		}
		if err := again.Set(d.String()); err != nil || again != d {
			t.Errorf("%q is shown as %s, which is %s, %v", s, &d, &again, err)
		}
	})
}

// zones change their clocks in every way: at 2:00, at midnight, by half an hour, by a whole day.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Havana", "Asia/Beirut", "America/Sao_Paulo", "America/Asuncion", "Australia/Lord_Howe",
	"Asia/Kolkata", "Pacific/Apia", "America/Santiago", "Atlantic/Azores", "Asia/Tehran", "Asia/Amman",
}

// FuzzTime: "today" and "yesterday" are the first moments of these days in every zone and at
// every change of summer time; a time of day is today's; a time with a date reads back.
func FuzzTime(f *testing.F) {
	for i := range zones {
		f.Add("today", int64(1463313600), uint8(i))
		f.Add("2016-05-15 12:00", int64(1463313600), uint8(i))
	}
	f.Add("yesterday", int64(1682632800), uint8(3)) // in Cairo, 28 April 2023 began at 1:00
	f.Add("today", int64(1541300400), uint8(6))     // in São Paulo, 4 November 2018 began at 1:00
	f.Add("yesterday", int64(1699246800), uint8(4)) // in Havana, 5 November 2023 had 0:30 twice
	f.Add("today", int64(1635498000), uint8(14))    // in Amman, 29 October 2021 had
	f.Add("yesterday", int64(1793012400), uint8(1)) // the day before, 25 October 2026, had 25 hours
	f.Add("23:59:59", int64(0), uint8(1))
	f.Add("2016-05-15T12:00:00.5+02:00", int64(0), uint8(1))
	f.Fuzz(func(t *testing.T, s string, unix int64, zone uint8) {
		place, err := time.LoadLocation(zones[int(zone)%len(zones)])
		if err != nil {
			t.Fatal(err)
		}
		const years = 4_000_000_000 // until 2096
		now := time.Unix(max(unix%years, -unix%years), 0).In(place)
		for word, ago := range map[string]int{"today": 0, "yesterday": 1} {
			got, ok := ParseTime(word, now)
			day := time.Date(now.Year(), now.Month(), now.Day()-ago, 12, 0, 0, 0, time.UTC).Format(time.DateOnly)
			if place.String() == "Pacific/Apia" && day == "2011-12-30" {
				continue // there was no such day
			}
			if !ok || got.Format(time.DateOnly) != day || got.Add(-1).Format(time.DateOnly) == got.Format(time.DateOnly) {
				t.Errorf("%s at %v is %v, %v", word, now, got, ok)
			}
		}
		got, ok := ParseTime(s, now)
		if !ok {
			return
		}
		again, ok := ParseTime(got.Format(time.RFC3339Nano), now)
		if year := got.Year(); year >= 0 && year <= 9999 && (!ok || !again.Equal(got)) && got.Format("05") == got.UTC().Format("05") { // RFC 3339 has no zones with seconds
			t.Errorf("%q is %v, which reads as %v, %v", s, got, again, ok)
		}
	})
}
