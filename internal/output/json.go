package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// jsonEncoder encodes values with encoding/json, and escapes what that lets through. It
// keeps its buffer between calls.
type jsonEncoder struct {
	raw     bytes.Buffer
	encoder *json.Encoder // writes to raw
}

// append appends a value as JSON in the form that scripts rely on: a character that must
// not reach a terminal is a \u escape, always of this long form.
func (e *jsonEncoder) append(buf []byte, v any) []byte {
	raw, err := e.encode(v)
	if err != nil {
		panic(err) // a result has only types that encode, and jsonValue makes the others so
	}
	return appendEscaped(buf, raw, true)
}

// encode encodes a value as encoding/json does. The result is good until the next call.
func (e *jsonEncoder) encode(v any) ([]byte, error) {
	if e.encoder == nil {
		e.encoder = json.NewEncoder(&e.raw)
		e.encoder.SetEscapeHTML(false)
	}
	if e.raw.Cap() > maxKept {
		e.raw = bytes.Buffer{}
	}
	e.raw.Reset()
	if err := e.encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(e.raw.Bytes(), []byte("\n")), nil
}

// appendEscaped copies JSON and escapes the hostile characters in it, which can only be
// in strings. With long, it replaces the short escapes like \n by the long ones too.
func appendEscaped(buf, src []byte, long bool) []byte {
	start := 0 // of the bytes that are not copied yet
	for i := 0; i < len(src); {
		var r rune
		size, hit := 1, false
		switch c := src[i]; {
		case c == '\\':
			size = 2
			r, hit = shortEscapes[src[i+1]]
			hit = hit && long
		case c >= 0x7f:
			r, size = utf8.DecodeRune(src[i:])
			hit = hostile(r) || tag(r)
		}
		if hit {
			buf = appendEscape(append(buf, src[start:i]...), r)
			start = i + size
		}
		i += size
	}
	return append(buf, src[start:]...)
}

var shortEscapes = map[byte]rune{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

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

// jsonValue returns a value of proto.Frame.Value as one that encoding/json encodes without
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

// jsonExtra is jsonValue for the fields that a result has beyond the usual ones.
func jsonExtra(fields proto.Extra) map[string]any {
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
func valueText(v any) string { return string(new(jsonEncoder).append(nil, jsonValue(v))) }

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
