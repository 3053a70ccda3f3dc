package proto

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

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
func (f Frame) Describe() string { return "{" + describeFields(f.all(), maxDescription) + "}" }

// describeFields shows the fields of a map, until they are longer than a limit.
func describeFields(fields map[string]cbor.RawMessage, limit int) string {
	var b strings.Builder
	for _, name := range slices.SortedFunc(maps.Keys(fields), typeFirst) {
		if !describePair(&b, strconv.Quote(name), name, fields[name], limit) {
			break
		}
	}
	return b.String()
}

// typeFirst compares the names of two fields.
func typeFirst(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "type":
		return -1
	case b == "type":
		return 1
	}
	return strings.Compare(a, b)
}

// describePair appends a key and its value. It reports whether there is room for more.
func describePair(b *strings.Builder, shown, name string, value cbor.RawMessage, limit int) (more bool) {
	if b.Len() > 0 {
		b.WriteString(", ")
	}
	if b.Len() > limit {
		b.WriteString("…")
		return false
	}
	b.WriteString(shown + ": ")
	if slices.Contains(secretFields, name) {
		b.WriteString("[secret]")
	} else {
		b.WriteString(describeValue(value))
	}
	return true
}

// describeValue shows one value, cut to maxShownField.
func describeValue(raw cbor.RawMessage) string {
	text := ""
	switch major(raw) {
	case majorArray:
		text = "[" + describeList(raw) + "]"
	case majorMap:
		text = "{" + describeMap(raw) + "}"
	case majorTag:
		text = describeTag(raw)
	case majorText:
		s, _ := decodeText(raw)
		text = strconv.Quote(s[:min(len(s), maxShownField)]) // more than is shown
	case majorBytes:
		text = diagnose(raw[:min(len(raw), maxShownField)]) // if it is cut, that is more than is shown
	default:
		text = diagnose(raw)
	}
	if len(text) > maxShownField {
		text = strings.ToValidUTF8(text[:maxShownField], "") + fmt.Sprintf("… (%d bytes)", len(raw))
	}
	return text
}

func describeList(raw cbor.RawMessage) string {
	var b strings.Builder
	for part := range parts(raw) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if b.Len() > maxShownField {
			break
		}
		b.WriteString(describeValue(part))
	}
	return b.String()
}

// describeMap shows a map, which may have keys of any type.
func describeMap(raw cbor.RawMessage) string {
	if fields, err := decodeMap(raw); err == nil {
		return describeFields(fields, maxShownField)
	}
	var b strings.Builder
	var key cbor.RawMessage
	for part := range parts(raw) {
		if key == nil {
			key = part
			continue
		}
		if !describePair(&b, describeValue(key), keyName(key), part, maxShownField) {
			break
		}
		key = nil
	}
	return b.String()
}

// keyName is the text of a key, even if the key is bytes or has a tag.
func keyName(raw cbor.RawMessage) string {
	for major(raw) == majorTag {
		_, raw = splitTag(raw)
	}
	if name, ok := decodeText(raw); ok {
		return name
	}
	name, _ := decodeExact[[]byte](raw)
	return string(name)
}

// describeTag shows a tag and its content. Bytes that are CBOR themselves (RFC 8949,
// 3.4.5.1) may have a secret too.
func describeTag(raw cbor.RawMessage) string {
	number, content := splitTag(raw)
	inner, isBytes := decodeExact[[]byte](content)
	switch {
	case number != tagEmbedded || !isBytes:
	case len(inner) > maxDiagnosis: // each level of such bytes in bytes is read again
		return fmt.Sprintf("%d([%d bytes])", number, len(inner))
	case checkFrame(inner) == nil:
		return fmt.Sprintf("%d(<<%s>>)", number, describeValue(inner))
	}
	return fmt.Sprintf("%d(%s)", number, describeValue(content))
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
