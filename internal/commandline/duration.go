package commandline

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

// ParseDuration reads what time.ParseDuration reads, and days before it: "1d",
// "1d12h". A day has 24 hours. A bare number gets an error that says what is missing.
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
	number, rest, found := strings.Cut(s, "d")
	if !found {
		return time.ParseDuration(s)
	}
	bare, negative := strings.CutPrefix(number, "-")
	if !isNumber(bare) || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return 0, errors.New("the days are no number, or do not come first")
	}
	hours, err := time.ParseDuration(bare + "h") // it knows fractions too
	if err != nil || hours > math.MaxInt64/24 {
		return 0, errors.New("too many days")
	}
	v := 24 * hours
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || v > math.MaxInt64-more {
			return 0, errors.New("no duration behind the days")
		}
		v += more
	}
	if negative {
		v = -v
	}
	return v, nil
}
