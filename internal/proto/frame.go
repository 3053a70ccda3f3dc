// Package proto is the Skaro wire: frames and their CBOR, typed requests, replies and
// messages, statuses, and the token that replaces a password. Client and server share it.
// It does no I/O and starts no goroutine. docs/protocol.md is its specification.
package proto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// MaxFrame is the largest frame, in bytes, that either side reads by default. A history
// reply is easily larger than the default of a WebSocket library.
const MaxFrame = 16 << 20

// Limits for hostile input. A whole frame may have many elements, since its fields stay
// encoded until they are asked for. A field that becomes a Go value of any type may have
// few: there a byte of input may cost far more than a byte of memory.
const (
	maxDepth         = 32
	maxFrameElements = 1 << 20
	maxValueElements = 1 << 14
	maxPairs         = 1 << 12
)

var (
	decoding = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  maxFrameElements,
		MaxMapPairs:       maxPairs,
		// Text that is not UTF-8 is repaired and shown: one bad name must not hide a whole
		// history.
		UTF8: cbor.UTF8DecodeInvalid,
	}
	// frameMode decodes the structure of a frame, and leaves its values encoded.
	frameMode = must(decoding.DecMode())
	// noSimpleValues keeps the library from reading CBOR's simple values as numbers.
	noSimpleValues = must(cbor.NewSimpleValueRegistryFromDefaults(rejectSimpleValues))
	// exactMode decodes one type and no other: a tagged text, say, is not a text.
	exactMode = must(with(decoding, func(o *cbor.DecOptions) { o.TagsMd, o.SimpleValues = cbor.TagsForbidden, noSimpleValues }).DecMode())
	// structMode is exactMode for a struct, which must have a place for every field.
	structMode = must(with(decoding, func(o *cbor.DecOptions) {
		o.TagsMd, o.SimpleValues, o.ExtraReturnErrors = cbor.TagsForbidden, noSimpleValues, cbor.ExtraDecErrorUnknownField
	}).DecMode())
	// valueMode decodes a value of any type.
	valueMode = must(with(decoding, func(o *cbor.DecOptions) { o.MaxArrayElements = maxValueElements }).DecMode())

	encMode = must(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		NilContainers: cbor.NilContainerAsEmpty,
	}.EncMode())
)

func rejectSimpleValues(r *cbor.SimpleValueRegistry) error {
	for n := range 256 {
		if n >= 20 && n < 32 {
			continue // false, true, null and undefined; the others don't exist
		}
		if err := cbor.WithRejectedSimpleValue(cbor.SimpleValue(n))(r); err != nil {
			return err
		}
	}
	return nil
}

func with(o cbor.DecOptions, change func(*cbor.DecOptions)) cbor.DecOptions {
	change(&o)
	return o
}

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options are constants: this is a programming error
	}
	return mode
}

// Frame is one decoded Skaro frame: a CBOR map with text keys (docs/protocol.md,
// "Transport"). Its values stay encoded until they are asked for, so that an odd value in
// one field does not spoil the others. The zero Frame has no fields.
type Frame struct {
	fields map[string]cbor.RawMessage

	// The frames that come by the thousand are decoded into a struct (see decodeCommon).
	// Then fields is nil: only --verbose looks at it.
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
	fields, err := decodeMap(b)
	if err != nil {
		return Frame{}, fmt.Errorf("not a Skaro frame: %w", err)
	}
	return Frame{fields: fields}, nil
}

// decodeCommon reads a frame of one of the kinds that come by the thousand (messages, and
// send_message and its reply) if it has the usual fields and no others. It takes a fourth of
// the time that the way over the fields takes (BenchmarkMessage): for listen that is most of
// the time for a message, for send --lines and skarod a tenth.
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

// decodeStruct reads a map into a struct. It reports whether each field of the map has a
// place in the struct, and the type of that place: then nothing is lost.
func decodeStruct(b []byte, into any) bool {
	// If these bytes mean something else, the way over the fields reads it as well.
	if bytes.IndexByte(b, null) >= 0 || bytes.IndexByte(b, undefined) >= 0 {
		return false
	}
	return structMode.Unmarshal(b, into) == nil
}

// null and undefined (RFC 8949, 3.3) pass for any type when the library decodes, and leave
// the Go value as it was.
const null, undefined = 0xf6, 0xf7

// isMap reports whether a CBOR item is a map, by its major type (RFC 8949, 3.1).
func isMap(b []byte) bool { return len(b) > 0 && b[0]>>5 == 5 }

// decodeMap reads a map with distinct text keys. Its errors are in the words of this
// package. A value with a wrong tag is left out.
func decodeMap(b []byte) (map[string]cbor.RawMessage, error) {
	var fields map[string]cbor.RawMessage
	err := frameMode.Unmarshal(b, &fields)
	var duplicate *cbor.DupMapKeyError
	var notText *cbor.UnmarshalTypeError
	switch {
	case err == nil, isWrongTag(err):
		return fields, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("it ends in the middle")
	case errors.As(err, &duplicate):
		return nil, fmt.Errorf("it has the key %q twice", duplicate.Key)
	case errors.As(err, &notText):
		return nil, fmt.Errorf("a key is not text but of the CBOR type %s", notText.CBORType)
	}
	return nil, errors.New(strings.TrimPrefix(err.Error(), "cbor: "))
}

// isWrongTag reports whether a value has a tag that can't be right: a date that is a map,
// say. The library has decoded everything else then.
func isWrongTag(err error) bool {
	var wrong *cbor.InadmissibleTagContentTypeError
	return errors.As(err, &wrong)
}

