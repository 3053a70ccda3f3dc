package proto

import (
	"fmt"
	"iter"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of the fields of a message (docs/protocol.md, "fields").
const (
	MaxFields     = 32      // of one message
	MaxFieldName  = 64      // characters of a name
	MaxFieldBytes = 4 << 10 // of all fields of a message, encoded as one map
)

// The fields with a meaning.
const (
	FieldTitle   = "title"    // text
	FieldUrgency = "urgency"  // one of Urgencies
	FieldTags    = "tags"     // an array of text
	FieldReplyTo = "reply_to" // a message id
	FieldLink    = "link"     // a URL
)

// Urgencies are the values of the field urgency, in ascending order.
var Urgencies = []string{"low", "normal", "high", "critical"}

// Fields are the fields of a message: a CBOR map that ParseFields has accepted, with its keys
// in a fixed order. An empty Fields has none.
type Fields string

// FieldError says what is wrong with the fields of a message. A Name of "" means all of them.
type FieldError struct{ Name, Msg string }

// Error names the field, and says what is wrong.
func (e *FieldError) Error() string {
	if e.Name == "" {
		return e.Msg
	}
	return fmt.Sprintf("the field %s %s", Excerpt(strconv.Quote(e.Name)), e.Msg)
}

// ParseFields reads the fields of a message: text, integers, booleans and arrays of text,
// within the bounds. It takes any bytes. An error is a *FieldError.
func ParseFields(raw []byte) (Fields, error) {
	if !isMap(raw) {
		return "", &FieldError{Msg: "fields must be a map"}
	}
	s := scanner{b: raw}
	if err := s.item(0); err != nil || s.pos != len(raw) {
		return "", &FieldError{Msg: "fields are not valid CBOR"}
	}
	if s.elements > MaxFieldBytes { // each has a byte at least
		return "", tooManyBytes("more")
	}
	if n := countParts(raw) / 2; n > MaxFields {
		return "", &FieldError{Msg: fmt.Sprintf("%d fields: a message has at most %d", n, MaxFields)}
	}
	fields, err := decodeMap(raw)
	if err != nil {
		return "", &FieldError{Msg: "fields must be a map with distinct names: " + err.Error()}
	}
	values := make(map[string]any, len(fields))
	for name, raw := range fields {
		if err := CheckFieldName(name); err != nil {
			return "", err
		}
		if values[name], err = fieldValue(name, raw); err != nil {
			return "", err
		}
	}
	if len(values) == 0 {
		return "", nil
	}
	encoded := mustEncode(values)
	if len(encoded) > MaxFieldBytes {
		return "", tooManyBytes(strconv.Itoa(len(encoded)))
	}
	return Fields(encoded), nil
}

func tooManyBytes(n string) error {
	return &FieldError{Msg: fmt.Sprintf("the fields have %s bytes: at most %d", n, MaxFieldBytes)}
}

// NewFields makes the fields of a message from Go values: strings, integers, booleans and lists
// of strings. An error is a *FieldError.
func NewFields(values map[string]any) (Fields, error) {
	raw, err := encMode.Marshal(values)
	if err != nil {
		return "", &FieldError{Msg: "the fields can't be encoded: " + err.Error()}
	}
	return ParseFields(raw)
}

// CheckFieldName returns an error if a field can't have the name. It is a *FieldError.
func CheckFieldName(name string) error {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '.' && r != '-'
	}
	expected := fmt.Sprintf("a name has 1 to %d characters of a-z 0-9 _ . -", MaxFieldName)
	switch {
	case name == "":
		return &FieldError{Msg: "the name of a field is empty: " + expected}
	case len(name) > MaxFieldName, strings.ContainsFunc(name, odd):
		return &FieldError{name, "has no valid name: " + expected}
	}
	return nil
}

