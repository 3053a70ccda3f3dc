package proto

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The frame types of docs/protocol.md. Every other type is a push that this
// version does not know.
const (
	TypeGreeting       = "check_connection"
	TypeReply          = "request"
	TypeRegisterType   = "register_type"
	TypeRegister       = "register"
	TypeAuthorize      = "authorize"
	TypeSessionRestore = "session_restore"
	TypeGetContacts    = "get_contacts"
	TypeAddContact     = "add_contact"
	TypeDelContact     = "del_contact"
	TypeSearchContacts = "search_contacts"
	TypeGetUserData    = "get_user_data"
	TypeGetHistory     = "get_history"
	TypeSendMessage    = "send_message"
	TypeGetUpdates     = "get_updates"
	TypeShowMessage    = "show_message"
	TypeInfo           = "info"
	TypeError          = "error"
)

// The extensions of docs/protocol.md, as a greeting lists them.
const (
	ExtHistoryPage = "history-page"
	ExtUpdates     = "updates"
	ExtNonce       = "nonce"
)

// Statuses that skarod sends (docs/protocol.md, "Statuses"). A reader looks at
// the first three characters only: see StatusCode.
const (
	StatusOK           = "200 OK"
	StatusBadRequest   = "400 Bad Request"
	StatusUnauthorized = "401 Unauthorized"
	StatusForbidden    = "403 Forbidden"
	StatusNotFound     = "404 Not Found"
	StatusConflict     = "409 Conflict"
	StatusGone         = "410 Gone"
	StatusTooLarge     = "413 Content Too Large"
	StatusTooMany      = "429 Too Many Requests"
	StatusInternal     = "500 Internal Server Error"
	StatusUnknown      = "501 Not Implemented"
)

// StatusCode is what of a status means anything: its first three characters.
func StatusCode(status string) string {
	if len(status) > 3 {
		return status[:3]
	}
	return status
}

// Greeting is the first frame of every connection.
type Greeting struct {
	Challenge  string   // the field "token": what authorize answers
	Server     string   // name/version, of a server that has extensions
	Extensions []string // what of docs/protocol.md, "Extensions", it has
}

// ParseGreeting reads the first frame of a connection. It fails when the frame
// is no greeting.
func ParseGreeting(f Frame) (Greeting, error) {
	if f.Type() != TypeGreeting {
		return Greeting{}, fmt.Errorf("the first frame is not a greeting: its type is %q, not %q", f.Type(), TypeGreeting)
	}
	challenge, ok := f.TextOK("token")
	if !ok {
		return Greeting{}, errors.New("the greeting has no challenge: its token is missing or not text")
	}
	g := Greeting{Challenge: challenge, Server: f.Text("server")}
	list, _ := f.List("extensions")
	for _, raw := range list {
		if name, ok := text(raw); ok {
			g.Extensions = append(g.Extensions, name)
		}
	}
	return g, nil
}

// Has reports whether the server has the extension.
func (g Greeting) Has(extension string) bool { return slices.Contains(g.Extensions, extension) }

// Reply is the answer to one request.
type Reply struct {
	For    string // the request's type
	ID     int64  // the request's number
	Status string
	Info   string // why a request was refused
	Fields Frame  // the whole frame
}

// ParseReply reads a frame of the type "request". It fails when the number of
// the request is missing, without which nobody knows what is answered.
func ParseReply(f Frame) (Reply, error) {
	id, ok := f.Int("id")
	if !ok {
		return Reply{}, errors.New("a reply has no id")
	}
	return Reply{For: f.Text("for"), ID: id, Status: f.Text("status"), Info: f.Text("info"), Fields: f}, nil
}

// OK reports whether the request succeeded: its status starts with 200.
func (r Reply) OK() bool { return StatusCode(r.Status) == "200" }

// Date is a date field of the wire, which may be seconds since 1970, RFC 3339
// text, or a CBOR date (tag 0 or 1). Where it can't be read as a date, Time is
// zero and Raw holds what came; where there was none both are zero.
type Date struct {
	Time time.Time
	Raw  any
}

// Seconds since 1970 that have a four-digit year, as RFC 3339 needs.
var (
	minUnix = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC).Unix()
	maxUnix = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// Date reads a field as a date.
func (f Frame) Date(name string) Date {
	v := f.Value(name)
	t, ok := dateOf(v)
	if !ok {
		return Date{Raw: v}
	}
	return Date{Time: t}
}

