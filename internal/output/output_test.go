package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/proto"
)

var at = time.Date(2016, 5, 15, 12, 0, 0, 0, time.UTC)

func TestMessageJSON(t *testing.T) {
	for name, c := range map[string]struct {
		m    proto.Message
		want string
	}{
		"all": {
			proto.Message{ID: 42, Date: proto.Date{Time: at}, From: "alice", To: "ops", Conference: "ops", Body: "hi", Extra: map[string]any{"b": int64(1), "a": nil}},
			`{"type":"message","id":42,"date":"2016-05-15T12:00:00Z","dialog":"ops","from":"alice","to":"ops","conference":"ops","own":true,"body":"hi","extra":{"a":null,"b":1}}`,
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
		got := string(AppendMessage(nil, c.m, "alice"))
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON", name)
		}
	}
}

func TestValues(t *testing.T) {
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
		{time.Unix(1e15, 0), "1000000000000000"}, {time.Unix(-1e15, 0), "-1000000000000000"}, {time.Unix(253402300799, 0), `"9999-12-31T23:59:59Z"`},
		{cbor.Tag{Number: 99, Content: "x"}, `"x"`}, {cbor.SimpleValue(7), "7"},
		{[]any{}, "[]"}, {[]any{"a", int64(1)}, `["a",1]`}, {map[string]any{"z": map[string]any{}, "a": []any{nil}}, `{"a":[null],"z":{}}`},
		{[]string{"a", "b"}, `["a","b"]`},
	} {
		if got := string(appendValue(nil, c.v)); got != c.want {
			t.Errorf("%v: %s, want %s", c.v, got, c.want)
		}
	}
}