func fieldValue(name string, raw cbor.RawMessage) (any, error) {
	wrong := func(is string) error {
		return &FieldError{name, fmt.Sprintf("is %s: expected text, an integer, a boolean or an array of text", is)}
	}
	text := func(raw cbor.RawMessage) (string, error) {
		s, ok := decodeExact[string](raw)
		if !ok || !utf8.ValidString(s) {
			return "", &FieldError{name, "has text that is not UTF-8"}
		}
		return s, nil
	}
	switch major(raw) {
	case majorUnsigned, majorNegative:
		return decodeAny(raw)
	case majorText:
		return text(raw)
	case majorArray:
		list := []string{}
		for part := range parts(raw) {
			if major(part) != majorText {
				return nil, wrong("an array with " + kindOf(part))
			}
			s, err := text(part)
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		}
		return list, nil
	case majorSimple:
		if truth, ok := decodeExact[bool](raw); ok {
			return truth, nil
		}
	case majorTag:
		if number, _ := splitTag(raw); number == tagBigPositive || number == tagBigNegative {
			if v, err := decodeAny(raw); err == nil && major(mustEncode(v)) != majorTag { // it needs no bignum
				return v, nil
			}
			return nil, wrong("an integer beyond 64 bits")
		}
	}
	return nil, wrong(kindOf(raw))
}

// all returns the fields in the order of their encoded names.
func (f Fields) all() iter.Seq2[string, cbor.RawMessage] {
	return func(yield func(string, cbor.RawMessage) bool) {
		name, isName := "", false
		for part := range parts([]byte(f)) {
			if isName = !isName; isName {
				name, _ = decodeExact[string](part) // ParseFields has accepted it
			} else if !yield(name, part) {
				return
			}
		}
	}
}

// value returns the encoded value of a field, or nil.
func (f Fields) value(name string) cbor.RawMessage {
	for n, raw := range f.all() {
		if n == name {
			return raw
		}
	}
	return nil
}

// Values returns the fields as Frame.Value has them; nil if there are none.
func (f Fields) Values() map[string]any {
	if f == "" {
		return nil
	}
	values := map[string]any{}
	for name, raw := range f.all() {
		values[name] = decodeValue(raw)
	}
	return values
}

// Title is the text of the field title, or "".
func (f Fields) Title() string {
	title, _ := decodeExact[string](f.value(FieldTitle))
	return title
}

// Urgency is the value of the field urgency, or "" if that is none of Urgencies.
func (f Fields) Urgency() string {
	urgency, _ := decodeExact[string](f.value(FieldUrgency))
	if !slices.Contains(Urgencies, urgency) {
		return ""
	}
	return urgency
}

// Matches reports whether the field name has the value, written as text. An array matches if
// one of its elements does.
func (f Fields) Matches(name, value string) bool {
	switch v := decodeValue(f.value(name)).(type) {
	case nil:
		return false
	case []any:
		return slices.Contains(v, any(value))
	case big.Int: // below -2^63
		return v.String() == value
	default:
		return fmt.Sprint(v) == value
	}
}

// CheckKnown returns an error if a field with a meaning has a value that it can't have. A
// server does not check that. The error is a *FieldError.
func (f Fields) CheckKnown() error {
	for name, raw := range f.all() {
		expected, ok := "", true
		switch v := decodeValue(raw); name {
		case FieldTitle:
			_, ok = v.(string)
			expected = "text"
		case FieldUrgency:
			ok, expected = f.Urgency() != "", "low, normal, high or critical"
		case FieldTags:
			_, ok = v.([]any)
			expected = "an array of text"
		case FieldReplyTo:
			id, isID := decodeExact[int64](raw)
			ok, expected = isID && id > 0, "the id of a message"
		case FieldLink:
			ok, expected = isURL(v), "a URL with a scheme, such as https://example.org/"
		}
		if !ok {
			return &FieldError{name, "must be " + expected}
		}
	}
	return nil
}

// isURL reports whether a value is an absolute URL.
func isURL(v any) bool {
	text, _ := v.(string)
	u, err := url.Parse(text)
	return err == nil && u.IsAbs()
}