func dateOf(v any) (time.Time, bool) {
	var t time.Time
	switch v := v.(type) {
	case uint64:
		if v > uint64(maxUnix) {
			return t, false
		}
		t = time.Unix(int64(v), 0)
	case int64:
		t = time.Unix(v, 0)
	case float64:
		if math.IsNaN(v) || v < float64(minUnix) || v > float64(maxUnix) {
			return t, false
		}
		whole, part := math.Modf(v)
		// A float64 has no more than about a microsecond of today's date.
		t = time.Unix(int64(whole), int64(math.Round(part*1e6))*1000)
	case string:
		var err error
		if t, err = time.Parse(time.RFC3339Nano, v); err != nil {
			return time.Time{}, false
		}
	case time.Time:
		t = v
	default:
		return t, false
	}
	if u := t.Unix(); u < minUnix || u > maxUnix {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// Message is a message as show_message and a history have it.
type Message struct {
	ID         int64 // 0 where the server gives none
	Date       Date
	From       string // the sender's login
	Conference string // from.in_conference, for a message in a conference
	To         string
	Body       string
	Extra      map[string]any // every field beyond these; fields with an unexpected type too
}

// ParseMessage reads a message from the fields of a show_message or of an entry
// of a history. It never fails: a field that is missing is empty, a field of an
// unexpected type is kept in Extra.
func ParseMessage(f Frame) Message {
	m := Message{}
	known := make([]string, 0, 6)
	known = append(known, "type")
	if id, ok := f.Int("id"); ok && id > 0 {
		m.ID = id
		known = append(known, "id")
	}
	if _, ok := f["date"]; ok {
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
	read("from", &m.From) // some servers might name the sender by the bare login
	var fromExtra map[string]any
	if from, ok := f.Map("from"); ok {
		m.From, m.Conference = from.Text("login"), from.Text("in_conference")
		fromExtra = from.Extra("login", "in_conference")
		known = append(known, "from")
	}
	m.Extra = f.Extra(known...)
	if fromExtra != nil {
		if m.Extra == nil {
			m.Extra = map[string]any{}
		}
		m.Extra["from"] = fromExtra
	}
	return m
}

// Dialog is the login or conference that the message belongs with, for somebody
// whose login is own: the recipient of our own message, else the conference,
// else the sender (docs/protocol.md, "Pushes").
func (m Message) Dialog(own string) string {
	switch {
	case m.From == own:
		return m.To
	case m.Conference != "":
		return m.Conference
	}
	return m.From
}

// Fields is the message as a server sends it, without a type.
func (m Message) Fields() map[string]any {
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
	return fields
}

// sent and push are frames that skarod writes by the thousand.
type sent struct {
	Type      string  `cbor:"type"`
	For       string  `cbor:"for"`
	ID        int64   `cbor:"id"`
	Status    string  `cbor:"status"`
	MessageID int64   `cbor:"message_id"`
	Date      float64 `cbor:"date"`
}

type push struct {
	Type string     `cbor:"type"`
	ID   int64      `cbor:"id"`
	Date float64    `cbor:"date"`
	From pushSender `cbor:"from"`
	To   string     `cbor:"to"`
	Body string     `cbor:"body"`
}

type pushSender struct {
	Login      string `cbor:"login"`
	Conference string `cbor:"in_conference,omitempty"`
}

// EncodeSent writes the reply to a send_message with the number request, which was
// stored under an id at a date.
func EncodeSent(request, id int64, date time.Time) []byte {
	return mustEncode(sent{TypeReply, TypeSendMessage, request, StatusOK, id, Seconds(date)})
}

// EncodePush writes a message as show_message: one with an id and a date.
func EncodePush(m Message) []byte {
	return mustEncode(push{TypeShowMessage, m.ID, Seconds(m.Date.Time), pushSender{m.From, m.Conference}, m.To, m.Body})
}

// mustEncode encodes what always can be.
func mustEncode(v any) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// Seconds is a date as this project's server writes it: seconds since 1970.
func Seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// ParseMessages reads an array of messages: the field "history" of get_history
// or "messages" of get_updates. It fails when the field is no array; an element
// that is no map is an error too, since leaving it out would lose a message.
func ParseMessages(f Frame, field string) ([]Message, error) {
	frames, err := mapsOf(f, field)
	if err != nil {
		return nil, err
	}
	messages := make([]Message, len(frames))
	for i, m := range frames {
		messages[i] = ParseMessage(m)
	}
	return messages, nil
}

// Contact is somebody we know, or a conference that we are in.
type Contact struct {
	Login  string
	Name   string
	Online *bool          // nil where the server does not say
	Extra  map[string]any // every field beyond these
}

// IsConference reports whether the server says that this is a conference we are in, and
// not a person (docs/protocol.md, "Conferences").
func (c Contact) IsConference() bool {
	is, _ := c.Extra["conference"].(bool)
	return is
}

// ParseContacts reads the field "data" of a get_contacts reply.
func ParseContacts(f Frame) ([]Contact, error) {
	frames, err := mapsOf(f, "data")
	if err != nil {
		return nil, err
	}
	contacts := make([]Contact, len(frames))
	for i, m := range frames {
		contacts[i] = ParseContact(m)
	}
	return contacts, nil
}

// ParseContact reads one contact. It never fails: a field that is missing is
// empty, a field of an unexpected type is kept in Extra.
func ParseContact(f Frame) Contact {
	c := Contact{Login: f.Text("login")}
	known := []string{"login"}
	if name, ok := f.TextOK("name"); ok {
		c.Name = name
		known = append(known, "name")
	}
	if online, ok := f.Bool("online"); ok {
		c.Online = &online
		known = append(known, "online")
	}
	c.Extra = f.Extra(known...)
	return c
}

// mapsOf reads a field that is an array of maps.
func mapsOf(f Frame, field string) ([]Frame, error) {
	list, ok := f.List(field)
	if !ok {
		return nil, fmt.Errorf("the reply has no array in its field %q", field)
	}
	frames := make([]Frame, len(list))
	for i, raw := range list {
		if major, _, _ := head(raw); major != majorMap {
			return nil, fmt.Errorf("entry %d of %q is no map", i, field)
		}
		m, err := split(raw)
		if err != nil {
			return nil, fmt.Errorf("entry %d of %q: %w", i, field, err)
		}
		frames[i] = m
	}
	return frames, nil
}

// RegisterPolicy turns the server's registration policy into the words open,
// invite and closed; a word it does not know comes back as it is. libskaro's notes
// name the policies "open, by invitation, closed".
func RegisterPolicy(word string) string {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "open":
		return "open"
	case "invite", "invitation", "by invitation", "by_invitation":
		return "invite"
	case "closed", "close":
		return "closed"
	}
	return word
}
