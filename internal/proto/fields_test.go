package proto

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// mustFields makes fields that are right.
func mustFields(t testing.TB, values map[string]any) Fields {
	t.Helper()
	f, err := NewFields(values)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// named are fields with as many names as wanted, each with the value.
func named(n int, value any) map[string]any {
	fields := map[string]any{}
	for i := range n {
		fields[fmt.Sprintf("f%02d", i)] = value
	}
	return fields
}

func TestFieldsComeBackUnchanged(t *testing.T) {
	below := *new(big.Int).Sub(big.NewInt(math.MinInt64), big.NewInt(1))
	for name, c := range map[string]struct {
		in, want map[string]any
	}{
		"none":            {nil, nil},
		"an empty map":    {map[string]any{}, nil},
		"every type":      {map[string]any{"a": "é\n\x00", "b": 5, "c": true, "d": []string{"x", ""}}, map[string]any{"a": "é\n\x00", "b": uint64(5), "c": true, "d": []any{"x", ""}}},
		"empty values":    {map[string]any{"a": "", "b": []string{}, "c": 0, "d": false}, map[string]any{"a": "", "b": []any{}, "c": uint64(0), "d": false}},
		"integers":        {map[string]any{"max": uint64(math.MaxUint64), "min": int64(math.MinInt64), "below": below}, map[string]any{"max": uint64(math.MaxUint64), "min": int64(math.MinInt64), "below": below}},
		"the most fields": {named(MaxFields, true), named(MaxFields, true)},
		"odd names":       {map[string]any{"-": "", "a.b_c-9": "", strings.Repeat("x", MaxFieldName): ""}, map[string]any{"-": "", "a.b_c-9": "", strings.Repeat("x", MaxFieldName): ""}},
		"the most bytes":  {map[string]any{"a": strings.Repeat("x", MaxFieldBytes-6)}, map[string]any{"a": strings.Repeat("x", MaxFieldBytes-6)}},
	} {
		f, err := NewFields(c.in)
		if err != nil || !reflect.DeepEqual(f.Values(), c.want) || len(f) > MaxFieldBytes {
			t.Errorf("%s: %#v, %v", name, f.Values(), err)
		}
		if again, err := ParseFields([]byte(f)); f != "" && (again != f || err != nil) {
			t.Errorf("%s: read again as %#v, %v", name, again.Values(), err)
		}
	}
}

func TestParseFieldsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   any
		want string
	}{
		"nothing":               {cbor.RawMessage{}, "fields must be a map"},
		"null":                  {nil, "fields must be a map"},
		"an array":              {[]string{"a"}, "fields must be a map"},
		"a tagged map":          {cbor.Tag{Number: 99, Content: map[string]any{}}, "fields must be a map"},
		"half a map":            {cbor.RawMessage{0xa1, 0x61, 'a'}, "not valid CBOR"},
		"more than a map":       {cbor.RawMessage{0xa0, 0xa0}, "not valid CBOR"},
		"a key twice":           {cbor.RawMessage("\xa2\x61a\x01\x61a\x02"), `has the key "a" twice`},
		"a key that is no text": {map[int]any{1: 1}, "a key that is not text, but an integer"},
		"too many":              {named(MaxFields+1, true), "33 fields: a message has at most 32"},
		"too many bytes":        {map[string]any{"a": strings.Repeat("x", MaxFieldBytes-5)}, "4097 bytes: at most 4096"},
		"too many elements":     {map[string]any{"a": slices.Repeat([]string{""}, MaxFieldBytes)}, "more bytes: at most 4096"},
		"no name":               {map[string]any{"": 1}, `the name of a field is empty: a name has 1 to 64 characters of a-z 0-9 _ . -`},
		"a long name":           {map[string]any{strings.Repeat("x", MaxFieldName+1): 1}, "no valid name"},
		"an upper-case name":    {map[string]any{"Title": 1}, `the field "Title" has no valid name`},
		"a name in UTF-8":       {map[string]any{"é": 1}, "no valid name"},
		"a fraction":            {map[string]any{"a": 1.5}, `the field "a" is a number with a fraction: expected text, an integer, a boolean or an array of text`},
		"1.0":                   {map[string]any{"a": 1.0}, "a number with a fraction"},
		"a null value":          {map[string]any{"a": nil}, `the field "a" is null`},
		"a map value":           {map[string]any{"a": map[string]any{}}, `the field "a" is a map`},
		"bytes":                 {map[string]any{"a": []byte("x")}, `the field "a" is bytes`},
		"a date":                {map[string]any{"a": cbor.Tag{Number: 1, Content: 5}}, `the field "a" is tagged`},
		"a big integer":         {map[string]any{"a": new(big.Int).Lsh(big.NewInt(1), 64)}, `the field "a" is an integer beyond 64 bits`},
		"a big negative":        {map[string]any{"a": new(big.Int).Not(new(big.Int).Lsh(big.NewInt(1), 64))}, `the field "a" is an integer beyond 64 bits`},
		"half a bignum":         {cbor.RawMessage("\xa1\x61a\xc2\x61x"), `the field "a" is an integer beyond 64 bits`},
		"a simple value":        {map[string]any{"a": cbor.SimpleValue(7)}, `the field "a" is a simple value`},
		"an array of numbers":   {map[string]any{"a": []any{"x", 1}}, `the field "a" is an array with an integer`},
		"nested arrays":         {map[string]any{"a": []any{[]any{}}}, "an array with an array"},
		"not UTF-8":             {map[string]any{"a": "\xff"}, `the field "a" has text that is not UTF-8`},
		"not UTF-8 in an array": {map[string]any{"a": []string{"\xff"}}, "text that is not UTF-8"},
	} {
		raw, ok := c.in.(cbor.RawMessage)
		if !ok {
			raw = enc(t, c.in)
		}
		f, err := ParseFields(raw)
		if _, is := err.(*FieldError); !is || f != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %#v, %v", name, f.Values(), err)
		}
	}
}

