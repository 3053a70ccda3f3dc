package proto

import (
	"math"

	"github.com/fxamacker/cbor/v2"
)

// Message is a message of a show_message or a history.
type Message struct {
	ID         int64 // 0 if the server gives none
	Date       Date
	From       string // the sender's login
	Conference string // from.in_conference, for a message in a conference
	To         string
	Body       string
	Fields     Fields
	Extra      Extra // every field beyond these; fields with an unexpected type too
}

// ParseMessage reads a message from the fields of a show_message or of an entry of a
// history. It never fails: a missing field is empty, and a field of an unexpected type is
// kept in Extra.
func ParseMessage(f Frame) Message {
	if f.message != nil {
		return *f.message
	}
	m := Message{}
	known := make([]string, 0, 7)
	known = append(known, "type")
	if id, ok := f.Int("id"); ok && id > 0 {
		m.ID = id
		known = append(known, "id")
	}
	if f.Has("date") {
		m.Date = f.Date("date")
		known = append(known, "date")
	}
	read := func(name string, into *string) {
		if s, ok := f.TextOK(name); ok {
			*into = s
			known = append(known, name)
		}
	}
	read("to", &m.To)
	read("body", &m.Body)
	if raw, ok := f.all()["fields"]; ok {
		var err error
		if m.Fields, err = ParseFields(raw); err == nil {
			known = append(known, "fields")
		}
	}
	read("from", &m.From) // some servers might name the sender by the bare login
	if from, ok := f.Map("from"); ok {
		m.From, m.Conference = from.Text("login"), from.Text("in_conference")
		delete(from.fields, "login")
		delete(from.fields, "in_conference")
		known = append(known, "from")
		if len(from.fields) > 0 {
			m.Extra = Extra{{"from", encodeMap(from.fields)}}
		}
	}
	m.Extra = append(m.Extra, f.Extra(known...).clone()...)
	return m
}

// ordinary is a message as skarod writes it in a show_message.
type ordinary struct {
	Type   string          `cbor:"type"`
	ID     int64           `cbor:"id"`
	Date   float64         `cbor:"date"`
	From   sender          `cbor:"from"`
	To     string          `cbor:"to"`
	Body   string          `cbor:"body"`
	Fields cbor.RawMessage `cbor:"fields,omitempty"`
}

type sender struct {
	Login      string `cbor:"login"`
	Conference string `cbor:"in_conference,omitempty"`
}

// absent is the value of a number before it is decoded, to tell a missing field from zero.
const absent = math.MinInt64

// decodeMessage reads a message that has fields of the usual types and no others. It
// reports whether the message is one; if not, ParseMessage reads it. A typ of "" fits any.
func decodeMessage(b []byte, typ string) (m Message, ok bool) {
	o := ordinary{ID: absent, Date: absent}
	if !decodeStruct(b, &o) || typ != "" && o.Type != typ {
		return m, false
	}
	m = Message{From: repaired(o.From.Login), Conference: repaired(o.From.Conference), To: repaired(o.To), Body: repaired(o.Body)}
	if o.ID != absent {
		if o.ID <= 0 {
			return m, false
		}
		m.ID = o.ID
	}
	if o.Date != absent {
		if m.Date.Time, ok = dateOf(o.Date); !ok {
			return m, false
		}
	}
	if o.Fields != nil {
		var err error
		if m.Fields, err = ParseFields(o.Fields); err != nil {
			return m, false
		}
	}
	return m, true
}

// Dialog is the login or conference that the message belongs to, for the user with the
// login own: the recipient of the user's own message, else the conference, else the sender
// (docs/protocol.md, "Pushes").
func (m Message) Dialog(own string) string {
	switch {
	case m.From == own:
		return m.To
	case m.Conference != "":
		return m.Conference
	}
	return m.From
}

// Map is the message as a server sends it, without a type.
func (m Message) Map() map[string]any {
	from := map[string]any{"login": m.From}
	if m.Conference != "" {
		from["in_conference"] = m.Conference
	}
	fields := map[string]any{"from": from, "to": m.To, "body": m.Body}
	if m.ID != 0 {
		fields["id"] = m.ID
	}
	if !m.Date.Time.IsZero() {
		fields["date"] = Seconds(m.Date.Time)
	}
	if m.Fields != "" {
		fields["fields"] = cbor.RawMessage(m.Fields)
	}
	return fields
}

// EncodePush writes a message that has an id and a date as a show_message.
func EncodePush(m Message) []byte {
	return mustEncode(ordinary{TypeShowMessage, m.ID, Seconds(m.Date.Time), sender{m.From, m.Conference}, m.To, m.Body, cbor.RawMessage(m.Fields)})
}

// ParseMessages reads an array of messages: the field "history" of get_history or
// "messages" of get_updates. It fails if the field is not an array, or if an element is not
// a map: leaving that out would lose a message.
func ParseMessages(f Frame, field string) ([]Message, error) {
	return parseList(f, field, func(raw cbor.RawMessage) (Message, error) {
		if m, ok := decodeMessage(raw, ""); ok {
			return m, nil
		}
		m, err := decodeFrame(raw)
		return ParseMessage(m), err
	})
}
