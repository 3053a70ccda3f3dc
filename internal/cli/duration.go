package cli

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Duration is a flag for a length of time, longer than none.
type Duration time.Duration

// Type is what help calls the value.
func (d *Duration) Type() string { return "duration" }

// String writes a duration, with its days. None is "0", which pflag shows as no
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

// ParseDuration reads what time.ParseDuration reads, and weeks or days before it: "1w",
// "1d12h". A week has 7 days, a day 24 hours. A bare number gets an error that says
// what is missing.
func ParseDuration(s string) (time.Duration, error) {
	v, err := parse(s)
	switch {
	case err != nil && isNumber(s):
		return 0, fmt.Errorf("%q has no unit: did you mean %ss ?", s, s)
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration like 10s, 5m, 24h or 7d", s)
	}
	return v, nil
}

// isNumber tells whether s is digits and points alone.
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
		number, behind, found := strings.Cut(rest, unit.name)
		if !found {
			continue
		}
		if !isNumber(number) {
			return 0, errors.New("the weeks or days are no number, or do not come first")
		}
		hours, err := time.ParseDuration(number + "h") // it knows fractions too
		each := unit.long / time.Hour
		if err != nil || hours > (math.MaxInt64-v)/each {
			return 0, errors.New("too many weeks or days")
		}
		v += each * hours
		rest = behind
	}
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") || v > math.MaxInt64-more {
			return 0, errors.New("no duration behind the weeks or days")
		}
		v += more
	}
	if negative {
		v = -v
	}
	return v, nil
}