// Fields of another encoding become the same: a message that is repeated with its nonce is
// compared with the first one.
func TestFieldsHaveOneEncoding(t *testing.T) {
	want := mustFields(t, map[string]any{"a": "xy", "b": 1, "cc": []string{"z"}})
	for name, raw := range map[string]string{
		"another order":      "\xa3\x62cc\x81\x61z\x61b\x01\x61a\x62xy",
		"indefinite lengths": "\xbf\x61a\x7f\x61x\x61y\xff\x61b\x01\x62cc\x9f\x61z\xff\xff",
		"long heads":         "\xb8\x03\x61a\x78\x02xy\x61b\x1b\x00\x00\x00\x00\x00\x00\x00\x01\x62cc\x81\x61z",
	} {
		if got, err := ParseFields([]byte(raw)); err != nil || got != want {
			t.Errorf("%s: %x, %v, not %x", name, got, err, want)
		}
	}
}

// Some encoders write each integer beyond int64 as a bignum.
func TestFieldsTakeBignumsOf64Bits(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want any
	}{
		{"\xa1\x61a\xc2\x48\x80\x00\x00\x00\x00\x00\x00\x00", uint64(1 << 63)},
		{"\xa1\x61a\xc2\x48\xff\xff\xff\xff\xff\xff\xff\xff", uint64(math.MaxUint64)},
		{"\xa1\x61a\xc3\x48\xff\xff\xff\xff\xff\xff\xff\xff", new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 64))},
		{"\xa1\x61a\xc2\x42\x00\x05", 5},
		{"\xa1\x61a\xc3\x40", -1},
	} {
		want := mustFields(t, map[string]any{"a": c.want})
		if got, err := ParseFields([]byte(c.raw)); err != nil || got != want {
			t.Errorf("%x: %x, %v, not %x", c.raw, got, err, want)
		}
	}
}

func TestCheckKnownExplainsWhatIsExpected(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{FieldTitle, "", ""},
		{FieldTitle, 5, `the field "title" must be text`},
		{FieldUrgency, "critical", ""},
		{FieldUrgency, "urgent", `the field "urgency" must be low, normal, high or critical`},
		{FieldUrgency, true, "must be low"},
		{FieldTags, []string{"a"}, ""},
		{FieldTags, "a", `the field "tags" must be an array of text`},
		{FieldReplyTo, 42, ""},
		{FieldReplyTo, "42", `the field "reply_to" must be the id of a message`},
		{FieldReplyTo, 0, "must be the id"},
		{FieldReplyTo, uint64(math.MaxUint64), "must be the id"},
		{FieldLink, "https://example.org/a?b", ""},
		{FieldLink, "mailto:bob@example.org", ""},
		{FieldLink, "example.org", `the field "link" must be a URL with a scheme`},
		{FieldLink, "%", "must be a URL"},
		{FieldLink, 5, "must be a URL"},
		{"other", "anything", ""},
	} {
		err := mustFields(t, map[string]any{c.name: c.value}).CheckKnown()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %v: %v", c.name, c.value, err)
		}
	}
}

// A server may send any value for a field with a meaning.
func TestTitleAndUrgencyAreWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		fields         map[string]any
		title, urgency string
	}{
		{nil, "", ""},
		{map[string]any{"title": "Disk full", "urgency": "high"}, "Disk full", "high"},
		{map[string]any{"title": 5, "urgency": 5}, "", ""},
		{map[string]any{"title": []string{"x"}, "urgency": []string{"high"}}, "", ""},
		{map[string]any{"urgency": "high\n"}, "", ""},
	} {
		f := mustFields(t, c.fields)
		if f.Title() != c.title || f.Urgency() != c.urgency {
			t.Errorf("%v: %q, %q", c.fields, f.Title(), f.Urgency())
		}
	}
}

