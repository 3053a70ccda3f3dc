package proto

import (
	"math"
	"math/big"
	"time"
)

// Date is a date field of the wire, which may be seconds since 1970, RFC 3339
// text, or a CBOR date (tag 0 or 1). If it can't be read as a date, Time is zero and Raw
// holds the value, which is Encoded if it is an array or a map; without a value both are zero.
type Date struct {
	Time time.Time
	Raw  any
}

// Seconds since 1970 that have a four-digit year, as RFC 3339 needs.
var (
	minUnix = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC).Unix()
	maxUnix = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// Date reads a field as a date.
func (f Frame) Date(name string) Date {
	raw, ok := f.all()[name]
	if !ok {
		return Date{}
	}
	v := decodeSmall(raw)
	t, ok := dateOf(v)
	if !ok {
		return Date{Raw: v}
	}
	return Date{Time: t}
}

func dateOf(v any) (time.Time, bool) {
	var t time.Time
	switch v := v.(type) {
	case uint64:
		if v > uint64(maxUnix) {
			return t, false
		}
		t = time.Unix(int64(v), 0)
	case int64:
		t = time.Unix(v, 0)
	case float64:
		if math.IsNaN(v) || v < float64(minUnix) || v > float64(maxUnix) {
			return t, false
		}
		whole, part := math.Modf(v)
		// A float64 holds a date of today to about a microsecond.
		t = time.Unix(int64(whole), int64(math.Round(part*1e6))*1000)
	case string:
		var err error
		if t, err = time.Parse(time.RFC3339Nano, v); err != nil {
			return time.Time{}, false
		}
	case time.Time:
		t = v
	default:
		return t, false
	}
	if u := t.Unix(); u < minUnix || u > maxUnix {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// Size estimates the memory that the date takes beyond its struct, in bytes.
func (d Date) Size() int {
	switch raw := d.Raw.(type) {
	case string:
		return len(raw)
	case []byte:
		return len(raw)
	case Encoded:
		return len(raw)
	case big.Int:
		return raw.BitLen() / 8
	}
	return 0
}

// Seconds is a date as this project's server writes it: seconds since 1970.
func Seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
