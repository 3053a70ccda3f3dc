package output

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// jsonEncoder appends values as JSON in the form that scripts rely on: fields of a struct in
// their order, keys of a map sorted, and a character that must not reach a terminal as a \u
// escape. encoding/json would hold a whole line several times.
type jsonEncoder struct {
	buf   []byte
	w     io.Writer // if not nil, gets what is more than spillSize of a line
	short bool      // write the short escapes, as in \n, if there are any
	err   error     // the first one
	tags  map[reflect.Type][]jsonTag
}

const (
	// spillSize is how many bytes of a line a jsonEncoder holds before it writes them.
	spillSize = 64 << 10
	// pieceSize is how many bytes of a text it appends at a time.
	pieceSize = 16 << 10
)

// value appends a value of a result: what jsonValue returns, or a struct with json tags.
func (e *jsonEncoder) value(v any) {
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case string:
		e.text(v)
	case json.Number:
		e.buf = append(e.buf, v...)
	case json.RawMessage:
		e.buf = append(e.buf, v...)
	case []byte:
		e.bytes(v)
	case *big.Int:
		e.buf = v.Append(e.buf, 10)
	case []any:
		e.list(len(v), func(i int) { e.value(v[i]) })
	case map[string]any:
		e.buf = append(e.buf, '{')
		e.members(v)
		e.buf = append(e.buf, '}')
	default:
		e.reflected(reflect.ValueOf(v))
	}
}

// reflected is value for a value of any other type.
func (e *jsonEncoder) reflected(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.buf = strconv.AppendInt(e.buf, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.buf = strconv.AppendUint(e.buf, v.Uint(), 10)
	case reflect.String:
		e.text(v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			e.value(nil)
		} else {
			e.value(v.Elem().Interface())
		}
	case reflect.Slice:
		e.list(v.Len(), func(i int) { e.reflected(v.Index(i)) })
	case reflect.Map: // of any, as in all results
		e.value(v.Interface().(map[string]any))
	case reflect.Struct:
		e.buf = append(e.buf, '{')
		e.fields(v)
		e.buf = append(e.buf, '}')
	default: // numbers with a fraction, and what only a template can make
		b, err := json.Marshal(v.Interface())
		e.buf, e.err = append(e.buf, b...), cmp.Or(e.err, err)
	}
}

// list appends a list of n elements.
func (e *jsonEncoder) list(n int, element func(i int)) {
	e.buf = append(e.buf, '[')
	for i := range n {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		element(i)
		e.spill()
	}
	e.buf = append(e.buf, ']')
}

// members appends the members of a map, without braces.
func (e *jsonEncoder) members(m map[string]any) {
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.text(name)
		e.buf = append(e.buf, ':')
		e.value(m[name])
		e.spill()
	}
}

// fields appends the fields of a struct, without braces. Each has a json tag.
func (e *jsonEncoder) fields(v reflect.Value) {
	first := true
	for i, t := range e.tagsOf(v.Type()) {
		f := v.Field(i)
		if t.omitEmpty && empty(f) {
			continue
		}
		if !first {
			e.buf = append(e.buf, ',')
		}
		first = false
		e.buf = append(e.buf, t.key...)
		e.reflected(f)
		e.spill()
	}
}

// jsonTag is the json tag of a field.
type jsonTag struct {
	name, key string // key is the name in its quotes, with the colon
	omitEmpty bool
}

// tagsOf returns the tags of the fields of a struct.
func (e *jsonEncoder) tagsOf(t reflect.Type) []jsonTag {
	if list, ok := e.tags[t]; ok {
		return list
	}
	list := make([]jsonTag, t.NumField())
	for i := range list {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		list[i] = jsonTag{name, `"` + name + `":`, option == "omitempty"}
	}
	if e.tags == nil {
		e.tags = map[reflect.Type][]jsonTag{}
	}
	e.tags[t] = list
	return list
}

// empty reports whether omitempty leaves out a field, as encoding/json has it.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() == 0
	}
	return v.IsZero()
}

// text appends a string in parts, so that a long one is never held whole.
func (e *jsonEncoder) text(s string) {
	e.buf = append(e.buf, '"')
	for len(s) > pieceSize {
		n := pieceSize
		for n > pieceSize-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		e.piece(s[:n])
		e.spill()
		s = s[n:]
	}
	e.piece(s)
	e.buf = append(e.buf, '"')
}

// piece appends a part of a string.
func (e *jsonEncoder) piece(s string) {
	start := 0 // of the bytes that are not copied yet
	for i := 0; i < len(s); {
		c, size := s[i], 1
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r := rune(c)
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
			if !hostile(r) && !tag(r) && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		e.buf = e.escape(append(e.buf, s[start:i]...), r)
		i += size
		start = i
	}
	e.buf = append(e.buf, s[start:]...)
}

