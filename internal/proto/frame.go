// Package proto is the Skaro wire: frames, their CBOR, statuses, the challenge
// answer and the token that replaces a password. It has no I/O and starts no
// goroutine; client and server share it. docs/protocol.md is its specification.
package proto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// MaxFrame is the largest frame, in bytes, that either side reads unless told
// otherwise. A history reply is easily larger than a WebSocket library's default.
const MaxFrame = 16 << 20

// Limits for hostile input. The first set bounds a whole frame, whose fields
// stay encoded until they are asked for; the second bounds the fields that are
// turned into Go values of any type, where a byte of input may cost far more
// than a byte of memory.
const (
	maxDepth         = 32
	maxFrameElements = 1 << 20
	maxValueElements = 1 << 14
	maxPairs         = 1 << 12
)

var (
	frameMode = decMode(maxFrameElements)
	valueMode = decMode(maxValueElements)
	encMode   = must(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		NilContainers: cbor.NilContainerAsEmpty,
	}.EncMode())
)

func decMode(maxElements int) cbor.DecMode {
	return must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxPairs,
		// A text string that is not UTF-8 is shown repaired, not refused: one bad
		// name must not hide a whole history.
		UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode())
}

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options above are constants: this is a programming error
	}
	return mode
}

// Frame is one decoded Skaro frame: a CBOR map with text keys (docs/protocol.md,
// "Transport"). Its values stay encoded until they are asked for, so that an
// odd value in a field nobody needs spoils nothing.
type Frame map[string]cbor.RawMessage

// Decode reads one frame from a whole binary WebSocket message. It fails when b
// is not exactly one CBOR map with distinct text keys, within the package's limits.
func Decode(b []byte) (Frame, error) {
	if len(b) == 0 {
		return nil, errors.New("an empty message is not a Skaro frame")
	}
	if b[0]>>5 != majorMap { // the rest of its head may be missing
		return nil, fmt.Errorf("a Skaro frame is a CBOR map, this message starts with byte 0x%02x", b[0])
	}
	if err := frameMode.Wellformed(b); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("not a Skaro frame: it ends in the middle")
		}
		return nil, fmt.Errorf("not a Skaro frame: %s", strings.TrimPrefix(err.Error(), "cbor: "))
	}
	return split(bytes.Clone(b))
}

// Encode writes a map as one frame, its keys in a fixed order. Values are Go
// strings, integers, floats, booleans, slices and maps of those.
func Encode(fields map[string]any) ([]byte, error) {
	return encMode.Marshal(fields)
}

// EncodeRequest writes the request typ with the number id and its further
// fields (docs/protocol.md, "Requests and replies"). The fields must not hold
// "type" or "on_request".
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

// Type is the frame's "type", or "" where that is missing or not text.
func (f Frame) Type() string { return f.Text("type") }

// Text is a field's text, or "" where the field is missing or not text.
func (f Frame) Text(name string) string {
	s, _ := f.TextOK(name)
	return s
}

// TextOK is a field's text, and whether the field is there and is text.
func (f Frame) TextOK(name string) (string, bool) {
	return text(f[name])
}

// ExactText is a field's text just as it came, and whether the field is there
// and is text in valid UTF-8. Where TextOK repairs, this refuses: what is stored
// must be what was sent.
func (f Frame) ExactText(name string) (string, bool) {
	raw := f[name]
	major, n, size := head(raw)
	if major != majorText {
		return "", false
	}
	var s string
	if size != indefinite {
		s = string(raw[n:])
	} else if valueMode.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, utf8.ValidString(s)
}

func text(raw cbor.RawMessage) (string, bool) {
	major, n, size := head(raw)
	if major != majorText {
		return "", false
	}
	if size != indefinite {
		return strings.ToValidUTF8(string(raw[n:]), "\uFFFD"), true
	}
	var s string
	if valueMode.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return strings.ToValidUTF8(s, "\uFFFD"), true
}

// Int is a field's integer, and whether the field is there and is one that fits.
func (f Frame) Int(name string) (int64, bool) {
	switch major, _, n := head(f[name]); {
	case n > math.MaxInt64:
		return 0, false
	case major == majorUnsigned:
		return int64(n), true
	case major == majorNegative:
		return -1 - int64(n), true
	}
	return 0, false
}

