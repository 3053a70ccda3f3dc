package proto

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// The statuses that skarod sends (docs/protocol.md, "Statuses"). A reader looks at the
// first three characters only: see StatusCode.
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
	StatusStorage      = "507 Insufficient Storage"
	StatusUnknown      = "501 Not Implemented"
	StatusUnavailable  = "503 Service Unavailable"
)

// StatusCode is the part of a status that has a meaning: its first three characters.
func StatusCode(status string) string {
	if len(status) > 3 {
		return status[:3]
	}
	return status
}

// Greeting is the first frame of every connection.
type Greeting struct {
	Challenge  string   // the field "token": what authorize answers
	Server     string   // name/version, if the server has extensions
	Extensions []string // those of docs/protocol.md, "Extensions", that the server has
	MaxFrame   int64    // bytes of the largest frame that the server takes; zero if it does not say
}

// ParseGreeting reads the first frame of a connection. It fails if that is not a greeting.
func ParseGreeting(f Frame) (Greeting, error) {
	if f.Type() != TypeGreeting {
		return Greeting{}, fmt.Errorf("the first frame is not a greeting: its type is %q, not %q", Excerpt(f.Type()), TypeGreeting)
	}
	challenge, ok := f.TextOK("token")
	if !ok {
		return Greeting{}, errors.New("the greeting has no challenge: its token is missing or not text")
	}
	if err := checkLength("the challenge", challenge, MaxChallenge); err != nil {
		return Greeting{}, err
	}
	g := Greeting{Challenge: challenge, Server: f.Text("server")}
	if n, ok := f.Int("max_frame"); ok && n > 0 {
		g.MaxFrame = n
	}
	list, _ := f.List("extensions")
	for _, raw := range list {
		if name, ok := decodeText(raw); ok {
			g.Extensions = append(g.Extensions, name)
		}
	}
	return g, nil
}

// Lengths of what a login has, in bytes. A server that sends more is not one that this
// program can log in to.
const (
	MaxChallenge = 4 << 10
	MaxSID       = 4 << 10
	MaxLogin     = 256
)

func checkLength(what, text string, most int) error {
	if len(text) > most {
		return fmt.Errorf("%s has %d bytes, and %d at most are expected", what, len(text), most)
	}
	return nil
}

// Login is what the reply to a login says.
type Login struct {
	Login string // in the server's spelling, "" if the server does not say it
	SID   string // "" if the server gives none
}