func TestMatchesComparesAsText(t *testing.T) {
	f := mustFields(t, map[string]any{"text": "a", "n": -5, "max": uint64(math.MaxUint64), "min": *new(big.Int).Sub(big.NewInt(math.MinInt64), big.NewInt(1)), "yes": true, "list": []string{"a", "b"}, "empty": "", "none": []string{}})
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"text", "a", true}, {"text", "A", false}, {"text", "", false},
		{"n", "-5", true}, {"n", "-5.0", false}, {"max", "18446744073709551615", true}, {"min", "-9223372036854775809", true},
		{"yes", "true", true}, {"yes", "1", false},
		{"list", "a", true}, {"list", "b", true}, {"list", "a,b", false}, {"list", "[a b]", false},
		{"empty", "", true}, {"none", "", false}, {"missing", "", false}, {"missing", "<nil>", false},
	} {
		if got := f.Matches(c.name, c.value); got != c.want {
			t.Errorf("%s=%s: %v", c.name, c.value, got)
		}
	}
}

// FuzzFields: whatever ParseFields accepts is within the bounds, reads again as the same, and
// comes back from a push, a history and a request. It takes little memory to refuse.
func FuzzFields(f *testing.F) {
	for _, fields := range []map[string]any{nil, {"title": "x", "urgency": "high", "tags": []string{"a"}, "reply_to": 5, "link": "https://h/"}, {"a": true, "b": -1}, {"a": 1.5}, named(MaxFields+1, "")} {
		f.Add([]byte(mustEncode(fields)))
	}
	f.Add([]byte("\xbf\x61a\x7f\x61x\x61y\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n := allocated(func() { _, _ = ParseFields(raw) }); n > 1<<20+64*len(raw) {
			t.Errorf("%d bytes of input allocate %d", len(raw), n)
		}
		fields, err := ParseFields(raw)
		if err != nil {
			return
		}
		values := fields.Values()
		if len(fields) > MaxFieldBytes || len(values) > MaxFields {
			t.Errorf("%d fields of %d bytes", len(values), len(fields))
		}
		if again, err := NewFields(maps.Clone(values)); err != nil || again != fields {
			t.Errorf("%x, %v, not %x", again, err, fields)
		}
		for name, v := range values {
			if list, ok := v.([]any); ok && len(list) > 0 {
				v = list[0]
			} else if ok {
				continue
			}
			if n, ok := v.(big.Int); ok {
				v = n.String()
			}
			if !fields.Matches(name, fmt.Sprint(v)) {
				t.Errorf("%s does not match its value %v", name, v)
			}
		}
		_ = fields.CheckKnown()
		m := Message{ID: 1, From: "bob", To: "alice", Body: "hi", Fields: fields}
		push, err := Decode(EncodePush(m))
		if err != nil || ParseMessage(push).Fields != fields {
			t.Errorf("a push: %v, %v", push, err)
		}
		list, err := Decode(enc(t, map[string]any{"history": []any{m.Map()}}))
		if err != nil {
			t.Fatal(err)
		}
		if history, err := ParseMessages(list, "history"); err != nil || history[0].Fields != fields {
			t.Errorf("a history: %v, %v", history, err)
		}
		for _, nonce := range []string{"", "0123456789abcdef"} {
			b, err := EncodeRequest(TypeSendMessage, 1, SendMessage("bob", "hi", nonce, fields).Fields)
			if err != nil {
				t.Fatal(err)
			}
			request, err := Decode(b)
			if o := ParseSendMessage(request); err != nil || o.Fields != fields || o.WrongFields != nil || (request.send == nil) != (nonce == "") {
				t.Errorf("a request: %+v, %v", o, err)
			}
		}
	})
}

// Fields of a wrong shape stay where an unknown field is, and harm nothing else.
func TestParseMessageKeepsWrongFieldsInExtra(t *testing.T) {
	for name, fields := range map[string]any{
		"text": "x", "null": cbor.RawMessage{null}, "a fraction": map[string]any{"a": 1.5}, "too many": named(MaxFields+1, true),
		"too long": map[string]any{"title": strings.Repeat("x", MaxFieldBytes)}, "an odd name": map[string]any{"Title": "x"},
	} {
		b := show(t, map[string]any{"fields": fields})
		f, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		m := ParseMessage(f)
		if want := (Extra{{"fields", enc(t, fields)}}); m.Fields != "" || m.Body != "disk almost full on web1" || !reflect.DeepEqual(m.Extra, want) {
			t.Errorf("%s: %+v", name, m)
		}
		if _, ok := decodeMessage(b, ""); ok {
			t.Errorf("%s: read at once", name)
		}
	}
	f, err := Decode(show(t, map[string]any{"fields": map[string]any{}}))
	if m := ParseMessage(f); err != nil || m.Fields != "" || m.Extra != nil {
		t.Errorf("no fields: %+v, %v", m, err)
	}
}

// Fields that are refused are not kept, and say why.
func TestSendMessageSaysWhatIsWrongWithFields(t *testing.T) {
	for _, nonce := range []string{"", "0123456789abcdef"} {
		r := SendMessage("bob", "hi", nonce, "")
		r.Fields["fields"] = map[string]any{"a": 1.5}
		b, err := EncodeRequest(r.Type, 1, r.Fields)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if o := ParseSendMessage(f); o.Fields != "" || o.WrongFields == nil || o.Body != "hi" || bytes.Contains(b, []byte("nonce")) != o.HasNonce {
			t.Errorf("%+v", o)
		}
	}
}
