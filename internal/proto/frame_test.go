package proto

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func TestRecordedFramesDecodeAndEncode(t *testing.T) {
	var rec recorded
	readJSON(t, "libskaro-0.3-frames.json", &rec)
	if len(rec.Frames) < 30 {
		t.Fatalf("only %d recorded frames", len(rec.Frames))
	}
	for i, r := range rec.Frames {
		raw, err := hex.DecodeString(r.Hex)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Decode(raw)
		if err != nil {
			t.Errorf("frame %d (%s): %v", i, r.Note, err)
			continue
		}
		got := map[string]any{}
		for name := range f.all() {
			got[name] = f.Value(name)
		}
		if want := plain(r.Value); !reflect.DeepEqual(plain(got), want) {
			t.Errorf("frame %d decodes to %v, want %v", i, got, want)
		}
		if r.From != "client" {
			continue
		}
		// What we send for the same request is the same CBOR value.
		fields := map[string]any{}
		for k, v := range r.Value {
			if k != "type" && k != "on_request" {
				fields[k] = v
			}
		}
		id, _ := f.Int("on_request")
		ours, err := EncodeRequest(f.Type(), id, fields)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := cbor.Unmarshal(ours, &a); err != nil {
			t.Fatal(err)
		}
		if err := cbor.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("frame %d: we send %v, libskaro sends %v", i, a, b)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	nested := bytes.Repeat([]byte{0x81}, 40)
	for name, b := range map[string][]byte{
		"empty":            nil,
		"garbage":          []byte("<html>"),
		"array":            enc(t, []int{1}),
		"truncated":        enc(t, map[string]any{"type": "info"})[:5],
		"trailing":         append(enc(t, map[string]any{"type": "info"}), 0),
		"duplicate key":    {0xa2, 0x61, 'a', 1, 0x61, 'a', 2},
		"integer key":      {0xa1, 1, 1},
		"too deep":         append(append([]byte{0xa1, 0x61, 'a'}, nested...), 1),
		"length lie":       {0xa1, 0x61, 'a', 0x9b, 0, 0, 0, 1, 0, 0, 0, 0},
		"map length lie":   {0xbb, 0, 0, 0, 1, 0, 0, 0, 0},
		"unfinished break": {0xbf, 0x61, 'a'},
	} {
		if f, err := Decode(b); err == nil {
			t.Errorf("%s: decodes to %v", name, f)
		}
	}
}

func TestDecodeKeepsOddFields(t *testing.T) {
	b := enc(t, map[string]any{
		"type": "show_message", "odd": map[int]any{1: "x"}, "bad date": cbor.Tag{Number: 0, Content: "never"},
		"big": uint64(math.MaxUint64), "bytes": []byte{1, 2}, "nothing": nil,
	})
	f, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	m := ParseMessage(f)
	want := map[string]any{"odd": `{1: "x"}`, "bad date": `0("never")`, "big": uint64(math.MaxUint64), "bytes": []byte{1, 2}, "nothing": nil}
	if !reflect.DeepEqual(m.Extra.Values(), want) {
		t.Errorf("extra: %#v", m.Extra.Values())
	}
	// A long value is not written in diagnostic notation, which may take very long.
	long := strings.Repeat("a", maxDiagnosis)
	f, err = Decode(enc(t, map[string]any{"odd": map[int]any{1: long}}))
	if v, _ := f.Value("odd").(string); err != nil || v != fmt.Sprintf("h'%x'", []byte(f.all()["odd"])) {
		t.Errorf("%.99s, %v", v, err)
	}
	f, err = Decode(enc(t, map[string]any{"odd": map[string]any{"body": long}}))
	if v := f.Describe(); err != nil || !strings.HasPrefix(v, `{"odd": {"body": "aaa`) || len(v) > 2*maxShownField {
		t.Errorf("%s, %v", v, err)
	}
	// A value with a wrong tag spoils nothing.
	f, err = Decode([]byte("\xa2\x64type\x64info\x64date\xc1\x61x"))
	if err != nil || f.Type() != "info" || f.Value("date") != `1("x")` {
		t.Errorf("%v, %v", f, err)
	}
	// Text that is not UTF-8 is repaired, indefinite lengths are read.
	f, err = Decode([]byte{0xbf, 0x64, 'b', 'o', 'd', 'y', 0x63, 'a', 0xff, 'b', 0xff})
	if err != nil || f.Text("body") != "a\uFFFDb" {
		t.Errorf("%v, %v", f, err)
	}
}

func TestExactTextRefusesTextThatIsNotUTF8(t *testing.T) {
	for name, c := range map[string]struct {
		field []byte
		want  string
		ok    bool
	}{
		"text":             {[]byte("\x63a\xcf\x80"), "aπ", true},
		"empty":            {[]byte("\x60"), "", true},
		"chunks":           {[]byte("\x7f\x61a\x61b\xff"), "ab", true},
		"the replacement":  {[]byte("\x63\xef\xbf\xbd"), "\uFFFD", true},
		"not UTF-8":        {[]byte("\x62a\xff"), "a\xff", false},
		"a lone surrogate": {[]byte("\x63\xed\xa0\x80"), "\xed\xa0\x80", false},
		"bytes":            {[]byte("\x41a"), "", false},
		"a number":         {[]byte{1}, "", false},
	} {
		f, err := Decode(append([]byte("\xa1\x64body"), c.field...))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, ok := f.ExactText("body"); got != c.want || ok != c.ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	if _, ok := (Frame{}).ExactText("body"); ok {
		t.Error("a missing field is text")
	}
}

func TestDescribeHidesSecrets(t *testing.T) {
	f, err := Decode(enc(t, map[string]any{
		"type": "authorize", "login": "alice", "password": "S1", "sid": "S2", "session_id": "S3", "token": "S4", "invite": "S5",
		"form": map[string]any{"login": "bob", "token": "S6", "list": []any{map[string]any{"sid": "S7"}}}, "body": strings.Repeat("ж", 5000),
	}))
	if err != nil {
		t.Fatal(err)
	}
	got := f.Describe()
	for _, secret := range []string{"S1", "S2", "S3", "S4", "S5", "S6", "S7"} {
		if strings.Contains(got, secret) {
			t.Errorf("%s is shown: %s", secret, got)
		}
	}
	if !strings.HasPrefix(got, `{"type": "authorize"`) || !strings.Contains(got, `"login": "alice"`) || !strings.Contains(got, `"login": "bob"`) || len(got) > 2*maxShownField {
		t.Errorf("described as %s", got)
	}
}

// A secret is hidden wherever it is in a frame.
func TestDescribeHidesSecretsInEveryShape(t *testing.T) {
	embedded := enc(t, map[string]any{"sid": "S1"})
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"behind a tag":         {cbor.Tag{Number: 99, Content: map[string]any{"sid": "S1"}}, `99({"sid": [secret]})`},
		"behind two tags":      {cbor.Tag{Number: 99, Content: cbor.Tag{Number: 98, Content: map[string]any{"sid": "S1"}}}, `99(98({"sid": [secret]}))`},
		"beside integer keys":  {map[any]any{1: 2, "token": "S1"}, `{1: 2, "token": [secret]}`},
		"below integer keys":   {map[int]any{1: map[string]any{"password": "S1"}}, `{1: {"password": [secret]}}`},
		"in an array":          {[]any{1, cbor.Tag{Number: 99, Content: []any{map[string]any{"invite": "S1"}}}}, `[1, 99([{"invite": [secret]}])]`},
		"under a key of bytes": {map[cbor.ByteString]any{"sid": "S1"}, `{h'736964': [secret]}`},
		"under a tagged key":   {cbor.RawMessage("\xa1\xd8\x63\x63sid\x62S1"), `{99("sid"): [secret]}`},
		"in embedded CBOR":     {cbor.Tag{Number: 24, Content: embedded}, `24(<<{"sid": [secret]}>>)`},
		"embedded twice":       {cbor.Tag{Number: 24, Content: enc(t, cbor.Tag{Number: 24, Content: embedded})}, `24(<<24(<<{"sid": [secret]}>>)>>)`},
		"embedded and long":    {cbor.Tag{Number: 24, Content: append(embedded, make([]byte, maxDiagnosis)...)}, `24([16392 bytes])`},
	} {
		f, err := Decode(enc(t, map[string]any{"x": c.value}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := f.Describe(); got != `{"x": `+c.want+`}` {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestIntFits(t *testing.T) {
	for item, want := range map[string]struct {
		n  int64
		ok bool
	}{
		"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff": {math.MaxInt64, true},
		"\x1b\x80\x00\x00\x00\x00\x00\x00\x00": {0, false}, // 2^63
		"\x1b\xff\xff\xff\xff\xff\xff\xff\xff": {0, false},
		"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff": {math.MinInt64, true},
		"\x3b\x80\x00\x00\x00\x00\x00\x00\x00": {0, false}, // -2^63-1
		"\xf9\x3c\x00":                         {0, false}, // 1.0
	} {
		f, err := Decode([]byte("\xa1\x62id" + item))
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := f.Int("id"); ok != want.ok || ok && n != want.n {
			t.Errorf("%x is %d, %v", item, n, ok)
		}
		if m := ParseMessage(f); (m.ID != 0) != (want.ok && want.n > 0) || m.ID != 0 && m.ID != want.n {
			t.Errorf("%x is the id %d", item, m.ID)
		}
		if _, err := ParseReply(f); (err == nil) != want.ok {
			t.Errorf("%x is the number of a reply: %v", item, err)
		}
	}
}

// FuzzDecode: for any input, every reader of a frame returns, and a frame that decodes can
// be described.
func FuzzDecode(f *testing.F) {
	var rec recorded
	readJSON(f, "libskaro-0.3-frames.json", &rec)
	for _, r := range rec.Frames {
		raw, _ := hex.DecodeString(r.Hex)
		f.Add(raw)
	}
	f.Add([]byte{0xbf, 0xff})
	f.Add(EncodePush(Message{ID: 1, From: "bob", To: "alice", Body: "hi", Fields: mustFields(f, map[string]any{"title": "x", "tags": []string{"a"}})}))
	f.Add(EncodePush(Message{ID: 1, Date: Date{Time: time.Unix(1, 0)}, From: "bob", To: "alice", Body: "hi"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := Decode(b)
		if err != nil {
			return
		}
		if n := allocated(func() { readEverything(b) }); n > allocatedMost(len(b)) {
			t.Errorf("%d bytes of input allocate %d", len(b), n)
		}
		m := ParseMessage(frame)
		if frame.message != nil {
			if other := ParseMessage(Frame{fields: frame.all()}); !reflect.DeepEqual(m, other) {
				t.Errorf("an ordinary message is %+v, its fields are %+v", m, other)
			}
		}
		if m.Dialog(m.From) != m.To {
			t.Errorf("dialog of our own message: %+v", m)
		}
	})
}

// allocatedMost is how much the readers of a frame may allocate for n bytes of input. The
// readers of an array of empty maps, a byte each, need most.
func allocatedMost(n int) int { return 1<<20 + 4096*n }

// Four times the input costs four times the work, whatever the server has filled it with.
func TestWorkGrowsAsTheInputDoes(t *testing.T) {
	list := func(n int, element any) []any { return slices.Repeat([]any{element}, n) }
	text := strings.Repeat("\x1b\u202e", 8)
	for what, make := range map[string]func(n int) any{
		"empty messages": func(n int) any { return map[string]any{"history": list(n, map[string]any{})} },
		"messages": func(n int) any {
			return map[string]any{"history": list(n, Message{ID: 1, From: "bob", To: "alice", Body: text}.Map())}
		},
		"odd messages": func(n int) any {
			return map[string]any{"history": list(n, map[string]any{"id": text, "from": 1, "x": nil})}
		},
		"contacts": func(n int) any {
			return map[string]any{"type": "request", "id": 1, "data": list(n, map[string]any{"login": text, "x": 1})}
		},
		"extensions": func(n int) any {
			return map[string]any{"type": "check_connection", "token": text, "extensions": list(n, text)}
		},
		"fields": func(n int) any {
			fields := map[string]any{}
			for i := range min(n, maxPairs) {
				fields[fmt.Sprint(i)] = text
			}
			return fields
		},
		"fields of messages": func(n int) any {
			return map[string]any{"history": list(n, map[string]any{"fields": map[string]any{"tags": list(20, text)}})}
		},
		"wrong fields":   func(n int) any { return map[string]any{"fields": map[string]any{"tags": list(n, text)}} },
		"a long text":    func(n int) any { return map[string]any{"type": "show_message", "body": strings.Repeat(text, n)} },
		"many integers":  func(n int) any { return map[string]any{"x": list(n, 1)} },
		"a long integer": func(n int) any { return map[string]any{"x": new(big.Int).Lsh(big.NewInt(1), uint(8*n))} },
		"bytes":          func(n int) any { return map[string]any{"x": bytes.Repeat([]byte{0xff}, n)} },
	} {
		const n = 1000
		work := func(n int) int {
			b := enc(t, make(n))
			readEverything(b) // caches of the library are filled once
			return allocated(func() { readEverything(b) })
		}
		if few, many := work(n), work(4*n); many > 5*few+1<<20 {
			t.Errorf("%s: 4 times the input allocates %.1f times the memory: %d and %d bytes", what, float64(many)/float64(few), few, many)
		}
	}
}

func TestFrameTypesAreExact(t *testing.T) {
	f, err := Decode(enc(t, map[string]any{
		"text": "1", "number": 1, "fraction": 1.0, "true": true, "null": nil, "list": []any{}, "map": map[string]any{},
		"simple": cbor.SimpleValue(7), "tagged": cbor.Tag{Number: 99, Content: "1"}, "tagged number": cbor.Tag{Number: 99, Content: 1}, "bytes": []byte("1"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	for name := range f.all() {
		_, isText := f.TextOK(name)
		_, isExact := f.ExactText(name)
		_, isInt := f.Int(name)
		_, isBool := f.Bool(name)
		_, isList := f.List(name)
		_, isMap := f.Map(name)
		for kind, got := range map[string]bool{"text": isText, "number": isInt, "true": isBool, "list": isList, "map": isMap} {
			if got != (name == kind) {
				t.Errorf("is %s a %s? %v", name, kind, got)
			}
		}
		if isExact != isText {
			t.Errorf("is %s exact text? %v", name, isExact)
		}
	}
	if _, ok := f.Int("missing"); ok || f.Has("missing") || !f.Has("null") {
		t.Error("a field that is missing")
	}
}
