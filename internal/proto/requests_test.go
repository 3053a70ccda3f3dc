package proto

import (
	"testing"

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
