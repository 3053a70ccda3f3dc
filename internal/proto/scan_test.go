package proto

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// list is a frame whose field "data" is an array of n items.
func list(n int, item string) []byte {
	head := []byte{0xa1, 0x64, 'd', 'a', 't', 'a', 0x9a, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	return append(head, strings.Repeat(item, n)...)
}

func TestFrameElementsAreBounded(t *testing.T) {
	const rest = 3 // the frame, the key and the array
	for name, c := range map[string]struct {
		frame []byte
		err   string
	}{
		"as many elements as possible": {list(maxFrameElements-rest, "\xa0"), ""},
		"one element more":             {list(maxFrameElements-rest+1, "\xa0"), "it has more than 1048576 elements"},
		"elements in elements":         {list((maxFrameElements-rest)/3+1, "\xa1\x60\xa0"), "it has more than 1048576 elements"},
		"elements in many arrays":      {list((maxFrameElements-rest)/1001+1, "\x99\x03\xe8"+strings.Repeat("\x00", 1000)), "it has more than 1048576 elements"},
		"chunks of a text":             {append([]byte("\xa1\x64data\x7f"), append(bytes.Repeat([]byte{0x60}, maxFrameElements), 0xff)...), "it has more than 1048576 elements"},
		"as many keys as possible":     {keys(maxPairs), ""},
		"one key more":                 {keys(maxPairs + 1), "a map in it has more than 4096 keys"},
		"as deep as possible":          {deep(maxDepth - 1), ""},
		"one level more":               {deep(maxDepth), "it is nested in more than 32 levels"},
		"tags are levels":              {append([]byte("\xa1\x64data"), append(bytes.Repeat([]byte{0xd8, 99}, maxDepth), 0)...), "it is nested in more than 32 levels"},
		"a length that lies":           {[]byte("\xa1\x64data\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x00"), "it ends in the middle"},
		"a break without a start":      {[]byte("\xa1\x64data\xff"), "byte 6 is not valid CBOR"},
		"a reserved length":            {[]byte("\xa1\x64data\x1c"), "byte 6 is not valid CBOR"},
		"an indefinite integer":        {[]byte("\xa1\x64data\x1f"), "byte 6 is not valid CBOR"},
		"a key without a value":        {[]byte("\xbf\x64data\xff"), "byte 6 is not valid CBOR"},
		"bytes in a text":              {[]byte("\xa1\x64data\x7f\x41a\xff"), "byte 7 is not valid CBOR"},
		"more behind it":               {[]byte("\xa1\x64data\x00\x00\x00"), "it is followed by 2 more bytes"},
		"a key that is an integer":     {[]byte("\xa1\x01\x00"), "it has a key that is not text, but an integer"},
		"a key that is bytes":          {[]byte("\xa1\x41a\x00"), "it has a key that is not text, but bytes"},
		"a key twice":                  {[]byte("\xa2\x61a\x00\x61a\x01"), `it has the key "a" twice`},
		"two keys that look the same":  {[]byte("\xa2\x61\xff\x00\x61\xfe\x01"), "it has the key \"\uFFFD\" twice"},
		"a key like a repaired one":    {[]byte("\xa2\x61\xff\x00\x63\xef\xbf\xbd\x01"), "it has the key \"\uFFFD\" twice"},
	} {
		_, err := Decode(c.frame)
		if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != "not a Skaro frame: "+c.err) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
	}
}

func keys(n int) []byte {
	b := []byte{0xb9, byte(n >> 8), byte(n)}
	for i := range n {
		b = append(b, 0x62, '0'+byte(i>>6), '0'+byte(i&0x3f), 0)
	}
	return b
}

// deep is a frame with n arrays in each other.
func deep(n int) []byte {
	return append(append([]byte("\xa1\x64data"), bytes.Repeat([]byte{0x81}, n)...), 0)
}

func TestArraysOfAResultAreBounded(t *testing.T) {
	for n, ok := range map[int]bool{maxEntries: true, maxEntries + 1: false} {
		f, err := Decode(list(n, "\xa0"))
		if err != nil {
			t.Fatal(err)
		}
		contacts, err := ParseContacts(f)
		messages, err2 := ParseMessages(f, "data")
		if ok != (err == nil && err2 == nil && len(contacts) == n && len(messages) == n) {
			t.Errorf("%d entries: %d, %v; %d, %v", n, len(contacts), err, len(messages), err2)
		}
	}
}

// What a result does not know is Go values only up to a bound, over all of its fields.
func TestExtraIsBounded(t *testing.T) {
	large := make([]any, maxValueElements*2/3)
	extra := ExtraOf(map[string]any{"a": large, "b": large, "c": "x"})
	values := extra.Values()
	a, _ := values["a"].([]any)
	b, _ := values["b"].(string)
	if len(a) != len(large) || !strings.HasPrefix(b, "h'9a00") || values["c"] == nil {
		t.Errorf("a has %d elements, b is %.20q, c is %v", len(a), b, values["c"])
	}
	if got := (Frame{fields: map[string]cbor.RawMessage{"a": mustEncode(make([]any, maxValueElements))}}).Value("a"); reflect.TypeOf(got).Kind() != reflect.String {
		t.Errorf("a value with more elements than a result may have is a %T", got)
	}
}

func TestValuesAreShownAsTheyCame(t *testing.T) {
	for item, want := range map[string]any{
		"\xc1\xf9\x7e\x00": math.NaN(), "\xc1\xf9\x7c\x00": math.Inf(1), "\xc1\xf9\xfc\x00": math.Inf(-1), // no year
		"\xc1\x1b\xff\xff\xff\xff\xff\xff\xff\xff": uint64(math.MaxUint64), "\xc1\x61x": `1("x")`, "\xc1\xf5": "1(true)", "\xc1\xf6": "1(null)",
		"\xc0\x65never": `0("never")`, "\xc0\x0c": "0(12)", "\xc0\x74" + "2016-13-15T12:00:00Z": `0("2016-13-15T12:00:00Z")`,
		"\xc2\x61x": "h'c26178'", "\xc3\x80": "h'c380'",
		"\xd8\x63\x61x":                cbor.Tag{Number: 99, Content: "x"},
		"\xa2\x41a\x01\x41b\x02":       `{h'61': 1, h'62': 2}`, // keys that JSON can't have
		"\xa2\x61\xff\x01\x61\xfe\x02": "h'a261ff0161fe02'",    // keys that JSON can't tell apart
		"\xa2\x61a\x01\x61a\x02":       `{"a": 1, "a": 2}`,
	} {
		f, err := Decode([]byte("\xa1\x64date" + item))
		if err != nil {
			t.Errorf("%q: %v", item, err)
			continue
		}
		got := f.Value("date")
		if n, ok := want.(float64); ok && math.IsNaN(n) {
			if got, ok := got.(float64); !ok || !math.IsNaN(got) {
				t.Errorf("%q is %v", item, got)
			}
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %#v, want %#v", item, got, want)
		}
		if d := f.Date("date"); !d.Time.IsZero() {
			t.Errorf("%q is the date %v", item, d.Time)
		}
	}
	for _, item := range []string{"\x80", "\xa1\x61a\x01", "\xd8\x63\x80"} {
		f, err := Decode([]byte("\xa1\x64date" + item))
		if d, _ := f.Date("date").Raw.(Encoded); err != nil || !reflect.DeepEqual(d.Value(), f.Value("date")) {
			t.Errorf("the date %q is %#v, %v", item, f.Date("date"), err)
		}
	}
}
