package proto

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Request is what a client asks of a server: a type and the fields that go with it,
// without the number that the connection gives it (docs/protocol.md, "Requests").
type Request struct {
	Type   string
	Fields map[string]any
}

// Changes reports whether the request may change something on the server. If such a
// request is sent and not answered, its effect is unknown. An unknown type counts as one
// that changes something, unless it begins with get_.
func (r Request) Changes() bool {
	switch r.Type {
	case TypeRegisterType, TypeAuthorize, TypeSessionRestore, TypeSearchContacts:
		return false
	}
	return !strings.HasPrefix(r.Type, "get_")
}

// GetRegisterType asks how accounts are made: freely, by invitation, or not at all.
func GetRegisterType() Request { return Request{Type: TypeRegisterType} }

// Register asks for an account. An invite of "" means that none is needed.
func Register(login string, token Token, invite string) Request {
	form := map[string]any{"login": login, "token": token.Text()}
	policy := "open"
	if invite != "" {
		form["invite"], policy = invite, "invite"
	}
	return Request{TypeRegister, map[string]any{"register_type": policy, "form": form}}
}

// Authorize logs in with the token's answer to the challenge of the connection.
func Authorize(login string, token Token, challenge string) Request {
	return Request{TypeAuthorize, map[string]any{"login": login, "password": token.Answer(challenge)}}
}

// SessionRestore logs in with the SID of an earlier session.
func SessionRestore(sid string) Request {
	return Request{TypeSessionRestore, map[string]any{"sid": sid}}
}

// GetContacts asks for the contacts of the account.
func GetContacts() Request { return Request{Type: TypeGetContacts} }

// AddContact makes a user a contact.
func AddContact(login string) Request {
	return Request{TypeAddContact, map[string]any{"login": login}}
}

// DelContact removes a contact.
func DelContact(login string) Request {
	return Request{TypeDelContact, map[string]any{"login": login}}
}

// SearchContacts asks for the users whose login contains text.
func SearchContacts(text string) Request {
	return Request{TypeSearchContacts, map[string]any{"text": text}}
}

// GetUserData asks for a user or a conference.
func GetUserData(login string) Request {
	return Request{TypeGetUserData, map[string]any{"login": login}}
}

// Page bounds a get_history request on a server with the extension history-page.
// Zero means no bound.
type Page struct {
	Limit         int   // the newest messages
	After, Before int64 // message ids, exclusive
}

// GetHistory asks for the messages of a dialog. The zero Page asks for all of them.
func GetHistory(login string, page Page) Request {
	fields := map[string]any{"login": login}
	if page.Limit != 0 {
		fields["limit"] = page.Limit
	}
	if page.After != 0 {
		fields["after"] = page.After
	}
	if page.Before != 0 {
		fields["before"] = page.Before
	}
	return Request{TypeGetHistory, fields}
}

// GetUpdates asks for the messages of every dialog with an id above after, oldest
// first, limit at most.
func GetUpdates(after int64, limit int) Request {
	return Request{TypeGetUpdates, map[string]any{"after": after, "limit": limit}}
}

// GetLastID asks for the newest message id alone: it is get_updates without "after".
func GetLastID() Request { return Request{Type: TypeGetUpdates} }

// SendMessage sends a message to a user or a conference. A nonce and fields are for a server
// with these extensions; "" means none.
func SendMessage(to, body, nonce string, fields Fields) Request {
	all := map[string]any{"to": to, "body": body}
	if nonce != "" {
		all["nonce"] = nonce
	}
	if fields != "" {
		all["fields"] = cbor.RawMessage(fields)
	}
	return Request{TypeSendMessage, all}
}

// EncodeRequest writes the request typ with the number id and its further fields
// (docs/protocol.md, "Requests and replies"). The fields must not hold "type" or
// "on_request".
func EncodeRequest(typ string, id int64, fields map[string]any) ([]byte, error) {
	m := make(map[string]any, len(fields)+2)
	for k, v := range fields {
		if k == "type" || k == "on_request" {
			return nil, fmt.Errorf("the field %q of a request is set by the protocol", k)
		}
		m[k] = v
	}
	m["type"], m["on_request"] = typ, id
	return Encode(m)
}

// RequestNumber is the number of a request, and reports whether the frame has one.
func (f Frame) RequestNumber() (int64, bool) {
	if f.send != nil {
		return f.send.Number, true
	}
	return f.Int("on_request")
}

// sendRequest is a send_message request as skaroctl writes it.
type sendRequest struct {
	Type   string          `cbor:"type"`
	Number int64           `cbor:"on_request"`
	To     string          `cbor:"to"`
	Body   string          `cbor:"body"`
	Nonce  string          `cbor:"nonce"`
	Fields cbor.RawMessage `cbor:"fields"`

	fields Fields // as decodeSendRequest has read them
}

// decodeSendRequest reads a send_message request. It reports whether the request has text
// in every field but fields, and no others, and whether its fields are right.
func decodeSendRequest(b []byte) (s *sendRequest, ok bool) {
	s = &sendRequest{Number: absent}
	ok = decodeStruct(b, s) && s.Type == TypeSendMessage && s.Number != absent && s.To != "" && s.Body != "" && s.Nonce != "" &&
		utf8.ValidString(s.To) && utf8.ValidString(s.Body) && utf8.ValidString(s.Nonce)
	if ok && s.Fields != nil {
		var err error
		s.fields, err = ParseFields(s.Fields)
		ok = err == nil
	}
	return s, ok
}

// Outgoing is the message of a send_message request. Each of its texts is just as it came,
// or "" if it is missing or not text in valid UTF-8.
type Outgoing struct {
	To, Body, Nonce string
	HasNonce        bool // the field is there
	Fields          Fields
	WrongFields     error // what is wrong with the fields, a *FieldError; nil if nothing is
}

// ParseSendMessage reads a send_message request. It never fails.
func ParseSendMessage(f Frame) Outgoing {
	if s := f.send; s != nil {
		return Outgoing{To: s.To, Body: s.Body, Nonce: s.Nonce, HasNonce: true, Fields: s.fields}
	}
	exact := func(name string) string {
		if s, ok := f.ExactText(name); ok {
			return s
		}
		return ""
	}
	o := Outgoing{To: exact("to"), Body: exact("body"), Nonce: exact("nonce"), HasNonce: f.Has("nonce")}
	if raw, ok := f.all()["fields"]; ok {
		o.Fields, o.WrongFields = ParseFields(raw)
	}
	return o
}