// decodeExact reads a value of one type. It reports whether the value is of that type.
func decodeExact[T any](raw cbor.RawMessage) (value T, ok bool) {
	if len(raw) == 0 || raw[0] == null || raw[0] == undefined {
		return value, false
	}
	err := exactMode.Unmarshal(raw, &value)
	return value, err == nil
}

// Encode writes a map as one frame, its keys in a fixed order. Values are Go
// strings, integers, floats, booleans, slices and maps of those.
func Encode(fields map[string]any) ([]byte, error) {
	return encMode.Marshal(fields)
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

func decodeText(raw cbor.RawMessage) (string, bool) {
	s, ok := decodeExact[string](raw)
	return repaired(s), ok
}

// repaired is text in valid UTF-8: U+FFFD replaces bytes that are not.
func repaired(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Int is a field's integer, and reports whether the field is there and is one that fits.
func (f Frame) Int(name string) (int64, bool) { return decodeExact[int64](f.all()[name]) }

// Bool is a field's truth value, and reports whether the field is there and is one.
func (f Frame) Bool(name string) (value, ok bool) { return decodeExact[bool](f.all()[name]) }

// Map is a field's map with text keys, and reports whether the field is there and is one.
func (f Frame) Map(name string) (Frame, bool) {
	m, err := decodeFrame(f.all()[name])
	return m, err == nil
}

// decodeFrame reads a map inside a frame.
func decodeFrame(raw cbor.RawMessage) (Frame, error) {
	if !isMap(raw) {
		return Frame{}, errors.New("it is no map")
	}
	fields, err := decodeMap(raw)
	return Frame{fields: fields}, err
}

// List is a field's array, its elements still encoded, and reports whether the field is
// there and is one.
func (f Frame) List(name string) ([]cbor.RawMessage, bool) { return decodeList(f.all()[name]) }

func decodeList(raw cbor.RawMessage) ([]cbor.RawMessage, bool) {
	const majorArray = 4
	if len(raw) == 0 || raw[0]>>5 != majorArray {
		return nil, false
	}
	var list []cbor.RawMessage
	err := frameMode.Unmarshal(raw, &list)
	return list, err == nil || isWrongTag(err)
}

// Value is a field as a Go value: string, int64, uint64, big.Int, float64, bool, nil,
// []byte, time.Time, cbor.Tag, []any or map[string]any. If the field has no such value (a
// map with keys that are not text, say), it is the CBOR diagnostic notation (RFC 8949, 8).
func (f Frame) Value(name string) any {
	raw, ok := f.all()[name]
	if !ok {
		return nil
	}
	return decodeValue(raw)
}

func decodeValue(raw cbor.RawMessage) any {
	var v any
	if err := valueMode.Unmarshal(raw, &v); err == nil {
		return v
	}
	return diagnose(raw)
}

// Extra is every field but the named ones, as Value has them; nil if there is none.
func (f Frame) Extra(known ...string) map[string]any {
	var extra map[string]any
	all := f.all()
	for name, raw := range all {
		if slices.Contains(known, name) {
			continue
		}
		if extra == nil {
			extra = make(map[string]any, len(all))
		}
		extra[name] = decodeValue(raw)
	}
	return extra
}

// secretFields are the fields that must never be shown, at any depth: the challenge
// answer, the SID under both its names, the challenge or a token, and an invitation.
var secretFields = []string{"password", "sid", "session_id", "token", "invite"}

const (
	maxDescription = 16 << 10 // bytes of a whole description, roughly: a frame may have thousands of fields
	maxShownField  = 512      // bytes that a description shows of one field
	maxDiagnosis   = 16 << 10 // bytes of a value in diagnostic notation: for an integer of a megabyte that takes seconds
)

// Describe shows the frame in CBOR diagnostic notation for a log, "type" first,
// with every secret replaced and long fields cut.
func (f Frame) Describe() string { return describeMap(f.all(), maxShownField) }

func describeMap(fields map[string]cbor.RawMessage, limit int) string {
	names := slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == "type":
			return -1
		case b == "type":
			return 1
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q: ", name)
		if slices.Contains(secretFields, name) {
			b.WriteString("[secret]")
			continue
		}
		b.WriteString(describeValue(fields[name], limit))
		if b.Len() > maxDescription {
			b.WriteString(", …")
			break
		}
	}
	b.WriteByte('}')
	return b.String()
}

// describeValue shows one value, cut to a limit.
func describeValue(raw cbor.RawMessage, limit int) string {
	text := ""
	if list, ok := decodeList(raw); ok {
		parts := make([]string, 0, min(len(list), limit))
		for size := 0; len(parts) < len(list) && size <= limit; {
			part := describeValue(list[len(parts)], limit)
			size += len(part)
			parts = append(parts, part)
		}
		text = "[" + strings.Join(parts, ", ") + "]"
	} else if m, err := decodeFrame(raw); err == nil {
		text = describeMap(m.fields, limit)
	} else if s, ok := decodeText(raw); ok && len(s) > limit {
		text = strconv.Quote(s)
	} else {
		text = diagnose(raw)
	}
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + fmt.Sprintf("… (%d bytes)", len(raw))
	}
	return text
}

// diagnose is a value in diagnostic notation, or its bytes in hexadecimal if it is long.
func diagnose(raw cbor.RawMessage) string {
	if len(raw) <= maxDiagnosis {
		if s, err := cbor.Diagnose(raw); err == nil {
			return s
		}
	}
	return fmt.Sprintf("h'%x'", []byte(raw))
}
