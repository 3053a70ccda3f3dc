package cli

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Duration is a flag for a length of time above zero.
type Duration time.Duration

// Type returns what help calls the value.
func (d *Duration) Type() string { return "DURATION" }

// String returns the duration with its days. Zero is "0", which pflag takes for no
// default.
func (d *Duration) String() string {
	days, rest := time.Duration(*d)/day, time.Duration(*d)%day
	switch {
	case *d == 0:
		return "0"
	case days == 0:
		return rest.String()
	case rest == 0:
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%v", days, rest.Abs())
}

// Set reads a duration.
func (d *Duration) Set(s string) error {
	v, err := ParseDuration(s)
	switch {
	case err != nil:
		return err
	case v <= 0:
		return fmt.Errorf("%q is too short: it must be longer than 0", s)
	}
	*d = Duration(v)
	return nil
}

// ParseDuration reads what time.ParseDuration reads, with weeks or days in front: "1w",
// "1d12h". A week has 7 days, a day 24 hours. The error of a bare number names the unit
// that it lacks.
func ParseDuration(s string) (time.Duration, error) {
	v, err := parse(s)
	switch {
	case err != nil && isNumber(s):
		return 0, fmt.Errorf("%q has no unit: write %ss for seconds", s, s)
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration like 10s, 5m, 24h or 7d", s)
	}
	return v, nil
}

// isNumber reports whether s has only digits and points.
func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789.") == "" }

func parse(s string) (time.Duration, error) {
	if !strings.ContainsAny(s, "wd") {
		return time.ParseDuration(s)
	}
	rest, negative := strings.CutPrefix(s, "-")
	var v time.Duration
	for _, unit := range []struct {
		name string
		long time.Duration
	}{{"w", 7 * day}, {"d", day}} {
		number, after, found := strings.Cut(rest, unit.name)
		if !found {
			continue
		}
		if !isNumber(number) {
			return 0, errors.New("the weeks or days are not a number, or do not come first")
		}
		hours, err := time.ParseDuration(number + "h") // which reads fractions too
		each := unit.long / time.Hour
		if err != nil || hours > (math.MaxInt64-v)/each {
			return 0, errors.New("too many weeks or days")
		}
		v += each * hours
		rest = after
	}
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") || v > math.MaxInt64-more {
			return 0, errors.New("no duration after the weeks or days")
		}
		v += more
	}
	if negative {
		v = -v
	}
	return v, nil
}

// layouts are the ways to write a time with its date.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}

// ParseTime reads a point in time: with a date, as "15:04" or "15:04:05" of today, or as
// "today" or "yesterday" for the first moment of that day. A time without a zone is in
// the zone of now.
func ParseTime(s string, now time.Time) (t time.Time, ok bool) {
	year, month, day := now.Date()
	switch s {
	case "today":
		return startOfDay(year, month, day, now.Location()), true
	case "yesterday":
		return startOfDay(year, month, day-1, now.Location()), true
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, true
		}
	}
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), true
		}
	}
	return time.Time{}, false
}

// startOfDay returns the first moment of a day. That is not always midnight, and not always the
// midnight that time.Date takes: in some zones, summer time begins or ends at that hour.
func startOfDay(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	changed, changes := t.ZoneBounds()
	if t.Hour() == 23 { // the clocks skip midnight
		return changes
	}
	before := changed.Add(-1)
	if !changed.IsZero() && before.Format(time.DateOnly) == t.Format(time.DateOnly) { // it is midnight twice
		_, was := before.Zone()
		_, is := t.Zone()
		return t.Add(time.Duration(is-was) * time.Second)
	}
	return t
}
