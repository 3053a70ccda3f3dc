// Package proto is the Skaro wire: frames and their CBOR, typed requests, replies and
// messages, statuses, and the token that replaces a password. Client and server share it.
// It does no I/O and starts no goroutine. docs/protocol.md is its specification.
package proto

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// The frame types of docs/protocol.md. Any other type is a push that this version does
// not know.
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
	TypeGetMembers     = "get_members"
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
	ExtFields      = "fields"
)

// MaxFrame is the largest frame, in bytes, that either side reads by default. A history
// reply is easily larger than the default of a WebSocket library.
const MaxFrame = 16 << 20

// Frame is one decoded Skaro frame: a CBOR map with text keys (docs/protocol.md,
// "Transport"). Its values stay encoded until they are asked for, so that an odd value in
// one field does not spoil the others. The zero Frame has no fields.
type Frame struct {
	fields map[string]cbor.RawMessage

	// The frames that come by the thousand are decoded into a struct (see decodeCommon).
	// Then fields is nil. If they are asked for, as `request` and --verbose do, all decodes
	// them again.
	message *Message
	send    *sendRequest
	sent    *sent
	encoded []byte // of message, send or sent
}

// Decode reads one frame from a whole binary WebSocket message. It fails if b is not
// exactly one CBOR map with distinct text keys, within the package's limits.
func Decode(b []byte) (Frame, error) {
	if f, ok := decodeCommon(b); ok {
		return f, nil
	}
	if len(b) == 0 {
		return Frame{}, errors.New("an empty message is not a Skaro frame")
	}
	if !isMap(b) {
		return Frame{}, fmt.Errorf("a Skaro frame is a CBOR map, this message starts with byte 0x%02x", b[0])
	}
	err := checkFrame(b)
	if err != nil {
		return Frame{}, fmt.Errorf("not a Skaro frame: %w", err)
	}
	fields, err := decodeMap(bytes.Clone(b))
	if err != nil {
		return Frame{}, fmt.Errorf("not a Skaro frame: %w", err)
	}
	return Frame{fields: fields}, nil
}

// decodeCommon reads a frame of one of the kinds that come by the thousand (messages, and
// send_message and its reply) if it has the usual fields and no others. That takes a quarter
// of the time of decoding field by field (BenchmarkMessage): for listen that is most of the
// time for a message, for send --lines and skarod a tenth.
func decodeCommon(b []byte) (f Frame, ok bool) {
	has := func(s string) bool { return bytes.Contains(b, []byte(s)) }
	switch {
	case has(TypeShowMessage):
		var m Message
		m, ok = decodeMessage(b, TypeShowMessage)
		f.message = &m
	case !has(TypeSendMessage):
		return Frame{}, false
	case has("on_request"):
		f.send, ok = decodeSendRequest(b)
	default:
		f.sent, ok = decodeSent(b)
	}
	if !ok {
		return Frame{}, false
	}
	f.encoded = bytes.Clone(b)
	return f, true
}

// all returns every field, still encoded.
func (f Frame) all() map[string]cbor.RawMessage {
	if f.encoded == nil {
		return f.fields
	}
	fields, _ := decodeMap(f.encoded) // it can't fail, since it was decoded before
	return fields
}

// Size is how many bytes the values of the frame have, encoded.
func (f Frame) Size() int {
	size := len(f.encoded)
	for _, raw := range f.fields {
		size += len(raw)
	}
	return size
}

// Len is how many fields the frame has.
func (f Frame) Len() int { return len(f.all()) }

// Has reports whether the frame has a field.
func (f Frame) Has(name string) bool {
	_, ok := f.all()[name]
	return ok
}

// Type is the frame's "type", or "" if that is missing or not text.
func (f Frame) Type() string {
	switch {
	case f.message != nil:
		return TypeShowMessage
	case f.send != nil:
		return TypeSendMessage
	case f.sent != nil:
		return TypeReply
	}
	return f.Text("type")
}

// Text is a field's text, or "" if the field is missing or not text.
func (f Frame) Text(name string) string {
	s, _ := f.TextOK(name)
	return s
}

// TextOK is a field's text, and reports whether the field is there and is text.
func (f Frame) TextOK(name string) (string, bool) {
	return decodeText(f.all()[name])
}

// ExactText is a field's text just as it came, and reports whether the field is there and
// is text in valid UTF-8. TextOK repairs a text, ExactText refuses it: what is stored must
// be what was sent.
func (f Frame) ExactText(name string) (string, bool) {
	s, ok := decodeExact[string](f.all()[name])
	return s, ok && utf8.ValidString(s)
}

// Int is a field's integer, and reports whether the field is there and is one that fits.
func (f Frame) Int(name string) (int64, bool) { return decodeExact[int64](f.all()[name]) }

// Bool is a field's truth value, and reports whether the field is there and is one.
func (f Frame) Bool(name string) (value, ok bool) { return decodeExact[bool](f.all()[name]) }

// Map is a field's map with text keys, and reports whether the field is there and is one.
func (f Frame) Map(name string) (Frame, bool) {
	m, err := decodeFrame(f.all()[name])
	return m, err == nil
}

// List is a field's array, its elements still encoded, and reports whether the field is
// there and is one.
func (f Frame) List(name string) ([]cbor.RawMessage, bool) { return decodeList(f.all()[name]) }

// Value is a field as a Go value: string, int64, uint64, big.Int, float64, bool, nil,
// []byte, time.Time, cbor.Tag, []any or map[string]any. If the field has no such value (a
// map with keys that are not text, say), or more than maxValueElements elements, it is the
// CBOR diagnostic notation (RFC 8949, 8).
func (f Frame) Value(name string) any {
	raw, ok := f.all()[name]
	if !ok {
		return nil
	}
	return Extra{{name, raw}}.Value(name)
}

// Extra is every field but the named ones; nil if there is none.
func (f Frame) Extra(known ...string) Extra {
	var extra Extra
	for name, raw := range f.all() {
		if !slices.Contains(known, name) {
			extra = append(extra, field{name, raw})
		}
	}
	slices.SortFunc(extra, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return extra
}

// Extra is fields that this program does not know, in the order of their names. They stay
// encoded until they are asked for: as Go values they may need a hundred times the memory.
type Extra []field

type field struct {
	name string
	raw  cbor.RawMessage
}

// ExtraOf makes an Extra of Go values.
func ExtraOf(fields map[string]any) Extra {
	var extra Extra
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		extra = append(extra, field{name, mustEncode(fields[name])})
	}
	return extra
}

// Values returns the fields as Frame.Value has them; nil if there are none.
func (e Extra) Values() map[string]any {
	if len(e) == 0 {
		return nil
	}
	values := make(map[string]any, len(e))
	left := maxValueElements
	for _, f := range e {
		if left -= countElements(f.raw); left < 0 {
			values[f.name] = diagnose(f.raw)
		} else {
			values[f.name] = decodeValue(f.raw)
		}
	}
	return values
}

// Value returns one field as Frame.Value has it; nil if it is not there.
func (e Extra) Value(name string) any {
	for _, f := range e {
		if f.name == name {
			return Extra{f}.Values()[name]
		}
	}
	return nil
}

// Size estimates the memory that the fields take, in bytes.
func (e Extra) Size() int {
	const overhead = 48 // of a field
	size := 0
	for _, f := range e {
		size += overhead + len(f.name) + len(f.raw)
	}
	return size
}

// clone copies the fields, so that they don't keep their whole frame in memory.
func (e Extra) clone() Extra {
	for i := range e {
		e[i].raw = bytes.Clone(e[i].raw)
	}
	return e
}
