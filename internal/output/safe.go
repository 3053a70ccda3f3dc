// Package output is what people and programs read: text, JSON, colour, safe
// text, failures. It never sees a connection. docs/scripting.md describes what it
// writes.
package output

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// hostile reports whether a character must never reach a terminal or a JSON line
// as it is: C0 and DEL, C1, the line and paragraph separators, and the
// characters that embed, override or isolate a direction (Unicode UAX #9, 2).
func hostile(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x2028, r == 0x2029:
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return false
}

// Line makes text safe to show on one line of a terminal: what is hostile, line
// ends and tabs included, becomes a visible escape, and bytes that are not UTF-8
// become U+FFFD.
func Line(s string) string { return escape(s, false) }

// Block makes text safe to show on a terminal over several lines: as Line, but
// newlines and tabs stay.
func Block(s string) string { return escape(s, true) }

func escape(s string, lines bool) string {
	clean := true
	for _, r := range s {
		if hostile(r) || r == utf8.RuneError {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for _, r := range s {
		switch {
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case hostile(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case hostile(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r) // a byte that is not UTF-8 ranges as U+FFFD
		}
	}
	return b.String()
}