// Bool is a field's truth value, and whether the field is there and is one.
func (f Frame) Bool(name string) (value, ok bool) {
	switch raw := f[name]; {
	case len(raw) == 1 && raw[0] == 0xf5:
		return true, true
	case len(raw) == 1 && raw[0] == 0xf4:
		return false, true
	}
	return false, false
}

// Map is a field's map with text keys, and whether the field is there and is one.
func (f Frame) Map(name string) (Frame, bool) {
	raw := f[name]
	if major, _, _ := head(raw); major != majorMap {
		return nil, false
	}
	m, err := split(raw)
	return m, err == nil
}

// List is a field's array, its elements still encoded, and whether the field is
// there and is one.
func (f Frame) List(name string) ([]cbor.RawMessage, bool) {
	raw := f[name]
	major, at, count := head(raw)
	if major != majorArray {
		return nil, false
	}
	var list []cbor.RawMessage
	for i := uint64(0); i != count && !ends(raw, at, count); i++ {
		end := skip(raw, at)
		list = append(list, raw[at:end:end])
		at = end
	}
	return list, true
}

// Value is a field as a Go value: string, int64, uint64, big.Int, float64,
// bool, nil, []byte, time.Time, cbor.Tag, []any or map[string]any. A field that
// has no such value (a map with keys that are not text, say) comes as its CBOR
// diagnostic notation (RFC 8949, 8), or as its bytes in hexadecimal where it is long,
// so that nothing is lost.
func (f Frame) Value(name string) any {
	raw, ok := f[name]
	if !ok {
		return nil
	}
	var v any
	if err := valueMode.Unmarshal(raw, &v); err == nil {
		return v
	}
	return diagnose(raw)
}

// Extra is every field but the named ones, as Value has them; nil when there is none.
func (f Frame) Extra(known ...string) map[string]any {
	var extra map[string]any
	for name := range f {
		if slices.Contains(known, name) {
			continue
		}
		if extra == nil {
			extra = make(map[string]any, len(f))
		}
		extra[name] = f.Value(name)
	}
	return extra
}

// secretFields are the fields whose values must never be shown, however deep they
// are: the challenge answer, the SID under both its names, the challenge or a
// token, and an invitation.
var secretFields = []string{"password", "sid", "session_id", "token", "invite"}

// describeLimit bounds what Describe shows of one field, in bytes.
const describeLimit = 512

// Describe shows the frame in CBOR diagnostic notation for a log, "type" first,
// with every secret replaced and long fields cut.
func (f Frame) Describe() string { return f.describe(describeLimit) }

func (f Frame) describe(limit int) string {
	names := slices.SortedFunc(maps.Keys(f), func(a, b string) int {
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
		b.WriteString(describe(f, name, limit))
		if b.Len() > maxDescription {
			b.WriteString(", …")
			break
		}
	}
	b.WriteByte('}')
	return b.String()
}

// maxDescription bounds a whole description, roughly, in bytes: a frame may have
// thousands of fields.
const maxDescription = 16 << 10

// describe shows one field, cut to a limit.
func describe(f Frame, name string, limit int) string {
	var text string
	if list, ok := f.List(name); ok {
		parts := make([]string, 0, len(list))
		for size := 0; len(parts) < len(list) && size <= limit; {
			part := describe(Frame{"": list[len(parts)]}, "", limit)
			size += len(part)
			parts = append(parts, part)
		}
		text = "[" + strings.Join(parts, ", ") + "]"
	} else if m, ok := f.Map(name); ok {
		text = m.describe(limit)
	} else if s, ok := f.TextOK(name); ok && len(s) > limit {
		text = strconv.Quote(s)
	} else {
		text = diagnose(f[name])
	}
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + fmt.Sprintf("… (%d bytes)", len(f[name]))
	}
	return text
}

// maxDiagnosis is how long a value may be that is written in diagnostic notation, in
// bytes: for one integer of a megabyte that takes seconds.
const maxDiagnosis = 16 << 10

func diagnose(raw cbor.RawMessage) string {
	if len(raw) <= maxDiagnosis {
		if s, err := cbor.Diagnose(raw); err == nil {
			return s
		}
	}
	return fmt.Sprintf("h'%x'", []byte(raw))
}
