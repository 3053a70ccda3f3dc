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
