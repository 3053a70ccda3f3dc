package proto

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// Limits for hostile input (docs/security.md, "Limits of the client"). An element is a number, a text, an
// array, a map and so on; a key counts too. A whole frame may have many, since its fields
// stay encoded until they are asked for. A value that becomes a Go value of any type may
// have fewer: there an element of one byte may cost 170 bytes of memory.
const (
	maxDepth         = 32      // levels of arrays, maps and tags
	maxFrameElements = 1 << 20 // of a whole frame
	maxEntries       = 1 << 18 // messages or contacts in one array
	maxValueElements = 1 << 18 // of everything in a result that this program does not know
	maxPairs         = 1 << 12 // keys of one map
)

var (
	decoding = cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  maxFrameElements,
		MaxMapPairs:       maxPairs,
		// Text that is not UTF-8 is repaired and shown, because one bad name must not hide a
		// whole history.
		UTF8: cbor.UTF8DecodeInvalid,
	}
	// noSimpleValues keeps the library from reading CBOR's simple values as numbers.
	noSimpleValues = must(cbor.NewSimpleValueRegistryFromDefaults(rejectSimpleValues))
	// exactMode decodes one type and no other: a tagged text, say, is not a text.
	exactMode = must(with(decoding, func(o *cbor.DecOptions) { o.TagsMd, o.SimpleValues = cbor.TagsForbidden, noSimpleValues }).DecMode())
	// structMode is exactMode for a struct, which must have a place for every field.
	structMode = must(with(decoding, func(o *cbor.DecOptions) {
		o.TagsMd, o.SimpleValues, o.ExtraReturnErrors = cbor.TagsForbidden, noSimpleValues, cbor.ExtraDecErrorUnknownField
	}).DecMode())
	// valueMode decodes a value of any type, except for arrays, maps and most tags.
	valueMode = must(decoding.DecMode())

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

// null and undefined (RFC 8949, 3.3) pass for any type when the library decodes, and leave
// the Go value as it was.
const null, undefined = 0xf6, 0xf7

// decodeStruct reads a map into a struct. It reports whether each field of the map has a
// place in the struct, and the type of that place: then nothing is lost.
func decodeStruct(b []byte, into any) bool {
	// Such a byte may also be a part of another value: decoding field by field tells them apart.
	if bytes.IndexByte(b, null) >= 0 || bytes.IndexByte(b, undefined) >= 0 {
		return false
	}
	return structMode.Unmarshal(b, into) == nil
}

// decodeMap reads a checked map with distinct text keys. Its values are parts of raw.
func decodeMap(raw []byte) (map[string]cbor.RawMessage, error) {
	if !isMap(raw) {
		return nil, errors.New("it is not a map")
	}
	fields := make(map[string]cbor.RawMessage, countParts(raw)/2)
	key, isKey := "", false
	odd := map[string]bool{}
	for part := range parts(raw) {
		if isKey = !isKey; !isKey {
			fields[key] = part
			continue
		}
		var ok bool
		if key, ok = decodeExact[string](part); !ok {
			return nil, fmt.Errorf("it has a key that is not text, but %s", kindOf(part))
		}
		shown := repaired(key) // keys that are not UTF-8 must not be shown as the same
		if _, twice := fields[key]; twice || shown != key && odd[shown] {
			return nil, fmt.Errorf("it has the key %s twice", Excerpt(strconv.Quote(shown)))
		}
		if shown != key {
			odd[shown] = true
		}
	}
	for shown := range odd {
		if _, twice := fields[shown]; twice {
			return nil, fmt.Errorf("it has the key %s twice", Excerpt(strconv.Quote(shown)))
		}
	}
	return fields, nil
}

// kindOf names the kind of an item for an error.
func kindOf(raw []byte) string {
	switch major(raw) {
	case majorUnsigned, majorNegative:
		return "an integer"
	case majorBytes:
		return "bytes"
	case majorText:
		return "text"
	case majorArray:
		return "an array"
	case majorMap:
		return "a map"
	case majorTag:
		return "tagged"
	}
	switch _, isBool := decodeExact[bool](raw); {
	case isBool:
		return "a boolean"
	case raw[0] == null, raw[0] == undefined:
		return "null"
	case raw[0] > undefined+1:
		return "a number with a fraction"
	}
	return "a simple value"
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

// encodeMap makes a map of fields that are encoded. The library would refuse a tag whose
// content can't be right.
func encodeMap(fields map[string]cbor.RawMessage) cbor.RawMessage {
	b := mustEncode(len(fields))
	b[0] |= majorMap << 5 // the head of a map is that of an integer but for the major type (RFC 8949, 3.1)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		b = append(append(b, mustEncode(name)...), fields[name]...)
	}
	return b
}

