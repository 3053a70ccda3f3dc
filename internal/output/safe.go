// Package output writes what people and programs read: results and failures, as text or as
// JSON, in colour, and always safe to show. It never sees a connection. docs/reference.md
// describes its JSON.
package output

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// hostile reports whether a character must not reach a terminal or a JSON line as it is:
// C0 and DEL, C1, the line and paragraph separators, and the characters that embed,
// override or isolate a direction (Unicode UAX #9, 2).
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

// Line makes text safe to show on one line of a terminal. Hostile characters, line ends and
// tabs included, become visible escapes, and so do Unicode's tags, which can hide a second
// text in the first; bytes that are not UTF-8 become U+FFFD. Other invisible characters
// stay: emoji and several scripts need them.
func Line(s string) string { return escape(s, false) }

// Block is Line for several lines: newlines and tabs stay.
func Block(s string) string { return escape(s, true) }

func escape(s string, lines bool) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return hostile(r) || tag(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	writeSafe(&b, s, lines, "")
	return b.String()
}

// textWriter is a strings.Builder or a bufio.Writer, which keep an error themselves.
type textWriter interface {
	io.Writer
	io.StringWriter
	WriteRune(r rune) (int, error)
}

// writeSafe writes Block(s) if lines is true, otherwise Line(s), with an indent after every
// newline. It keeps nothing, because an escape is up to four times as long as its character.
func writeSafe(b textWriter, s string, lines bool, indent string) {
	flag := 0 // index after the tags of a flag
	for i, r := range s {
		switch {
		case lines && r == '\n':
			b.WriteString("\n")
			b.WriteString(indent)
		case lines && r == '\t':
			b.WriteRune(r)
		case hostile(r), tag(r) && i >= flag:
			writeEscape(b, r)
		default:
			if r == blackFlag {
				flag = i + utf8.RuneLen(r) + flagTags(s[i+utf8.RuneLen(r):])
			}
			b.WriteRune(r) // for a byte that is not UTF-8, r is U+FFFD
		}
	}
}

func writeEscape(b textWriter, r rune) {
	switch {
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\r':
		b.WriteString(`\r`)
	case r == '\t':
		b.WriteString(`\t`)
	case r < 0x100:
		fmt.Fprintf(b, `\x%02x`, r)
	case r < 0x10000:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// tag reports whether a character is one of Unicode's tags: invisible copies of ASCII.
func tag(r rune) bool { return r >= 0xe0000 && r <= cancelTag }

const (
	blackFlag = 0x1f3f4
	cancelTag = 0xe007f
)

// flagTags returns the length of the tags at the start of s that turn a black flag before them into
// the flag of a region (Unicode UTS #51, emoji tag sequence), or 0 if they don't.
func flagTags(s string) int {
	const shortest, longest = 3, 6 // of a region with its country, as in "gbsct"
	n := 0
	for i, r := range s {
		c := r - 0xe0000
		switch {
		case r == cancelTag && n >= shortest:
			return i + utf8.RuneLen(r)
		case n < longest && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z'):
			n++
		default:
			return 0
		}
	}
	return 0
}

// Login makes a login or another name of a user safe to show, so that no two look the same
// because of invisible characters. A name without such characters, without spaces and without a
// quote at its start stays as it is. Any other is in quotes, and invisible characters in it are
// escapes. What is longer than a login can be is cut, and its length is added.
func Login(s string) string { return cut(s, proto.MaxLogin, login) }

// maxField is how many bytes of a value text has, except for the body of a message.
const maxField = 64 << 10

// field is Line for a value of the server that may be of any length.
func field(s string) string { return cut(s, maxField, Line) }

// cut makes a text safe with show. If it has more than most bytes, only the beginning is
// shown, and the length is added: an escape is up to four times as long as its character.
func cut(s string, most int, show func(string) string) string {
	if len(s) <= most {
		return show(s)
	}
	end := most
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes)", show(s[:end]), len(s))
}

func login(s string) string {
	plain := s != "" && s[0] != '"'
	for i, r := range s {
		plain = plain && r != ' ' && !invisible(r, i == 0)
	}
	if plain {
		return Line(s) // bytes that are not UTF-8
	}
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case invisible(r, i == 0):
			writeEscape(&b, r)
		case r == '"', r == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// invisible reports whether a character has no shape of its own in a login. A mark at the
// start has none: it changes the character before it.
func invisible(r rune, first bool) bool {
	const brailleBlank = 0x2800
	return !unicode.IsPrint(r) || r == brailleBlank || first && unicode.IsMark(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// leftToRight (LRM) is invisible, and has a direction.
const leftToRight = "\u200e"

// rightToLeft reports whether text has a character that a terminal may show from right to
// left, with its neighbours (Unicode UAX #9).
func rightToLeft(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		p, _ := bidi.LookupRune(r)
		class := p.Class()
		return class == bidi.R || class == bidi.AL || class == bidi.AN
	})
}
