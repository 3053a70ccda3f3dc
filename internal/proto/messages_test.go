package proto

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

func TestRecordedMessagesParse(t *testing.T) {
	var messages []string
	for _, f := range framesOf(t, TypeShowMessage) {
		m := ParseMessage(f)
		messages = append(messages, fmt.Sprintf("%s/%s>%s/%s/%s", m.Dialog("alice"), m.From, m.To, m.Body, m.Date.Time.Format(time.RFC3339)))
		if m.Extra != nil {
			t.Errorf("extra in %+v", m)
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
}

func TestParseMessageKeepsOddFieldsInExtra(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		in   map[string]any
		want Message
	}{
		"nothing":        {map[string]any{}, Message{}},
		"bare sender":    {map[string]any{"from": "bob", "body": "x"}, Message{From: "bob", Body: "x"}},
		"odd types":      {map[string]any{"from": 1, "to": []string{"a"}, "body": 7, "id": "x"}, Message{Extra: ExtraOf(map[string]any{"from": uint64(1), "to": []any{"a"}, "body": uint64(7), "id": "x"})}},
		"huge id":        {map[string]any{"id": uint64(math.MaxUint64)}, Message{Extra: ExtraOf(map[string]any{"id": uint64(math.MaxUint64)})}},
		"sender details": {map[string]any{"from": map[string]any{"login": "bob", "age": 4}}, Message{From: "bob", Extra: ExtraOf(map[string]any{"from": map[string]any{"age": uint64(4)}})}},
		"more":           {map[string]any{"to": "alice", "urgent": yes}, Message{To: "alice", Extra: ExtraOf(map[string]any{"urgent": true})}},
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

// A tag whose content can't be right is kept, also in the sender.
func TestParseMessageKeepsWrongTags(t *testing.T) {
	wrong := "\xc1\x61x" // tag 1 of a text
	for name, c := range map[string]struct {
		frame string
		want  Extra
	}{
		"in the message": {"\xa1\x63odd" + wrong, Extra{{"odd", []byte(wrong)}}},
		"in the sender":  {"\xa1\x64from\xa2\x65login\x63bob\x63odd" + wrong, Extra{{"from", []byte("\xa1\x63odd" + wrong)}}},
	} {
		f, err := Decode([]byte(c.frame))
		if err != nil {
			t.Fatal(err)
		}
		if got := ParseMessage(f).Extra; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestMessageFieldsParseBack(t *testing.T) {
	in := Message{ID: 1 << 60, Date: Date{Time: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)}, From: "bob", Conference: "ops", To: "ops", Body: "π\n"}
	f, err := Decode(enc(t, in.Map()))
	if err != nil {
		t.Fatal(err)
	}
	if got := ParseMessage(f); !reflect.DeepEqual(got, in) {
		t.Errorf("%+v, want %+v", got, in)
	}
}

// A struct encodes as the map with the same fields does.
func TestTypedFramesEncodeAsMapsDo(t *testing.T) {
	date := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	want := enc(t, map[string]any{
		"type": "request", "for": "send_message", "id": int64(3), "status": "200 OK", "message_id": int64(7), "date": Seconds(date), "to": "bob",
	})
	if got := EncodeSent(3, 7, date, "bob"); !bytes.Equal(got, want) {
		t.Errorf("%x, not %x", got, want)
	}
	for _, m := range []Message{
		{ID: 7, Date: Date{Time: date}, From: "alice", To: "bob", Body: "hi"},
		{ID: 1 << 40, Date: Date{Time: date}, From: "alice", Conference: "ops", To: "ops", Body: strings.Repeat("ж", 200)},
		{ID: 7, Date: Date{Time: date}, From: "alice", To: "bob", Body: "hi", Fields: mustFields(t, map[string]any{"title": "x", "n": -1})},
	} {
		fields := m.Map()
		fields["type"] = TypeShowMessage
		if got := EncodePush(m); !bytes.Equal(got, enc(t, fields)) {
			t.Errorf("%x, not %x", got, enc(t, fields))
		}
	}
}

// show is a show_message with the changed fields; a nil value leaves a field out.
func show(t testing.TB, changes map[string]any) []byte {
	t.Helper()
	fields := map[string]any{
		"type": TypeShowMessage, "id": 42, "date": 1479394801.5, "from": map[string]any{"login": "bob"}, "to": "alice", "body": "disk almost full on web1",
	}
	for name, v := range changes {
		fields[name] = v
		if v == nil {
			delete(fields, name)
		}
	}
	return enc(t, fields)
}

// A message that is decoded at once is the same as one that is decoded field by field.
func TestOrdinaryMessagesParseAsAnyOther(t *testing.T) {
	null := cbor.RawMessage{0xf6}
	for name, c := range map[string]struct {
		changes  map[string]any
		ordinary bool
	}{
		"usual":                 {nil, true},
		"in a conference":       {map[string]any{"from": map[string]any{"login": "bob", "in_conference": "ops"}}, true},
		"whole seconds":         {map[string]any{"date": 1479394801}, true},
		"the largest id":        {map[string]any{"id": int64(math.MaxInt64)}, true},
		"not UTF-8":             {map[string]any{"body": "a\xffb", "to": "\xff"}, true},
		"before 1970":           {map[string]any{"date": -1.5}, true},
		"no id":                 {map[string]any{"id": nil}, true},
		"a huge id":             {map[string]any{"id": uint64(math.MaxUint64)}, false},
		"id 0":                  {map[string]any{"id": 0}, false},
		"an id that is null":    {map[string]any{"id": null}, false},
		"id -1":                 {map[string]any{"id": -1}, false},
		"date 0":                {map[string]any{"date": 0}, true},
		"no sender":             {map[string]any{"from": nil}, true},
		"no date":               {map[string]any{"date": nil}, true},
		"a date in text":        {map[string]any{"date": "2016-05-15T14:00:00+02:00"}, false},
		"a tagged date":         {map[string]any{"date": cbor.Tag{Number: 1, Content: 5}}, false},
		"a date beyond years":   {map[string]any{"date": 1e15}, false},
		"an endless date":       {map[string]any{"date": math.Inf(1)}, false},
		"an empty body":         {map[string]any{"body": ""}, true},
		"a body that is null":   {map[string]any{"body": null}, false},
		"a body that is tagged": {map[string]any{"body": cbor.Tag{Number: 32, Content: "a"}}, false},
		"a bare sender":         {map[string]any{"from": "bob"}, false},
		"a sender with more":    {map[string]any{"from": map[string]any{"login": "bob", "age": 4}}, false},
		"another field":         {map[string]any{"urgent": true}, false},
		"fields":                {map[string]any{"fields": map[string]any{"title": "x", "tags": []string{"a"}}}, true},
		"no fields":             {map[string]any{"fields": map[string]any{}}, true},
		"wrong fields":          {map[string]any{"fields": map[string]any{"a": 1.5}}, false},
		"fields that are null":  {map[string]any{"fields": null}, false},
		"fields that are text":  {map[string]any{"fields": "x"}, false},
		"another type":          {map[string]any{"type": "info"}, false},
	} {
		b := show(t, c.changes)
		f, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if (f.message != nil) != c.ordinary {
			t.Errorf("%s: ordinary is %v", name, f.message != nil)
		}
		fields, err := decodeMap(b)
		if err != nil {
			t.Fatal(err)
		}
		other := Frame{fields: fields}
		if got, want := ParseMessage(f), ParseMessage(other); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, not %+v", name, got, want)
		}
		if f.Type() != other.Type() || f.Text("body") != other.Text("body") || f.Describe() != other.Describe() || f.Size() == 0 {
			t.Errorf("%s: %s, not %s", name, f.Describe(), other.Describe())
		}
		if m, ok := decodeMessage(b, ""); ok && !reflect.DeepEqual(m, ParseMessage(other)) {
			t.Errorf("%s: in a history %+v, not %+v", name, m, ParseMessage(other))
		}
	}
}

// BenchmarkMessage decodes and parses a message: one as skarod sends it, and one with a
// field more, which takes the long way.
func BenchmarkMessage(b *testing.B) {
	for name, raw := range map[string][]byte{"ordinary": show(b, nil), "other": show(b, map[string]any{"x": true})} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, err := Decode(raw)
				if err != nil {
					b.Fatal(err)
				}
				ParseMessage(f)
			}
		})
	}
}