// mustEncode encodes a value whose encoding can't fail.
func mustEncode(v any) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func decodeText(raw cbor.RawMessage) (string, bool) {
	s, ok := decodeExact[string](raw)
	return repaired(s), ok
}

// repaired is text in valid UTF-8: U+FFFD replaces bytes that are not.
func repaired(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// decodeFrame reads a map inside a frame.
func decodeFrame(raw cbor.RawMessage) (Frame, error) {
	fields, err := decodeMap(raw)
	return Frame{fields: fields}, err
}

func decodeList(raw cbor.RawMessage) ([]cbor.RawMessage, bool) {
	if major(raw) != majorArray {
		return nil, false
	}
	list := make([]cbor.RawMessage, 0, countParts(raw))
	return slices.AppendSeq(list, parts(raw)), true
}

// decodeValue reads a value of any type, as Frame.Value has it.
func decodeValue(raw cbor.RawMessage) any {
	v, err := decodeAny(raw)
	if err != nil {
		return diagnose(raw)
	}
	return v
}

// decodeAny is decodeValue, but returns an error where that returns diagnostic notation.
func decodeAny(raw cbor.RawMessage) (v any, err error) {
	switch major(raw) {
	case majorArray:
		list := make([]any, 0, countParts(raw))
		for part := range parts(raw) {
			if v, err = decodeAny(part); err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case majorMap:
		fields, err := decodeMap(raw)
		if err != nil {
			return nil, err
		}
		values := make(map[string]any, len(fields))
		for name, field := range fields {
			if values[name], err = decodeAny(field); err != nil {
				return nil, err
			}
		}
		return values, nil
	case majorTag:
		return decodeTag(raw)
	}
	err = valueMode.Unmarshal(raw, &v)
	return v, err
}

// The tags with a meaning for a reader (RFC 8949, 3.4).
const (
	tagDateText = iota
	tagDateNumber
	tagBigPositive
	tagBigNegative
	tagEmbedded = 24
)

var errTag = errors.New("a tag contradicts its content")

// decodeTag reads a tagged value. If a number is tagged as a date and can't be one, it
// stays a number.
func decodeTag(raw cbor.RawMessage) (any, error) {
	number, content := splitTag(raw)
	v, err := decodeAny(content)
	if err != nil {
		return nil, err
	}
	switch number {
	case tagDateText, tagDateNumber:
		_, isText := v.(string)
		date, ok := dateOf(v)
		switch {
		case ok && major(content) != majorTag && isText == (number == tagDateText):
			return date, nil
		case number == tagDateNumber && isNumber(v):
			return v, nil
		}
		return nil, errTag
	case tagBigPositive, tagBigNegative:
		if major(content) != majorBytes {
			return nil, errTag
		}
		err = valueMode.Unmarshal(raw, &v)
		return v, err
	}
	return cbor.Tag{Number: number, Content: v}, nil
}

// isNumber reports whether a decoded value is a number.
func isNumber(v any) bool {
	switch v.(type) {
	case uint64, int64, float64, big.Int:
		return true
	}
	return false
}

// splitTag returns the number of a tag and its content.
func splitTag(raw cbor.RawMessage) (number uint64, content cbor.RawMessage) {
	s := scanner{b: raw}
	_, _, number, _ = s.head() // it can't fail, since the frame was checked
	return number, raw[s.pos:]
}

// Encoded is a value that is decoded when it is asked for.
type Encoded string

// Value returns the value as Frame.Value has it.
func (e Encoded) Value() any { return Extra{{"", cbor.RawMessage(e)}}.Value("") }

// decodeSmall is decodeValue for a number, a text and the like. An array or a map stays
// Encoded.
func decodeSmall(raw cbor.RawMessage) any {
	content := raw
	for major(content) == majorTag {
		_, content = splitTag(content)
	}
	switch major(content) {
	case majorArray, majorMap:
		return Encoded(raw)
	}
	return decodeValue(raw)
}