func printed(t *testing.T, o Options, print func(*Printer) error) string {
	t.Helper()
	var out bytes.Buffer
	o.Now = func() time.Time { return at.Add(3 * time.Hour) }
	p := NewPrinter(&out, o)
	if err := print(p); err != nil {
		t.Fatal(err)
	}
	if out.Len() != 0 {
		t.Error("written before the flush")
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRecords(t *testing.T) {
	yes, no := true, false
	account := Account{Profile: "default", Server: "ws://h/", Login: "alice", Store: "file", Credentials: "token", ServerVersion: "skarod/1", Extensions: []string{"nonce"}, RoundTrip: 1500 * time.Microsecond}
	info := build.Info{Program: "skarod", Version: "1.2.3", Commit: "c6e7", Date: at, Modified: true, Go: "go1.26", OS: "linux", Arch: "arm64"}
	for _, c := range []struct {
		print      func(*Printer) error
		json, text string
	}{
		{func(p *Printer) error {
			return p.Contact(proto.Contact{Login: "bob", Name: "Bob B.", Online: &yes, Extra: map[string]any{"x": int64(1)}})
		}, `{"type":"contact","login":"bob","name":"Bob B.","online":true,"extra":{"x":1}}`, "bob  online  Bob B."},
		{func(p *Printer) error { return p.Contact(proto.Contact{Login: "bob", Online: &no}) }, `{"type":"contact","login":"bob","online":false}`, "bob  offline"},
		{func(p *Printer) error { return p.Contact(proto.Contact{}) }, `{"type":"contact","login":""}`, `""  -`},
		{
			func(p *Printer) error {
				return p.Contact(proto.Contact{Login: "ops", Extra: map[string]any{"conference": true}})
			},
			`{"type":"contact","login":"ops","extra":{"conference":true}}`, "ops  conference",
		},
		{
			func(p *Printer) error { return p.Conference("ops", at.Add(time.Millisecond), []string{"alice", "bob"}) },
			`{"type":"conference","name":"ops","created":"2016-05-15T12:00:00Z","members":["alice","bob"]}`, "2016-05-15 12:00  ops  alice  bob",
		},
		{func(p *Printer) error { return p.Conference("ops", at, nil) }, `{"type":"conference","name":"ops","created":"2016-05-15T12:00:00Z","members":[]}`, "2016-05-15 12:00  ops  -"},
		{func(p *Printer) error { return p.Sent(43, proto.Date{Time: at}, "bob", nil) }, `{"type":"sent","id":43,"date":"2016-05-15T12:00:00Z","to":"bob"}`, "sent to bob"},
		{func(p *Printer) error { return p.Sent(0, proto.Date{}, "bob", map[string]any{"q": "1"}) }, `{"type":"sent","to":"bob","extra":{"q":"1"}}`, "sent to bob"},
		{func(p *Printer) error { return p.RegisterType("open") }, `{"type":"register_type","register_type":"open"}`, "open"},
		{
			func(p *Printer) error { return p.Account(account) },
			`{"type":"account","profile":"default","server":"ws://h/","login":"alice","store":"file","credentials":"token","server_version":"skarod/1","extensions":["nonce"],"rtt_ms":1.5}`,
			"profile:         default\nserver:          ws://h/\nlogin:           alice\nstore:           file\ncredentials:     token\nserver version:  skarod/1\nextensions:      nonce\nround trip:      1.5ms",
		},
		{
			func(p *Printer) error { return p.Version(info) },
			`{"type":"version","program":"skarod","version":"1.2.3","commit":"c6e7","date":"2016-05-15T12:00:00Z","modified":true,"go":"go1.26","os":"linux","arch":"arm64"}`,
			"skarod 1.2.3\ncommit:      c6e7, and changes to it\ndate:        2016-05-15T12:00:00Z\nbuilt with:  go1.26\nbuilt for:   linux/arm64",
		},
		{
			func(p *Printer) error {
				return p.Version(build.Info{Program: "skarod", Version: "dev", Go: "go1.26", OS: "linux", Arch: "arm64"})
			},
			`{"type":"version","program":"skarod","version":"dev","go":"go1.26","os":"linux","arch":"arm64"}`,
			"skarod dev\nbuilt with:  go1.26\nbuilt for:   linux/arm64",
		},
	} {
		if got := printed(t, Options{JSON: true}, c.print); got != c.json+"\n" {
			t.Errorf("got %s want %s", got, c.json)
		}
		if got := printed(t, Options{}, c.print); got != c.text+"\n" {
			t.Errorf("got %q want %q", got, c.text)
		}
	}
}

func TestMessageText(t *testing.T) {
	today, before := proto.Date{Time: at}, proto.Date{Time: at.Add(-24 * time.Hour)}
	for _, c := range []struct {
		m    proto.Message
		want string
	}{
		{proto.Message{Date: today, From: "bob", To: "alice", Body: "hi"}, "12:00 bob: hi\n"},
		{proto.Message{Date: before, From: "alice", To: "bob", Body: "hi"}, "2016-05-14 12:00 alice → bob: hi\n"},
		{proto.Message{From: "bob", Conference: "ops", To: "ops", Body: "hi"}, "[ops] bob: hi\n"},
		{proto.Message{Date: proto.Date{Raw: "a\x1bb"}, From: "bob", Body: ""}, `"a\u001bb" bob: ` + "\n"},
		// A body can't look like another message's line, a login can't either.
		{proto.Message{From: "bob", Body: "x\n12:00 carol: forged\r12:01\n"}, "bob: x\n    12:00 carol: forged\\r12:01\n    \n"},
		{proto.Message{From: "bob\n12:00 carol", Body: "x"}, `"bob\n12:00 carol": x` + "\n"},
		{proto.Message{From: "b", Body: "\x1b]52;c;eA==\a\u009b31m\u202e\u202e tab\there"}, `b: \x1b]52;c;eA==\x07\x9b31m\u202e\u202e tab` + "\there\n"},
	} {
		if got := printed(t, Options{}, func(p *Printer) error { return p.Message(c.m, "alice") }); got != c.want {
			t.Errorf("got %q want %q", got, c.want)
		}
	}
	if got := printed(t, Options{Colour: true}, func(p *Printer) error { return p.Message(proto.Message{From: "bob", Body: "\x1b[31m"}, "alice") }); strings.Count(got, "\x1b") != 2 {
		t.Errorf("escapes other than our own: %q", got)
	}
}

// TestNameColours holds every colour to its contrast (WCAG 2.1, 1.4.3).
func TestNameColours(t *testing.T) {
	level := []float64{0, 95, 135, 175, 215, 255}
	linear := func(c float64) float64 {
		if c /= 255; c > 0.03928 {
			return math.Pow((c+0.055)/1.055, 2.4)
		}
		return c / 12.92
	}
	for _, c := range nameColours {
		n := int(c) - 16
		l := 0.2126*linear(level[n/36]) + 0.7152*linear(level[n/6%6]) + 0.0722*linear(level[n%6])
		if white, black := 1.05/(l+0.05), (l+0.05)/0.05; white < 4 || black < 4 {
			t.Errorf("colour %d: contrast %.2f with white, %.2f with black", c, white, black)
		}
	}
	if name("bob", true) == name("alice", true) || name("bob", false) != "bob" {
		t.Error("names and their colours")
	}
}

func TestWriteFailure(t *testing.T) {
	f := Failure{Kind: "refused", Message: "send to bob: no\nsuch \x1b[1muser", Status: "404", Hint: "look"}
	for _, c := range []struct {
		json, colour bool
		want         string
	}{
		{true, true, `{"error":{"kind":"refused","message":"send to bob: no\u000asuch \u001b[1muser","status":"404","hint":"look"}}` + "\n"},
		{false, false, "skaroctl: send to bob: no\\nsuch \\x1b[1muser\nhint: look\n"},
		{false, true, "\x1b[1;31mskaroctl:\x1b[0m send to bob: no\\nsuch \\x1b[1muser\n\x1b[1mhint:\x1b[0m look\n"},
	} {
		var b strings.Builder
		if err := WriteFailure(&b, "skaroctl", f, c.json, c.colour); err != nil || b.String() != c.want {
			t.Errorf("got %q want %q (%v)", b.String(), c.want, err)
		}
	}
}

func TestUseColour(t *testing.T) {
	for _, c := range []struct {
		mode     string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"auto", true, nil, true}, {"auto", false, nil, false},
		{"always", false, map[string]string{"NO_COLOR": "1"}, true}, {"never", true, map[string]string{"CLICOLOR_FORCE": "1"}, false},
		{"auto", true, map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, false}, {"auto", false, map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"auto", false, map[string]string{"CLICOLOR_FORCE": "0"}, false}, {"auto", true, map[string]string{"CLICOLOR": "0"}, false},
		{"auto", true, map[string]string{"TERM": "dumb"}, false},
	} {
		if got := UseColour(c.mode, c.terminal, func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestWriterErrorsComeBack(t *testing.T) {
	broken := errors.New("disk full")
	p := NewPrinter(brokenWriter{broken}, Options{JSON: true})
	if err := p.RegisterType("open"); err != nil {
		t.Errorf("before the buffer is full: %v", err)
	}
	for range 2 {
		if err := p.Flush(); !errors.Is(err, broken) {
			t.Errorf("flush: %v", err)
		}
	}
	if err := p.RegisterType("open"); !errors.Is(err, broken) {
		t.Errorf("after the error: %v", err)
	}
}

// FuzzStrings: whatever the text is, JSON reads it back as it was (repaired where
// it was not UTF-8), and nothing hostile is left in any form.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "é\x00\x1b\u009b\u202e", "\xff\xed\xa0\x80", `"\`, "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j := appendString(nil, s)
		var back string
		if err := json.Unmarshal(j, &back); err != nil {
			t.Fatalf("%q: %v", j, err)
		}
		want := string([]rune(s)) // each bad byte becomes U+FFFD
		if !reflect.DeepEqual(back, want) {
			t.Errorf("%q comes back as %q", s, back)
		}
		for form, text := range map[string]string{"json": string(j), "line": Line(s), "block": Block(s)} {
			if !utf8.ValidString(text) {
				t.Errorf("%s of %q is not UTF-8", form, s)
			}
			for _, r := range text {
				if hostile(r) && !(form == "block" && (r == '\n' || r == '\t')) {
					t.Errorf("%s of %q holds %q", form, s, r)
				}
			}
		}
	})
}

func BenchmarkMessageJSON(b *testing.B) {
	m := proto.Message{ID: 42, Date: proto.Date{Time: at}, From: "bob", To: "alice", Body: "disk almost full on web1"}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMessage(buf[:0], m, "alice")
	}
}
