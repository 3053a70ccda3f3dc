package proto

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func TestDateReadsEveryForm(t *testing.T) {
	at := time.Date(2016, 5, 15, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		in   any
		want any // a time, or what comes through raw
	}{
		"integer":        {at.Unix(), at},
		"float":          {float64(at.Unix()) + 0.25, at.Add(250 * time.Millisecond)},
		"before 1970":    {-1.5, time.Date(1969, 12, 31, 23, 59, 58, 500000000, time.UTC)},
		"text":           {"2016-05-15T14:00:00+02:00", at},
		"tag 0":          {cbor.Tag{Number: 0, Content: "2016-05-15T12:00:00Z"}, at},
		"tag 1":          {cbor.Tag{Number: 1, Content: at.Unix()}, at},
		"tag 1 float":    {cbor.Tag{Number: 1, Content: float64(at.Unix()) + 0.5}, at.Add(500 * time.Millisecond)},
		"words":          {"yesterday", "yesterday"},
		"milliseconds":   {uint64(1479394801000000), uint64(1479394801000000)},
		"infinite":       {math.Inf(1), math.Inf(1)},
		"the year 10000": {"10000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"},
		"boolean":        {true, true},
	} {
		f, err := Decode(enc(t, map[string]any{"date": c.in}))
		if err != nil {
			t.Fatal(err)
		}
		got := f.Date("date")
		if want, ok := c.want.(time.Time); ok {
			if !got.Time.Equal(want) || got.Raw != nil || got.Time.Location() != time.UTC {
				t.Errorf("%s: %+v, want %v", name, got, want)
			}
		} else if !got.Time.IsZero() || !reflect.DeepEqual(got.Raw, c.want) {
			t.Errorf("%s: %+v, want raw %v", name, got, c.want)
		}
	}
	if d := (Frame{}).Date("date"); d != (Date{}) {
		t.Errorf("a missing date is %+v", d)
	}
}
