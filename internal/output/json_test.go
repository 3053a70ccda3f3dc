package output

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestMessageJSONKeepsKeysOrderAndEscapes(t *testing.T) {
	for name, c := range map[string]struct {
		m    proto.Message
		want string
	}{
		"all": {
			proto.Message{ID: 42, Date: proto.Date{Time: at}, From: "alice", To: "ops", Conference: "ops", Body: "hi", Extra: proto.ExtraOf(map[string]any{"b": int64(1), "a": nil})},
			`{"type":"message","id":42,"date":"2016-05-15T12:00:00Z","dialog":"ops","from":"alice","to":"ops","conference":"ops","own":true,"body":"hi","extra":{"a":null,"b":1}}`,
		},
		"fields": {
			withFields(map[string]any{"title": "a\x1b\u202e", "max": uint64(math.MaxUint64), "min": int64(math.MinInt64), "yes": true, "tags": []string{"x\n"}, "none": []string{}}),
			`{"type":"message","dialog":"bob","from":"bob","to":"alice","body":"x\u000ay","fields":{"max":18446744073709551615,"min":-9223372036854775808,"none":[],"tags":["x\u000a"],"title":"a\u001b\u202e","yes":true}}`,
		},
		"nothing": {
			proto.Message{},
			`{"type":"message","dialog":"","from":"","to":"","body":""}`,
		},
		"another's": {
			proto.Message{ID: math.MaxInt64, Date: proto.Date{Time: at.Add(time.Microsecond)}, From: "bob", To: "alice", Body: `<a href="x">&\`},
			`{"type":"message","id":9223372036854775807,"date":"2016-05-15T12:00:00.000001Z","dialog":"bob","from":"bob","to":"alice","body":"<a href=\"x\">&\\"}`,
		},
		"a date that is none": {
			proto.Message{Date: proto.Date{Raw: "yesterday"}, From: "bob"},
			`{"type":"message","date":"yesterday","dialog":"bob","from":"bob","to":"","body":""}`,
		},
		"hostile": {
			proto.Message{From: "b\x1b[2Jb", Body: "\x00\n\r\t\x7f\u0085\u009b\u2028\u2029\u202e\u2066é👋\xff\u200d\U000e0041"},
			`{"type":"message","dialog":"b\u001b[2Jb","from":"b\u001b[2Jb","to":"","body":"\u0000\u000a\u000d\u0009\u007f\u0085\u009b\u2028\u2029\u202e\u2066é👋\ufffd` + "\u200d" + `\udb40\udc41"}`,
		},
	} {
		got := messageLine(t, c.m)
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON", name)
		}
	}
}

// messageLine is what WriteMessage writes, without the newline.
func messageLine(t *testing.T, m proto.Message) string {
	t.Helper()
	var b strings.Builder
	if err := WriteMessage(&b, m, "alice"); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestValuesAreExact(t *testing.T) {
	huge, _ := new(big.Int).SetString("18446744073709551617", 10)
	longer := new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), maxDecimal))
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "null"}, {true, "true"}, {int64(-5), "-5"}, {uint64(math.MaxUint64), "18446744073709551615"}, {*huge, "18446744073709551617"},
		{*longer, `"-0x1` + strings.Repeat("0", maxDecimal/4) + `"`},
		{1.5, "1.5"}, {1e300, "1e+300"}, {1479394801.25, "1479394801.25"}, {math.NaN(), `"NaN"`}, {math.Inf(-1), `"-Inf"`},
		{[]byte{0xfb, 0xff}, `"+/8="`}, {at, `"2016-05-15T12:00:00Z"`},
		{time.Unix(253402300799, 0), `"9999-12-31T23:59:59Z"`},
		{cbor.Tag{Number: 99, Content: "x"}, `"x"`}, {cbor.SimpleValue(7), "7"},
		{[]any{}, "[]"}, {[]any{"a", int64(1)}, `["a",1]`}, {map[string]any{"z": map[string]any{}, "a": []any{nil}}, `{"a":[null],"z":{}}`},
		{[]string{"a", "b"}, `["a","b"]`},
	} {
		if got := valueText(c.v); got != c.want {
			t.Errorf("%v: %s, want %s", c.v, got, c.want)
		}
	}
}

// TestJSONIsAsRecorded compares the JSON of many frames with recorded JSON, byte by byte.
// A line of testdata/json.golden is the kind of result, its CBOR in hexadecimal, and JSON.
func TestJSONIsAsRecorded(t *testing.T) {
	golden, err := os.ReadFile("testdata/json.golden")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		kind, rest, _ := strings.Cut(line, " ")
		digits, want, _ := strings.Cut(rest, " ")
		raw, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		f, err := proto.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		got := printed(t, Options{JSON: true}, func(p *Printer) error {
			switch kind {
			case "message":
				return p.Message(proto.ParseMessage(f), "alice")
			case "push":
				return p.Push(f)
			case "contact":
				return p.Contact(proto.ParseContact(f))
			}
			r, err := proto.ParseReply(f)
			return errors.Join(err, p.Reply(r))
		})
		if got != want {
			t.Errorf("%s %s:\n got %swant %s", kind, f.Describe(), got, want)
		}
	}
}

func BenchmarkMessageJSON(b *testing.B) {
	m := proto.Message{ID: 42, Date: proto.Date{Time: at}, From: "bob", To: "alice", Body: "disk almost full on web1"}
	p := NewPrinter(io.Discard, Options{JSON: true})
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Message(m, "alice"); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzMessageJSON: a message with any text and any CBOR in a further field is one safe line of
// JSON, which gives the text back and is no longer than the input justifies.
func FuzzMessageJSON(f *testing.F) {
	f.Add(int64(1), "bob", "ops", "alice", "hi", []byte("\xf6"))
	f.Add(int64(1)<<62, "a\x1b\u009b", "\u202e", "\xff", "\u2028\\\"\x00", []byte("\xc1\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00"))
	f.Add(int64(0), "", "", "", "", []byte("\xa2\x41\xff\x01\x41\xfe\x02"))
	f.Add(int64(-1), "", "", "", "", []byte("\x82\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00\xd8\x63\xf9\x7e\x00"))
	f.Fuzz(func(t *testing.T, id int64, from, conference, to, body string, field []byte) {
		m := proto.Message{ID: id, From: from, Conference: conference, To: to, Body: body}
		frame, err := proto.Decode(append([]byte("\xa1\x65field"), field...))
		if err == nil {
			m.Extra = frame.Extra()
			m.Date = frame.Date("field")
		}
		line := []byte(messageLine(t, m))
		if size := len(from) + len(conference) + len(to) + len(body) + len(field); len(line) > 1024+24*size {
			t.Errorf("%d bytes of input are %d of JSON", size, len(line))
		}
		if c := forbidden.FindString(string(line)); c != "" || !utf8.Valid(line) {
			t.Errorf("%q has %+q", line, c)
		}
		var got struct {
			Type, From, To, Body, Dialog, Conference string
			ID                                       json.Number
			Extra                                    map[string]any
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		repaired := func(s string) string { return string([]rune(s)) }
		if got.Type != "message" || got.From != repaired(from) || got.To != repaired(to) || got.Body != repaired(body) || got.Conference != repaired(conference) ||
			got.Dialog != repaired(m.Dialog("alice")) || id != 0 && got.ID.String() != fmt.Sprint(id) || len(got.Extra) != len(m.Extra) {
			t.Errorf("%+v is shown as %q", m, line)
		}
	})
}

// A line of JSON is written as it is made: a text of control characters takes six times its
// length there.
func TestLongLineIsWrittenInParts(t *testing.T) {
	long := strings.Repeat("\x1b", spillSize) + strings.Repeat("é", spillSize) + "\xff"
	m := proto.Message{ID: 1, From: "bob", To: long, Body: long, Extra: proto.ExtraOf(map[string]any{"text": long, "bytes": []byte(long), "list": []any{long, long}})}
	var got struct {
		To, Body string
		Extra    struct {
			Text, Bytes string
			List        []string
		}
	}
	largest := 0
	var line strings.Builder
	p := NewPrinter(writerFunc(func(b []byte) (int, error) {
		largest = max(largest, len(b))
		return line.Write(b)
	}), Options{JSON: true})
	if err := errors.Join(p.Message(m, "alice"), p.Flush()); err != nil {
		t.Fatal(err)
	}
	if limit := 4 * spillSize; largest > limit {
		t.Errorf("one write has %d bytes, more than %d", largest, limit)
	}
	if line.String() != messageLine(t, m)+"\n" {
		t.Error("the parts are not the line")
	}
	if err := json.Unmarshal([]byte(line.String()), &got); err != nil {
		t.Fatal(err)
	}
	want := strings.ToValidUTF8(long, "\uFFFD")
	for _, text := range append(got.Extra.List, got.To, got.Body, got.Extra.Text) {
		if text != want {
			t.Errorf("a text of %d bytes comes back with %d", len(want), len(text))
		}
	}
	if b, err := base64.StdEncoding.DecodeString(got.Extra.Bytes); err != nil || string(b) != long {
		t.Errorf("the bytes don't come back: %v", err)
	}
}

// writerFunc is a function as an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
