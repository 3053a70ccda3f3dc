package main

import (
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
)

func TestParseBound(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.FixedZone("", 2*60*60))
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, now.Location())
	for in, want := range map[string]session.Bound{
		"": {}, "42": {ID: 42}, "90m": {Time: now.Add(-90 * time.Minute)}, "-1h": {Time: now.Add(-time.Hour)}, "1d12h": {Time: now.Add(-36 * time.Hour)},
		"2026-01-02T03:04:00Z": {Time: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)}, "2026-01-02 03:04": {Time: at}, "2026-01-02T03:04": {Time: at},
		"2026-01-02": {Time: time.Date(2026, 1, 2, 0, 0, 0, 0, now.Location())}, "1w": {Time: now.AddDate(0, 0, -7)},
		"11:59": {Time: now.Add(-time.Minute)}, "today": {Time: now.Add(-12 * time.Hour)}, "yesterday": {Time: now.Add(-36 * time.Hour)},
		"2027-01-01": {Time: time.Date(2027, 1, 1, 0, 0, 0, 0, now.Location())},
	} {
		if got, err := parseBound("--since", in, noBound, now); err != nil || got.ID != want.ID || !got.Time.Equal(want.Time) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	if got, err := parseBound("--until", "12:01", noBound, now); err != nil || !got.Time.Equal(now.Add(time.Minute)) {
		t.Errorf("until a time that is still to come: %+v, %v", got, err)
	}
	for _, in := range []string{"0", "-5", "tomorrow", "12:01", "24:00", "2026-13-01", "5 m", "1h2d"} {
		if _, err := parseBound("--since", in, noBound, now); kindOf(err) != cli.KindUsage || !strings.Contains(err.Error(), in) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestHistoryParse(t *testing.T) {
	testParse(t, newHistoryCmd, []parseCase[historyOptions]{
		{name: "a login", args: []string{"bob"}, want: historyOptions{login: "bob"}},
		{
			name: "all flags", args: []string{"bob", "-n", "3", "--since", "2h", "--until", "1h"},
			want: historyOptions{login: "bob", limit: 3, limited: true, since: "2h", until: "1h"},
		},
		{name: "--limit 0", args: []string{"bob", "--limit", "0"}, want: historyOptions{login: "bob", limited: true}},
		{name: "no login", err: "history needs LOGIN"},
		{name: "no number", args: []string{"bob", "--limit", "many"}, err: "not a whole number"},
		{name: "an empty time", args: []string{"bob", "--since", ""}, err: "--since is empty"},
	})
}

// Wrong options are refused before a connection is made.
func TestHistoryRange(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		o   historyOptions
		err string
	}{
		{historyOptions{login: "bob", since: "2h", until: "1h", limit: 5, limited: true}, ""},
		{historyOptions{}, "the login is empty"},
		{historyOptions{login: "b\xff"}, "not UTF-8"},
		{historyOptions{login: "bob", limited: true}, "less than one message"},
		{historyOptions{login: "bob", since: "1h", until: "2h"}, "there is nothing between them"},
		{historyOptions{login: "bob", since: "x"}, "--since is"},
		{historyOptions{login: "bob", until: "x"}, "--until is"},
	} {
		r, err := c.o.historyRange(now)
		if (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || kindOf(err) != cli.KindUsage) {
			t.Errorf("%+v: %v", c.o, err)
		}
		if err == nil && (r.Limit != 5 || !r.Since.Time.Equal(now.Add(-2*time.Hour)) || !r.Until.Time.Equal(now.Add(-time.Hour))) {
			t.Errorf("%+v", r)
		}
	}
}
