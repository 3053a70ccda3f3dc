package proto

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// framesOf decodes the recorded frames of the server that have a type.
func framesOf(t *testing.T, typ string) []Frame {
	t.Helper()
	var rec recorded
	readJSON(t, "libskaro-0.3-frames.json", &rec)
	var frames []Frame
	for _, r := range rec.Frames {
		if r.From != "server" {
			continue
		}
		raw, err := hex.DecodeString(r.Hex)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type() == typ {
			frames = append(frames, f)
		}
	}
	if frames == nil {
		t.Fatalf("no recorded frame of type %s", typ)
	}
	return frames
}

func TestRecordedGreetingsParse(t *testing.T) {
	for _, f := range framesOf(t, TypeGreeting) {
		g, err := ParseGreeting(f)
		if err != nil || g.Challenge != "4f1d0a9e7b3c" || g.Server != "" || g.Has(ExtNonce) {
			t.Errorf("%+v, %v", g, err)
		}
	}
}

func TestRecordedRepliesParse(t *testing.T) {
	replies := map[string]Reply{}
	for _, f := range framesOf(t, TypeReply) {
		r, err := ParseReply(f)
		if err != nil {
			t.Error(err)
		}
		if r.OK() {
			replies[r.For] = r
		} else if r.Info != "refused" {
			t.Errorf("refusal without its reason: %+v", r)
		}
	}
	for _, name := range []string{TypeRegisterType, TypeAuthorize, TypeSessionRestore, TypeGetContacts, TypeGetHistory, TypeSendMessage} {
		if _, ok := replies[name]; !ok {
			t.Errorf("no recorded reply for %s", name)
		}
	}
	if c, err := ParseContacts(replies[TypeGetContacts].Fields); err != nil || len(c) != 1 || c[0].Login != "bob" || c[0].Online != nil {
		t.Errorf("contacts: %+v, %v", c, err)
	}
	if m, err := ParseMessages(replies[TypeGetHistory].Fields, "history"); err != nil || len(m) != 1 || m[0].Body != "hi" || m[0].Date != (Date{}) {
		t.Errorf("history: %+v, %v", m, err)
	}
}

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

func TestMessageFieldsParseBack(t *testing.T) {
	in := Message{ID: 1 << 60, Date: Date{Time: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)}, From: "bob", Conference: "ops", To: "ops", Body: "π\n"}
	f, err := Decode(enc(t, in.Fields()))
	if err != nil {
		t.Fatal(err)
	}
	if got := ParseMessage(f); !reflect.DeepEqual(got, in) {
		t.Errorf("%+v, want %+v", got, in)
	}
}

func TestListsRefuseOtherFields(t *testing.T) {
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

func TestParseGreetingRefusesOtherFrames(t *testing.T) {
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

// A struct encodes as the map with the same fields does.
func TestTypedFramesEncodeAsMapsDo(t *testing.T) {
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

func TestStatusCodeIsTheFirstThreeCharacters(t *testing.T) {
	for status, want := range map[string]string{StatusOK: "200", "": "", "20": "20", "2000": "200"} {
		if got := StatusCode(status); got != want {
			t.Errorf("%q: %q", status, got)
		}
	}
}

func TestRegisterPolicyKnowsEveryName(t *testing.T) {
	for in, want := range map[string]string{"open": "open", "By Invitation": "invite", "invite": "invite", "closed": "closed", "on Sundays": "on Sundays"} {
		if got := RegisterPolicy(in); got != want {
			t.Errorf("%q: %q", in, got)
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

// A reply to send_message that is decoded at once is the same as one that is decoded field
// by field.
func TestOrdinarySentRepliesParseAsAnyOther(t *testing.T) {
	null := cbor.RawMessage{0xf6}
	for name, c := range map[string]struct {
		changes  map[string]any
		ordinary bool
	}{
		"usual":            {nil, true},
		"whole seconds":    {map[string]any{"date": 1479394801}, true},
		"refused":          {map[string]any{"status": "404 Not Found", "info": "no such user"}, false},
		"no message id":    {map[string]any{"message_id": nil}, false},
		"a null id":        {map[string]any{"message_id": null}, false},
		"a message id -1":  {map[string]any{"message_id": -1}, true},
		"no date":          {map[string]any{"date": nil}, false},
		"a date in text":   {map[string]any{"date": "2016-05-15T14:00:00+02:00"}, false},
		"a wrong date":     {map[string]any{"date": 1e15}, false},
		"a new SID":        {map[string]any{"session_id": "s"}, false},
		"another field":    {map[string]any{"queued": true}, false},
		"another request":  {map[string]any{"for": "send_message2"}, false},
		"status not UTF-8": {map[string]any{"status": "200 \xff"}, true},
	} {
		fields := map[string]any{"type": TypeReply, "for": TypeSendMessage, "id": 3, "status": StatusOK, "message_id": 7, "date": 1479394801.5}
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
		if (f.sent != nil) != c.ordinary {
			t.Errorf("%s: ordinary is %v", name, f.sent != nil)
		}
		all, err := decodeMap(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseReply(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ParseReply(Frame{fields: all})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := ParseSent(got), ParseSent(want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, not %+v", name, got, want)
		}
		if got.Fields.Type() != TypeReply || got.Fields.Describe() != want.Fields.Describe() {
			t.Errorf("%s: %s, not %s", name, got.Fields.Describe(), want.Fields.Describe())
		}
		got.Fields, want.Fields = Frame{}, Frame{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, not %+v", name, got, want)
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

// BenchmarkReply decodes and parses the reply to a send_message.
func BenchmarkReply(b *testing.B) {
	raw := EncodeSent(3, 7, time.Unix(1479394801, 0))
	b.ReportAllocs()
	for b.Loop() {
		f, err := Decode(raw)
		if err != nil {
			b.Fatal(err)
		}
		r, err := ParseReply(f)
		if err != nil {
			b.Fatal(err)
		}
		ParseSent(r)
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
