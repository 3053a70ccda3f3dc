package proto

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

func TestEncodeRequestRefusesFieldsOfTheProtocol(t *testing.T) {
	for _, name := range []string{"type", "on_request"} {
		if _, err := EncodeRequest("x", 1, map[string]any{name: 1}); err == nil {
			t.Errorf("a field %q passes", name)
		}
	}
}

// A send_message request that is decoded at once is the same as one that is decoded field
// by field.
func TestOrdinarySendMessagesParseAsAnyOther(t *testing.T) {
	for name, c := range map[string]struct {
		changes  map[string]any
		ordinary bool
	}{
		"usual":              {nil, true},
		"another type":       {map[string]any{"type": "x", "body": TypeSendMessage}, false},
		"no number":          {map[string]any{"on_request": nil}, false},
		"a number in text":   {map[string]any{"on_request": "1"}, false},
		"a negative number":  {map[string]any{"on_request": -1}, true},
		"no nonce":           {map[string]any{"nonce": nil}, false},
		"an odd nonce":       {map[string]any{"nonce": 7}, false},
		"no body":            {map[string]any{"body": nil}, false},
		"an empty body":      {map[string]any{"body": ""}, false},
		"a body not UTF-8":   {map[string]any{"body": "a\xff"}, false},
		"a null body":        {map[string]any{"body": cbor.RawMessage{0xf6}}, false},
		"a body of bytes":    {map[string]any{"body": []byte("a")}, false},
		"another field":      {map[string]any{"urgent": true}, false},
		"a body with a null": {map[string]any{"body": "\u00f6"}, true},
	} {
		fields := map[string]any{"type": TypeSendMessage, "on_request": 3, "to": "bob", "body": "hi", "nonce": "0123456789abcdef"}
		for field, v := range c.changes {
			fields[field] = v
			if v == nil {
				delete(fields, field)
			}
		}
		b := enc(t, fields)
		f, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if (f.send != nil) != c.ordinary {
			t.Errorf("%s: ordinary is %v", name, f.send != nil)
		}
		all, err := decodeMap(b)
		if err != nil {
			t.Fatal(err)
		}
		other := Frame{fields: all}
		number, ok := f.RequestNumber()
		if want, wantOK := other.RequestNumber(); number != want || ok != wantOK {
			t.Errorf("%s: the number is %d, %v, not %d, %v", name, number, ok, want, wantOK)
		}
		if got, want := ParseSendMessage(f), ParseSendMessage(other); got != want {
			t.Errorf("%s: %+v, not %+v", name, got, want)
		}
		if f.Type() != other.Type() || f.Describe() != other.Describe() || f.Len() != other.Len() {
			t.Errorf("%s: %s, not %s", name, f.Describe(), other.Describe())
		}
	}
}

// BenchmarkSendMessage decodes and parses a send_message request.
func BenchmarkSendMessage(b *testing.B) {
	raw := enc(b, map[string]any{"type": TypeSendMessage, "on_request": 42, "to": "bob", "body": "disk almost full on web1", "nonce": "0123456789abcdef"})
	b.ReportAllocs()
	for b.Loop() {
		f, err := Decode(raw)
		if err != nil {
			b.Fatal(err)
		}
		f.RequestNumber()
		ParseSendMessage(f)
	}
}

// FuzzRequest: the server reads a request and the client its reply as the other side wrote
// them; text that is not UTF-8 is refused instead of changed.
func FuzzRequest(f *testing.F) {
	f.Add("alice", "hi", "0123456789abcdef", int64(1), int64(7), uint32(1463313600))
	f.Add("", "", "", int64(-1), int64(0), uint32(0))
	f.Add("\xff", "on_request", "send_message", int64(1)<<62, int64(1)<<53, uint32(1)<<31)
	f.Fuzz(func(t *testing.T, to, body, nonce string, number, id int64, date uint32) {
		exact := func(s string) string {
			if utf8.ValidString(s) {
				return s
			}
			return ""
		}
		request := SendMessage(to, body, nonce, "")
		b, err := EncodeRequest(request.Type, number, request.Fields)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		want := Outgoing{To: exact(to), Body: exact(body), Nonce: exact(nonce), HasNonce: nonce != ""}
		for how, frame := range map[string]Frame{"at once": frame, "field by field": {fields: frame.all()}} {
			if n, ok := frame.RequestNumber(); n != number || !ok || frame.Type() != TypeSendMessage {
				t.Errorf("%s: %s number %d, %v", how, frame.Type(), n, ok)
			}
			if got := ParseSendMessage(frame); got != want {
				t.Errorf("%s: %+v, not %+v", how, got, want)
			}
		}
		if frame, err = Decode(EncodeSent(number, id, time.Unix(int64(date), 0), repaired(to))); err != nil {
			t.Fatal(err)
		}
		for how, frame := range map[string]Frame{"at once": frame, "field by field": {fields: frame.all()}} {
			r, err := ParseReply(frame)
			if err != nil || r.ID != number || r.For != TypeSendMessage || !r.OK() {
				t.Fatalf("%s: %+v, %v", how, r, err)
			}
			if s := ParseSent(r); s.ID != id || s.To != repaired(to) || s.Date.Time.Unix() != int64(date) || s.Extra != nil {
				t.Errorf("%s: %+v", how, s)
			}
		}
	})
}
