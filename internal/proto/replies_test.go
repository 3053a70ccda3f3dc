package proto

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

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

func TestParseContactKeepsOddFieldsInExtra(t *testing.T) {
	for name, c := range map[string]struct {
		in    map[string]any
		login string
		extra map[string]any
	}{
		"nothing":            {map[string]any{}, "", nil},
		"a login of bytes":   {map[string]any{"login": []byte("bob")}, "", map[string]any{"login": []byte("bob")}},
		"a login in a tag":   {map[string]any{"login": cbor.Tag{Number: 99, Content: "bob"}}, "", map[string]any{"login": cbor.Tag{Number: 99, Content: "bob"}}},
		"a number":           {map[string]any{"login": 7, "name": 8, "online": 9}, "", map[string]any{"login": uint64(7), "name": uint64(8), "online": uint64(9)}},
		"null":               {map[string]any{"login": nil}, "", map[string]any{"login": nil}},
		"a login and a rest": {map[string]any{"login": "bob", "x": map[string]any{"y": 1}}, "bob", map[string]any{"x": map[string]any{"y": uint64(1)}}},
	} {
		f, err := Decode(enc(t, c.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := ParseContact(f); got.Login != c.login || !reflect.DeepEqual(got.Extra.Values(), c.extra) {
			t.Errorf("%s: %q, %#v", name, got.Login, got.Extra.Values())
		}
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
	f, _ := Decode(enc(t, map[string]any{"type": TypeGreeting, "token": "T", "server": "skarod/1", "max_frame": 1000, "extensions": []any{"nonce", 5}}))
	if g, err := ParseGreeting(f); err != nil || !g.Has(ExtNonce) || g.Has(ExtUpdates) || g.Server != "skarod/1" || g.MaxFrame != 1000 {
		t.Errorf("%+v, %v", g, err)
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
		"a recipient":      {map[string]any{"to": "bob"}, true},
		"no text as one":   {map[string]any{"to": 5}, false},
		"one of no UTF-8":  {map[string]any{"to": "b\xff"}, true},
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

// BenchmarkReply decodes and parses the reply to a send_message.
func BenchmarkReply(b *testing.B) {
	raw := EncodeSent(3, 7, time.Unix(1479394801, 0), "bob")
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

// A reply says how long to wait in whole seconds; anything else counts as missing.
func TestRetryAfterHasBounds(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		want  time.Duration
	}{
		"none":     {nil, 0},
		"seconds":  {20, 20 * time.Second},
		"zero":     {0, 0},
		"negative": {-20, 0},
		"years":    {int64(math.MaxInt64), maxRetryAfter},
		"text":     {"20", 0},
		"fraction": {1.5, 0},
	} {
		fields := map[string]any{"type": TypeReply, "for": TypeSendMessage, "id": 3, "status": StatusTooMany}
		if c.value != nil {
			fields["retry_after"] = c.value
		}
		f, err := Decode(enc(t, fields))
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseReply(f)
		if err != nil || r.RetryAfter() != c.want {
			t.Errorf("%s: %v, %v", name, r.RetryAfter(), err)
		}
	}
}