// shortEscapes are the characters that have one.
var shortEscapes = map[rune]byte{'\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}

// escape appends a character as an escape.
func (e *jsonEncoder) escape(buf []byte, r rune) []byte {
	switch {
	case r == '"', r == '\\':
		return append(buf, '\\', byte(r))
	case e.short && shortEscapes[r] != 0:
		return append(buf, '\\', shortEscapes[r])
	}
	return appendEscape(buf, r)
}

// bytes appends bytes as a string of base64.
func (e *jsonEncoder) bytes(b []byte) {
	e.buf = append(e.buf, '"')
	const part = pieceSize / 3 * 3 // needs no padding
	for ; len(b) > part; b = b[part:] {
		e.buf = base64.StdEncoding.AppendEncode(e.buf, b[:part])
		e.spill()
	}
	e.buf = append(base64.StdEncoding.AppendEncode(e.buf, b), '"')
}

// spill writes what is held of a long line.
func (e *jsonEncoder) spill() {
	if e.w == nil || len(e.buf) < spillSize {
		return
	}
	_, err := e.w.Write(e.buf)
	e.buf, e.err = e.buf[:0], cmp.Or(e.err, err)
}

// writeJSON writes a result as one line of JSON.
func writeJSON(w io.Writer, v any) error {
	e := jsonEncoder{w: w}
	e.value(v)
	return e.end()
}

// end ends a line, and writes what is held of it.
func (e *jsonEncoder) end() error {
	_, err := e.w.Write(append(e.buf, '\n'))
	e.buf = e.buf[:0]
	return cmp.Or(e.err, err)
}

// appendEscape appends a character as \uXXXX, one beyond the basic plane as two of them.
func appendEscape(buf []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return fmt.Appendf(buf, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(buf, `\u%04x`, r)
}

// maxDecimal is how many bits an integer may have that is written in decimal. The time for
// that grows with the square of the length, and is seconds for a megabyte: a longer one is
// hexadecimal text.
const maxDecimal = 8192

// jsonValue returns a value of proto.Frame.Value as one that jsonEncoder writes without
// loss: integers are exact, bytes are base64, dates are RFC 3339, and numbers that JSON
// does not have (NaN, the infinities) are text. It changes lists and maps in their place.
func jsonValue(v any) any {
	switch v := v.(type) {
	case float64:
		return jsonFloat(v)
	case big.Int:
		if v.BitLen() > maxDecimal {
			return fmt.Sprintf("%#x", &v)
		}
		return &v
	case time.Time:
		return jsonTime(v)
	case proto.Encoded:
		return jsonValue(v.Value())
	case cbor.Tag:
		return jsonValue(v.Content)
	case cbor.SimpleValue:
		return uint8(v)
	case []any:
		for i, e := range v {
			v[i] = jsonValue(e)
		}
	case map[string]any:
		for name, e := range v {
			v[name] = jsonValue(e)
		}
	}
	return v
}

// jsonMap is jsonValue for the fields of a message, or those that a result has beyond the
// usual ones.
func jsonMap(fields interface{ Values() map[string]any }) map[string]any {
	values := fields.Values()
	jsonValue(values)
	return values
}

func jsonFloat(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return json.Number(strconv.FormatFloat(v, format, -1, 64))
}

func jsonTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// jsonSecond is a time without fractions of a second.
func jsonSecond(t time.Time) string { return jsonTime(t.Truncate(time.Second)) }

// jsonDate returns nil for no date, and a date that can't be read as the server sent it.
func jsonDate(d proto.Date) any {
	switch {
	case !d.Time.IsZero():
		return jsonTime(d.Time)
	case d.Raw == nil:
		return nil
	}
	if v := jsonValue(d.Raw); v != nil {
		return v
	}
	return json.RawMessage("null") // of a tagged null
}

// valueText is a value of proto.Frame.Value as JSON.
func valueText(v any) string {
	var e jsonEncoder
	e.value(jsonValue(v))
	return string(e.buf)
}

// shownValue is valueText for people: no more than the beginning of a long value, with its
// length.
func shownValue(v any) string {
	var text beginning
	e := jsonEncoder{w: &text}
	e.value(jsonValue(v))
	_, _ = text.Write(e.buf)
	if text.size == len(text.kept) {
		return string(text.kept)
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(string(text.kept), ""), text.size)
}

// beginning keeps the first maxField bytes that are written to it.
type beginning struct {
	kept []byte
	size int // of everything that was written
}

func (b *beginning) Write(p []byte) (int, error) {
	b.size += len(p)
	b.kept = append(b.kept, p[:min(len(p), maxField-len(b.kept))]...)
	return len(p), nil
}

// DateText is a date as JSON has it, without quotes: RFC 3339 in UTC, or as the server sent
// it if it can't be read, or "" for no date.
func DateText(d proto.Date) string {
	text, isText := d.Raw.(string)
	switch {
	case isText:
		return text
	case d.Raw != nil:
		return valueText(d.Raw)
	case d.Time.IsZero():
		return ""
	}
	return jsonTime(d.Time)
}