// FuzzMessage: a message reads the same in every place where a server writes it, and as it
// was written.
func FuzzMessage(f *testing.F) {
	f.Add(int64(1), int64(1463313600_500000), "bob", "ops", "alice", "hi")
	f.Add(int64(0), int64(0), "", "", "", "")
	f.Add(int64(1)<<53, int64(-1), "\xff", "\u202e", "send_message", "show_message")
	f.Add(int64(-1), int64(1)<<60, "a\x00", "é", "\xed\xa0\x80", "on_request")
	f.Fuzz(func(t *testing.T, id, micros int64, from, conference, to, body string) {
		const day = int64(86400 * 1e6)
		m := Message{
			ID: max(id, 1), Date: Date{Time: time.UnixMicro(micros % (100_000 * day)).UTC()},
			From: repaired(from), Conference: repaired(conference), To: repaired(to), Body: repaired(body),
		}
		want := m
		want.Date.Time = m.Date.Time.Round(0)
		push, err := Decode(EncodePush(m))
		if err != nil {
			t.Fatal(err)
		}
		list, err := Decode(enc(t, map[string]any{"history": []any{m.Map()}}))
		if err != nil {
			t.Fatal(err)
		}
		history, err := ParseMessages(list, "history")
		if err != nil || len(history) != 1 {
			t.Fatalf("%+v, %v", history, err)
		}
		got := map[string]Message{"push": ParseMessage(push), "push, field by field": ParseMessage(Frame{fields: push.all()})}
		if m.Date.Time.UnixMicro() != 0 { // Fields leaves out no other date
			got["history"] = history[0]
		}
		for where, m := range got {
			if d := m.Date.Time.Sub(want.Date.Time).Abs(); d > time.Microsecond { // a float64 has no more
				t.Errorf("%s: the date is %v off", where, d)
			}
			m.Date = want.Date
			if !reflect.DeepEqual(m, want) {
				t.Errorf("%s: %+v, not %+v", where, m, want)
			}
		}
	})
}
