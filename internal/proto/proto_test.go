package proto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// recorded is testdata/libskaro-0.3-frames.json: frames recorded between
// libskaro 0.3 and a loopback server.
type recorded struct {
	Frames []struct {
		From  string         `json:"from"`
		Hex   string         `json:"hex"`
		Value map[string]any `json:"value"`
		Note  string         `json:"note"`
	} `json:"frames"`
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// plain turns a value of either decoder into one that compares: integers as
// their decimal text.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = plain(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	case uint64, int64, int, json.Number:
		return fmt.Sprint(v)
	}
	return v
}

func TestRecordedFrames(t *testing.T) {
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
		for name := range f {
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

func TestRecordedFramesParse(t *testing.T) {
	var rec recorded
	readJSON(t, "libskaro-0.3-frames.json", &rec)
	var messages []string
	replies := map[string]int{}
	for _, r := range rec.Frames {
		if r.From != "server" {
			continue
		}
		raw, _ := hex.DecodeString(r.Hex)
		f, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		switch f.Type() {
		case TypeGreeting:
			g, err := ParseGreeting(f)
			if err != nil || g.Challenge != "4f1d0a9e7b3c" || g.Server != "" || g.Has(ExtNonce) {
				t.Errorf("greeting: %+v, %v", g, err)
			}
		case TypeReply:
			r, err := ParseReply(f)
			if err != nil {
				t.Error(err)
			}
			if !r.OK() && r.Info != "refused" {
				t.Errorf("refusal without its reason: %+v", r)
			}
			replies[r.For]++
			if r.OK() && r.For == TypeGetContacts {
				if c, err := ParseContacts(r.Fields); err != nil || len(c) != 1 || c[0].Login != "bob" || c[0].Online != nil {
					t.Errorf("contacts: %+v, %v", c, err)
				}
			}
			if r.OK() && r.For == TypeGetHistory {
				if m, err := ParseMessages(r.Fields, "history"); err != nil || len(m) != 1 || m[0].Body != "hi" || m[0].Date != (Date{}) {
					t.Errorf("history: %+v, %v", m, err)
				}
			}
		case TypeShowMessage:
			m := ParseMessage(f)
			messages = append(messages, fmt.Sprintf("%s/%s>%s/%s/%s", m.Dialog("alice"), m.From, m.To, m.Body, m.Date.Time.Format(time.RFC3339)))
			if m.Extra != nil {
				t.Errorf("extra in %+v", m)
			}
		}
	}
	want := []string{
		"bob/bob>alice/hello/2016-11-17T15:00:01Z",
		"bob/alice>bob/sent elsewhere/2016-11-17T15:00:02Z",
		"ops/bob>ops/in the room/2016-11-17T15:00:03Z",
	}
	if !reflect.DeepEqual(messages, append(want, want...)) {
		t.Errorf("messages: %q", messages)
	}
	for _, name := range []string{TypeRegisterType, TypeAuthorize, TypeSessionRestore, TypeGetContacts, TypeGetHistory, TypeSendMessage} {
		if replies[name] == 0 {
			t.Errorf("no recorded reply for %s", name)
		}
	}
}

func TestAnswerVectors(t *testing.T) {
	var vectors struct {
		Cases []struct {
			Password  string `json:"password"`
			Challenge string `json:"challenge"`
			Hex       string `json:"hmac_sha512_hex"`
		} `json:"cases"`
	}
	readJSON(t, "authorize-hmac.json", &vectors)
	if len(vectors.Cases) != 8 {
		t.Fatalf("%d cases", len(vectors.Cases))
	}
	for i, c := range vectors.Cases {
		token := NewToken(c.Password)
		back, err := ParseToken(token.Text() + "\n")
		if err != nil {
			t.Fatal(err)
		}
		bin, err := TokenFromBytes(token.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, tok := range []Token{token, back, bin} {
			if got := tok.Answer(c.Challenge); got != c.Hex {
				t.Errorf("case %d: answer %s, want %s", i, got, c.Hex)
			}
			if !tok.Verify(c.Challenge, c.Hex) || tok.Verify(c.Challenge+"x", c.Hex) || tok.Verify(c.Challenge, "") {
				t.Errorf("case %d: Verify", i)
			}
		}
	}
}

func TestTokenIsHidden(t *testing.T) {
	token := NewToken("correct horse")
	secret := strings.TrimPrefix(token.Text(), tokenPrefix)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, token); strings.Contains(got, secret[:8]) || got != "[token]" {
			t.Errorf("%s shows %s", verb, got)
		}
		if got := fmt.Sprintf(verb, struct{ T Token }{token}); !strings.Contains(got, "[token]") {
			t.Errorf("%s in a struct shows %s", verb, got)
		}
	}
	if token.IsZero() || !(Token{}).IsZero() || len(token.Text()) != 185 {
		t.Errorf("IsZero or the length %d is wrong", len(token.Text()))
	}
}

func TestParseTokenRefuses(t *testing.T) {
	good := NewToken("x").Text()
	for _, bad := range []string{"", "x", "skaro-token-2:" + good[14:], good[:len(good)-1], good + "A", good[:20] + "!" + good[21:], good[:100] + "\n" + good[100:]} {
		if _, err := ParseToken(bad); err == nil {
			t.Errorf("%q is taken for a token", bad)
		} else if len(bad) > 40 && strings.Contains(err.Error(), bad[30:40]) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

func enc(t testing.TB, v any) []byte {
	t.Helper()
	b, err := encMode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
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

func TestDecodeTolerates(t *testing.T) {
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
	if !reflect.DeepEqual(m.Extra, want) {
		t.Errorf("extra: %#v", m.Extra)
	}
	// What is long is not written in diagnostic notation, which may take for ever.
	long := strings.Repeat("a", maxDiagnosis)
	f, err = Decode(enc(t, map[string]any{"odd": map[int]any{1: long}}))
	if v, _ := f.Value("odd").(string); err != nil || v != fmt.Sprintf("h'%x'", []byte(f["odd"])) {
		t.Errorf("%.99s, %v", v, err)
	}
	f, err = Decode(enc(t, map[string]any{"odd": map[string]any{"body": long}}))
	if v := f.Describe(); err != nil || !strings.HasPrefix(v, `{"odd": {"body": "aaa`) || len(v) > 2*describeLimit {
		t.Errorf("%s, %v", v, err)
	}
	// Text that is not UTF-8 is repaired, indefinite lengths are read.
	f, err = Decode([]byte{0xbf, 0x64, 'b', 'o', 'd', 'y', 0x63, 'a', 0xff, 'b', 0xff})
	if err != nil || f.Text("body") != "a\uFFFDb" {
		t.Errorf("%v, %v", f, err)
	}
}

func TestExactText(t *testing.T) {
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

func TestMessageFields(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		in   map[string]any
		want Message
	}{
		"nothing":        {map[string]any{}, Message{}},
		"bare sender":    {map[string]any{"from": "bob", "body": "x"}, Message{From: "bob", Body: "x"}},
		"odd types":      {map[string]any{"from": 1, "to": []string{"a"}, "body": 7, "id": "x"}, Message{Extra: map[string]any{"from": uint64(1), "to": []any{"a"}, "body": uint64(7), "id": "x"}}},
		"huge id":        {map[string]any{"id": uint64(math.MaxUint64)}, Message{Extra: map[string]any{"id": uint64(math.MaxUint64)}}},
		"sender details": {map[string]any{"from": map[string]any{"login": "bob", "age": 4}}, Message{From: "bob", Extra: map[string]any{"from": map[string]any{"age": uint64(4)}}}},
		"more":           {map[string]any{"to": "alice", "urgent": yes}, Message{To: "alice", Extra: map[string]any{"urgent": true}}},
	} {
		f, err := Decode(enc(t, c.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := ParseMessage(f); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v, want %#v", name, got, c.want)
		}
	}
}

func TestMessageRoundTrip(t *testing.T) {
	in := Message{ID: 1 << 60, Date: Date{Time: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)}, From: "bob", Conference: "ops", To: "ops", Body: "π\n"}
	f, err := Decode(enc(t, in.Fields()))
	if err != nil {
		t.Fatal(err)
	}
	if got := ParseMessage(f); !reflect.DeepEqual(got, in) {
		t.Errorf("%+v, want %+v", got, in)
	}
}

func TestDates(t *testing.T) {
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

func TestListsRefuse(t *testing.T) {
	for name, fields := range map[string]map[string]any{
		"missing": {}, "text": {"data": "x", "history": "x"}, "not maps": {"data": []any{1}, "history": []any{"x"}},
	} {
		f, err := Decode(enc(t, fields))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseContacts(f); err == nil {
			t.Errorf("%s: contacts", name)
		}
		if _, err := ParseMessages(f, "history"); err == nil {
			t.Errorf("%s: history", name)
		}
	}
}

func TestGreetingRefuses(t *testing.T) {
	for _, fields := range []map[string]any{{}, {"type": "info", "token": "x"}, {"type": TypeGreeting}, {"type": TypeGreeting, "token": 5}} {
		f, err := Decode(enc(t, fields))
		if err != nil {
			t.Fatal(err)
		}
		if g, err := ParseGreeting(f); err == nil {
			t.Errorf("%v is the greeting %+v", fields, g)
		}
	}
	f, _ := Decode(enc(t, map[string]any{"type": TypeGreeting, "token": "T", "server": "skarod/1", "extensions": []any{"nonce", 5}}))
	if g, err := ParseGreeting(f); err != nil || !g.Has(ExtNonce) || g.Has(ExtUpdates) || g.Server != "skarod/1" {
		t.Errorf("%+v, %v", g, err)
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
	if !strings.HasPrefix(got, `{"type": "authorize"`) || !strings.Contains(got, `"login": "alice"`) || !strings.Contains(got, `"login": "bob"`) || len(got) > 2*describeLimit {
		t.Errorf("described as %s", got)
	}
}

// What has an encoding of its own is encoded as everything else.
func TestFastFrames(t *testing.T) {
	date := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	want := enc(t, map[string]any{
		"type": "request", "for": "send_message", "id": int64(3), "status": "200 OK", "message_id": int64(7), "date": Seconds(date),
	})
	if got := EncodeSent(3, 7, date); !bytes.Equal(got, want) {
		t.Errorf("%x, not %x", got, want)
	}
	for _, m := range []Message{
		{ID: 7, Date: Date{Time: date}, From: "alice", To: "bob", Body: "hi"},
		{ID: 1 << 40, Date: Date{Time: date}, From: "alice", Conference: "ops", To: "ops", Body: strings.Repeat("ж", 200)},
	} {
		fields := m.Fields()
		fields["type"] = TypeShowMessage
		if got := EncodePush(m); !bytes.Equal(got, enc(t, fields)) {
			t.Errorf("%x, not %x", got, enc(t, fields))
		}
	}
}

func TestEncodeRequestRefuses(t *testing.T) {
	for _, name := range []string{"type", "on_request"} {
		if _, err := EncodeRequest("x", 1, map[string]any{name: 1}); err == nil {
			t.Errorf("a field %q passes", name)
		}
	}
}

func TestStatusCode(t *testing.T) {
	for status, want := range map[string]string{StatusOK: "200", "": "", "20": "20", "2000": "200"} {
		if got := StatusCode(status); got != want {
			t.Errorf("%q: %q", status, got)
		}
	}
}

func TestRegisterPolicy(t *testing.T) {
	for in, want := range map[string]string{"open": "open", "By Invitation": "invite", "invite": "invite", "closed": "closed", "on Sundays": "on Sundays"} {
		if got := RegisterPolicy(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// FuzzDecode: whatever comes in, every reader of a frame returns, and what
// decodes can be described.
func FuzzDecode(f *testing.F) {
	var rec recorded
	readJSON(f, "libskaro-0.3-frames.json", &rec)
	for _, r := range rec.Frames {
		raw, _ := hex.DecodeString(r.Hex)
		f.Add(raw)
	}
	f.Add([]byte{0xbf, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := Decode(b)
		if err != nil {
			return
		}
		_, _ = ParseGreeting(frame)
		_, _ = ParseReply(frame)
		_, _ = ParseContacts(frame)
		_, _ = ParseMessages(frame, "history")
		m := ParseMessage(frame)
		if m.Dialog(m.From) != m.To {
			t.Errorf("dialog of our own message: %+v", m)
		}
		for name := range frame {
			frame.Value(name)
		}
		frame.Describe()
	})
}

// FuzzParseToken: what is read as a token writes the same token again.
func FuzzParseToken(f *testing.F) {
	f.Add(NewToken("").Text())
	f.Add(tokenPrefix)
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseToken(s)
		if err != nil {
			return
		}
		if again, err := ParseToken(token.Text()); err != nil || again != token {
			t.Errorf("%q reads as a token that does not come back: %v", s, err)
		}
	})
}

func BenchmarkParseMessage(b *testing.B) {
	raw := enc(b, map[string]any{"type": TypeShowMessage, "id": 42, "date": 1479394801.5, "from": map[string]any{"login": "bob"}, "to": "alice", "body": "disk almost full on web1"})
	b.ReportAllocs()
	for b.Loop() {
		f, err := Decode(raw)
		if err != nil {
			b.Fatal(err)
		}
		ParseMessage(f)
	}
}