// ParseLogin reads the reply to authorize, session_restore or register. It fails if a field
// is too long.
func ParseLogin(f Frame) (Login, error) {
	user, _ := f.Map("user")
	l := Login{Login: user.Text("login"), SID: f.Text("session_id")}
	return l, errors.Join(checkLength("the login", l.Login, MaxLogin), checkLength("the SID", l.SID, MaxSID))
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

// TooLarge is the reply to a request that is not sent, because its frame is larger than the
// server takes.
func TooLarge(typ string, id int64, size int, g Greeting) Reply {
	return Reply{
		For: typ, ID: id, Status: StatusTooLarge,
		Info: fmt.Sprintf("not sent: the request has %d bytes, and the server takes at most %d", size, g.MaxFrame),
	}
}

// ParseReply reads a frame of the type "request". It fails if the number of the request is
// missing: without it, the reply belongs to no request.
func ParseReply(f Frame) (Reply, error) {
	if s := f.sent; s != nil {
		return Reply{For: s.For, ID: s.ID, Status: repaired(s.Status), Fields: f}, nil
	}
	id, ok := f.Int("id")
	if !ok {
		return Reply{}, errors.New("a reply has no id")
	}
	return Reply{For: f.Text("for"), ID: id, Status: f.Text("status"), Info: f.Text("info"), Fields: f}, nil
}

// maxRetryAfter bounds what a server can ask for: more days than that mean never.
const maxRetryAfter = 30 * 24 * time.Hour

// Wait returns a time to wait that a server gives in seconds, within bounds.
func Wait(seconds int64) time.Duration {
	return time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
}

// RetryAfter returns how long the server wants the client to wait before it asks again;
// zero if it does not say.
func (r Reply) RetryAfter() time.Duration {
	seconds, _ := r.Fields.Int("retry_after")
	return Wait(seconds)
}

// OK reports whether the request succeeded: its status starts with 200.
func (r Reply) OK() bool { return StatusCode(r.Status) == "200" }

// Sent is a message that the server has confirmed.
type Sent struct {
	ID    int64 // 0 if the server gives none
	Date  Date
	To    string // the recipient in the server's spelling, "" if the server does not say
	Extra Extra  // every field beyond these, without those of every reply
}

// ParseSent reads the reply to a send_message. It never fails: a missing field is empty.
func ParseSent(r Reply) Sent {
	if s := r.Fields.sent; s != nil {
		date, _ := dateOf(s.Date) // decodeSent has tried it
		return Sent{ID: s.MessageID, Date: Date{Time: date}, To: repaired(s.To)}
	}
	parsed := Sent{Date: r.Fields.Date("date")}
	known := []string{"type", "for", "id", "status", "date", "session_id"} // a SID must not be printed
	if id, ok := r.Fields.Int("message_id"); ok {
		parsed.ID = id
		known = append(known, "message_id")
	}
	if to, ok := r.Fields.TextOK("to"); ok {
		parsed.To = to
		known = append(known, "to")
	}
	parsed.Extra = r.Fields.Extra(known...)
	return parsed
}

// sent is the reply to a send_message as skarod writes it.
type sent struct {
	Type      string  `cbor:"type"`
	For       string  `cbor:"for"`
	ID        int64   `cbor:"id"`
	Status    string  `cbor:"status"`
	MessageID int64   `cbor:"message_id"`
	Date      float64 `cbor:"date"`
	To        string  `cbor:"to,omitempty"`
}

// EncodeSent writes the reply to send_message: request is the number of the request, and its
// message to the recipient to was stored with id and date.
func EncodeSent(request, id int64, date time.Time, to string) []byte {
	return mustEncode(sent{TypeReply, TypeSendMessage, request, StatusOK, id, Seconds(date), to})
}

// decodeSent reads the reply to a send_message. It reports whether that is just as skarod
// writes it.
func decodeSent(b []byte) (s *sent, ok bool) {
	s = &sent{ID: absent, MessageID: absent, Date: absent}
	if !decodeStruct(b, s) || s.Type != TypeReply || s.For != TypeSendMessage || s.ID == absent || s.MessageID == absent {
		return s, false
	}
	_, ok = dateOf(s.Date)
	return s, ok
}

// Contact is a user in the contact list, or a conference that the account is in.
type Contact struct {
	Login  string
	Name   string
	Online *bool // nil if the server does not say
	Extra  Extra // every field beyond these
}

// IsConference reports whether the contact is a conference and not a person
// (docs/protocol.md, "Conferences").
func (c Contact) IsConference() bool {
	for _, f := range c.Extra {
		if f.name == "conference" {
			is, _ := decodeExact[bool](f.raw)
			return is
		}
	}
	return false
}

// ParseContacts reads the field "data" of a get_contacts reply.
func ParseContacts(f Frame) ([]Contact, error) {
	return parseList(f, "data", func(raw cbor.RawMessage) (Contact, error) {
		c, err := decodeFrame(raw)
		return ParseContact(c), err
	})
}

// parseList reads a field that is an array.
func parseList[T any](f Frame, field string, parse func(cbor.RawMessage) (T, error)) ([]T, error) {
	list := f.all()[field]
	if major(list) != majorArray {
		return nil, fmt.Errorf("the reply has no array in its field %q", field)
	}
	n := countParts(list)
	if n > maxEntries {
		return nil, fmt.Errorf("the array in its field %q has more than %d entries", field, maxEntries)
	}
	parsed := make([]T, 0, n)
	for raw := range parts(list) {
		entry, err := parse(raw)
		if err != nil {
			return nil, fmt.Errorf("entry %d of %q: %w", len(parsed), field, err)
		}
		parsed = append(parsed, entry)
	}
	return parsed, nil
}

// ParseContact reads one contact. It never fails: a missing field is empty, and a field of
// an unexpected type is kept in Extra.
func ParseContact(f Frame) Contact {
	var c Contact
	known := make([]string, 0, 3)
	if login, ok := f.TextOK("login"); ok {
		c.Login = login
		known = append(known, "login")
	}
	if name, ok := f.TextOK("name"); ok {
		c.Name = name
		known = append(known, "name")
	}
	if online, ok := f.Bool("online"); ok {
		c.Online = &online
		known = append(known, "online")
	}
	c.Extra = f.Extra(known...).clone()
	return c
}

// RegisterPolicy turns the server's registration policy into the words open,
// invite and closed; it returns any other word as it is. libskaro's notes
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
