// Package output is what people and programs read: text, JSON, colour, safe
// text, failures. It never sees a connection. docs/scripting.md describes what it
// writes.
package output

import (
	"fmt"
	"strings"
	"unicode"
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
// ends and tabs included, becomes a visible escape, and so do the tags of Unicode,
// which can hide a second text in the first; bytes that are not UTF-8 become
// U+FFFD. Other characters without a shape of their own stay: emoji and several
// scripts can't be written without them.
func Line(s string) string { return escape(s, false) }

// Block makes text safe to show on a terminal over several lines: as Line, but
// newlines and tabs stay.
func Block(s string) string { return escape(s, true) }

// tokenStart begins every token in its text form (docs/protocol.md, "Authorization").
const tokenStart = "skaro-token-1:"

// WithoutTokens replaces what looks like a token: it may have been given in the wrong
// place, and errors end in logs and mails.
func WithoutTokens(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, tokenStart)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = strings.TrimLeft(after, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
		if s == after { // what says how a token begins
			b.WriteString(tokenStart)
		} else {
			b.WriteString("[secret]")
		}
	}
}

func escape(s string, lines bool) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return hostile(r) || tag(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	flag := 0 // where the tags of a flag end
	for i, r := range s {
		switch {
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case hostile(r), tag(r) && i >= flag:
			writeEscape(&b, r)
		default:
			if r == blackFlag {
				flag = i + utf8.RuneLen(r) + flagTags(s[i+utf8.RuneLen(r):])
			}
			b.WriteRune(r) // a byte that is not UTF-8 ranges as U+FFFD
		}
	}
	return b.String()
}

func writeEscape(b *strings.Builder, r rune) {
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

// tag reports whether a character is one of Unicode's tags: unseen copies of ASCII.
func tag(r rune) bool { return r >= 0xe0000 && r <= cancelTag }

const (
	blackFlag = 0x1f3f4
	cancelTag = 0xe007f
)

// flagTags is the length of the tags behind a black flag that make it the flag of a
// region (Unicode UTS #51, emoji tag sequence); 0 where there are none.
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

// Login makes a login, or another name that stands for somebody, safe to show, so
// that no two look the same because of what can't be seen. One that can be seen as
// a whole and holds no space is shown as it is; any other is in quotes, and what is
// unseen in it is an escape.
func Login(s string) string {
	plain := s != "" && s[0] != '"'
	for i, r := range s {
		plain = plain && r != ' ' && !unseen(r, i == 0)
	}
	if plain {
		return Line(s) // bytes that are not UTF-8
	}
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case unseen(r, i == 0):
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

// unseen reports whether a character has no shape of its own in a login. A mark at
// the start has none: it changes what is before it.
func unseen(r rune, first bool) bool {
	const brailleBlank = 0x2800
	return !unicode.IsPrint(r) || r == brailleBlank || first && unicode.IsMark(r) ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// leftToRight (LRM) has no shape, and a direction.
const leftToRight = "\u200e"

// rightToLeft reports whether text holds characters of scripts that are written
// from right to left: those of the blocks that Unicode keeps for them, and the marks
// that stand for one.
func rightToLeft(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		switch {
		case r < 0x590:
			return false
		case r <= 0x8ff, r == 0x200f, r >= 0xfb1d && r <= 0xfdff, r >= 0xfe70 && r <= 0xfeff,
			r >= 0x10800 && r <= 0x10fff, r >= 0x1e800 && r <= 0x1efff:
			return true
		}
		return false
	})
}
