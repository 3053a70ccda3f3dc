package proto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

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
		// Text that is not UTF-8 is repaired and shown, because one bad name must not hide a
		// whole history.
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

// null and undefined (RFC 8949, 3.3) pass for any type when the library decodes, and leave
// the Go value as it was.
const null, undefined = 0xf6, 0xf7

// decodeStruct reads a map into a struct. It reports whether each field of the map has a
// place in the struct, and the type of that place: then nothing is lost.
func decodeStruct(b []byte, into any) bool {
	// If these bytes mean something else, decoding field by field finds that.
	if bytes.IndexByte(b, null) >= 0 || bytes.IndexByte(b, undefined) >= 0 {
		return false
	}
	return structMode.Unmarshal(b, into) == nil
}

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
		return nil, fmt.Errorf("a key is not text, but of the CBOR type %s", notText.CBORType)
	}
	return nil, errors.New(strings.TrimPrefix(err.Error(), "cbor: "))
}

// isWrongTag reports whether a value has a tag that can't be right, such as a date that is a
// map. The library has decoded everything else then.
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

// mustEncode encodes a struct of plain fields, which can't fail.
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
	if !isMap(raw) {
		return Frame{}, errors.New("it is not a map")
	}
	fields, err := decodeMap(raw)
	return Frame{fields: fields}, err
}

func decodeList(raw cbor.RawMessage) ([]cbor.RawMessage, bool) {
	const majorArray = 4
	if len(raw) == 0 || raw[0]>>5 != majorArray {
		return nil, false
	}
	var list []cbor.RawMessage
	err := frameMode.Unmarshal(raw, &list)
	return list, err == nil || isWrongTag(err)
}

func decodeValue(raw cbor.RawMessage) any {
	var v any
	if err := valueMode.Unmarshal(raw, &v); err == nil {
		return v
	}
	return diagnose(raw)
}
