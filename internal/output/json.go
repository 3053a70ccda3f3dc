package output

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// object writes one JSON object, its keys in the order of the calls. It exists
// because the order of keys and the escaping are part of what scripts rely on,
// and encoding/json leaves neither to its caller.
type object struct {
	buf   []byte
	empty bool
}

func open(buf []byte) object { return object{append(buf, '{'), true} }

func (o *object) key(name string) {
	if !o.empty {
		o.buf = append(o.buf, ',')
	}
	o.empty = false
	o.buf = appendString(o.buf, name)
	o.buf = append(o.buf, ':')
}

func (o *object) text(name, value string) {
	o.key(name)
	o.buf = appendString(o.buf, value)
}

// some writes text that is absent when empty.
func (o *object) some(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *object) id(id int64) {
	if id != 0 {
		o.key("id")
		o.buf = strconv.AppendInt(o.buf, id, 10)
	}
}

func (o *object) bool(name string, value bool) {
	o.key(name)
	o.buf = strconv.AppendBool(o.buf, value)
}

func (o *object) date(name string, d proto.Date) {
	switch {
	case !d.Time.IsZero():
		o.key(name)
		o.buf = appendTime(o.buf, d.Time)
	case d.Raw != nil:
		o.key(name)
		o.buf = appendValue(o.buf, d.Raw)
	}
}

func (o *object) seconds(name string, t time.Time) {
	o.key(name)
	o.buf = appendTime(o.buf, t.Truncate(time.Second))
}

func (o *object) extra(fields map[string]any) {
	if len(fields) > 0 {
		o.key("extra")
		o.buf = appendValue(o.buf, fields)
	}
}

func (o *object) close() []byte { return append(o.buf, '}') }

// AppendMessage appends a message as one JSON object, as somebody sees it whose
// login is own.
func AppendMessage(buf []byte, m proto.Message, own string) []byte {
	o := open(buf)
	o.text("type", "message")
	o.id(m.ID)
	o.date("date", m.Date)
	o.text("dialog", m.Dialog(own))
	o.text("from", m.From)
	o.text("to", m.To)
	o.some("conference", m.Conference)
	if m.From == own {
		o.bool("own", true)
	}
	o.text("body", m.Body)
	o.extra(m.Extra)
	return o.close()
}

// AppendPush appends a push that is no message as one JSON object: an info or an
// error as such, another as a push with its name.
func AppendPush(buf []byte, f proto.Frame) []byte {
	o := open(buf)
	typ := f.Type()
	known := []string{"type"}
	if typ == proto.TypeInfo || typ == proto.TypeError {
		o.text("type", typ)
		if info, ok := f.TextOK("info"); ok {
			o.some("info", info)
			known = append(known, "info")
		}
	} else {
		o.text("type", "push")
		o.some("name", typ)
	}
	o.extra(f.Extra(known...))
	return o.close()
}

func appendContact(buf []byte, c proto.Contact) []byte {
	o := open(buf)
	o.text("type", "contact")
	o.text("login", c.Login)
	o.some("name", c.Name)
	if c.Online != nil {
		o.bool("online", *c.Online)
	}
	o.extra(c.Extra)
	return o.close()
}

func appendTime(buf []byte, t time.Time) []byte {
	buf = append(buf, '"')
	buf = t.UTC().AppendFormat(buf, time.RFC3339Nano)
	return append(buf, '"')
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string (RFC 8259, 7). Control, C1, line-separator,
// direction and tag characters are \u escapes, always; bytes that are not UTF-8
// become U+FFFD.
func appendString(buf []byte, s string) []byte {
	buf = append(buf, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			buf = append(buf, s[start:i]...)
			if c == '"' || c == '\\' {
				buf = append(buf, '\\', c)
			} else {
				buf = appendEscape(buf, rune(c))
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && size == 1
		if bad || hostile(r) || tag(r) {
			buf = append(buf, s[start:i]...)
			buf = appendEscape(buf, r)
			start = i + size
		}
		i += size
	}
	buf = append(buf, s[start:]...)
	return append(buf, '"')
}

// appendEscape appends a character as \uXXXX, one beyond the basic plane as two.
func appendEscape(buf []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return appendEscape(appendEscape(buf, high), low)
	}
	return append(buf, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// maxDecimal is how many bits an integer may have that is written in decimal: that
// takes more than twice as long for one that is twice as long, and seconds for a
// megabyte. A longer one is hexadecimal, as text.
const maxDecimal = 8192

// appendValue appends what proto.Frame.Value returns: integers exact, byte
// strings in base64, dates as RFC 3339, the keys of maps sorted. What JSON has no
// word for (NaN, the infinities) is text.
func appendValue(buf []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(buf, "null"...)
	case string:
		return appendString(buf, v)
	case bool:
		return strconv.AppendBool(buf, v)
	case int:
		return strconv.AppendInt(buf, int64(v), 10)
	case int64:
		return strconv.AppendInt(buf, v, 10)
	case uint64:
		return strconv.AppendUint(buf, v, 10)
	case big.Int:
		if v.BitLen() > maxDecimal {
			return appendString(buf, fmt.Sprintf("%#x", &v))
		}
		return v.Append(buf, 10)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return appendString(buf, strconv.FormatFloat(v, 'g', -1, 64))
		}
		format := byte('f')
		if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			format = 'e'
		}
		return strconv.AppendFloat(buf, v, format, -1, 64)
	case []byte:
		return appendString(buf, base64.StdEncoding.EncodeToString(v))
	case time.Time:
		if year := v.UTC().Year(); year < 0 || year > 9999 { // RFC 3339 has none such
			return strconv.AppendInt(buf, v.Unix(), 10)
		}
		return appendTime(buf, v)
	case cbor.Tag:
		return appendValue(buf, v.Content)
	case cbor.SimpleValue:
		return strconv.AppendUint(buf, uint64(v), 10)
	case []string:
		buf = append(buf, '[')
		for i, s := range v {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = appendString(buf, s)
		}
		return append(buf, ']')
	case []any:
		buf = append(buf, '[')
		for i, e := range v {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = appendValue(buf, e)
		}
		return append(buf, ']')
	case map[string]any:
		o := open(buf)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			o.key(k)
			o.buf = appendValue(o.buf, v[k])
		}
		return o.close()
	}
	panic("output: a value of a type that no frame holds")
}

// DateText is a date as JSON has it, without quotes: RFC 3339 in UTC, what can't be
// read as a date as it came, and "" where there is none.
func DateText(d proto.Date) string {
	switch v := d.Raw.(type) {
	case nil:
		if d.Time.IsZero() {
			return ""
		}
		return d.Time.UTC().Format(time.RFC3339Nano)
	case string:
		return v
	default:
		return string(appendValue(nil, v))
	}
}
