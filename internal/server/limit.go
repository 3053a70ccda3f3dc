package server

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limit is a limit of Options, with the name that its refusals use.
type Limit struct {
	Name    string
	About   string // what it bounds
	Default string

	set      func(o *Options, value string) error
	complete func(o *Options) error // replaces zero with the default
	value    func(o *Options) string
	copy     func(to, from *Options)
}

// changeable are the limits that SetLimits changes while the server runs: those that are read
// under the locks that it takes.
var changeable = []string{
	maxConnections, reservedConnections, maxConnectionsPerUser, maxConnectionsPerAddress, maxUnauthenticatedPerAddress,
	maxSessions, sessionTime, maxWaitingLogins, loginDelay,
}

// ChangeableLimits returns the names of the limits that SetLimits changes.
func ChangeableLimits() []string { return slices.Clone(changeable) }

// SetLimits changes the limits that can change while the server runs. It returns the names of
// those that changed, and of those that a server takes only when it starts.
func (s *Server) SetLimits(o Options) (changed, later []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links.mu.Lock()
	defer s.links.mu.Unlock()
	s.guesses.mu.Lock()
	defer s.guesses.mu.Unlock()
	for _, l := range limits {
		switch {
		case l.value(&s.o) == l.value(&o):
		case slices.Contains(changeable, l.Name):
			l.copy(&s.o, &o)
			changed = append(changed, l.Name)
		default:
			later = append(later, l.Name)
		}
	}
	return changed, later
}

// Limits returns every limit, in the order of docs/server-reference.md.
func Limits() []Limit { return slices.Clone(limits) }

// SetLimit changes the limit with a name: to a number, a size such as 16KiB, or a time such
// as 30s.
func (o *Options) SetLimit(name, value string) error {
	i := slices.IndexFunc(limits, func(l Limit) bool { return l.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no limit %q", name)
	}
	return limits[i].set(o, value)
}

// limited says what a limit is, and how it is changed: a refusal ends with it. It panics if
// there is no such limit.
func (o *Options) limited(name string) string {
	i := slices.IndexFunc(limits, func(l Limit) bool { return l.Name == name })
	return fmt.Sprintf("%s is %s; the server's operator can change it with --limit", name, limits[i].value(o))
}

// count makes a limit that is a number of things.
func count(name string, byDefault int, about string, field func(*Options) *int) Limit {
	return newLimit(name, byDefault, about, field, strconv.Atoi, strconv.Itoa, "a whole number, like 100")
}

// size makes a limit that is a number of bytes.
func size(name string, byDefault int, about string, field func(*Options) *int) Limit {
	return newLimit(name, byDefault, about, field, parseSize, sizeText, "a number of bytes, like 65536 or 64KiB")
}

// span makes a limit that is a time.
func span(name string, byDefault time.Duration, about string, field func(*Options) *time.Duration) Limit {
	return newLimit(name, byDefault, about, field, time.ParseDuration, spanText, "a time, like 30s or 5m")
}

func newLimit[T int | time.Duration](name string, byDefault T, about string, field func(*Options) *T, parse func(string) (T, error), text func(T) string, form string) Limit {
	return Limit{
		Name: name, About: about, Default: text(byDefault),
		set: func(o *Options, value string) error {
			v, err := parse(value)
			if err != nil || v <= 0 {
				return fmt.Errorf("%s is %q, not %s", name, value, form)
			}
			*field(o) = v
			return nil
		},
		complete: func(o *Options) error {
			if *field(o) < 0 {
				return fmt.Errorf("negative %s", name)
			}
			*field(o) = cmp.Or(*field(o), byDefault)
			return nil
		},
		value: func(o *Options) string { return text(*field(o)) },
		copy:  func(to, from *Options) { *field(to) = *field(from) },
	}
}

var sizeUnits = []struct {
	name  string
	bytes int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseSize(s string) (int, error) {
	for _, u := range sizeUnits {
		if number, ok := strings.CutSuffix(s, u.name); ok {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err == nil && n > int(^uint(0)>>1)/u.bytes {
				err = strconv.ErrRange
			}
			return n * u.bytes, err
		}
	}
	return strconv.Atoi(s)
}

func sizeText(n int) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// spanText writes 5m0s as 5m.
func spanText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
