package terminal

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// keyCode says what a key does in an Editor.
type keyCode int

const (
	keyNone keyCode = iota // a key that does nothing
	keyText                // text that was typed or pasted
	keyEnter
	keyLeft
	keyRight
	keyWordLeft
	keyWordRight
	keyStart
	keyEnd
	keyOlder
	keyNewer
	keyBackspace
	keyDelete
	keyDeleteWord
	keyDeleteBefore
	keyDeleteAfter
	keyClearScreen
	keyInterrupt
	keyEndOfInput
	keySuspend
)

// key is a key that was pressed, or text.
type key struct {
	code keyCode
	text string // of keyText
}

// controlKeys are the keys that send one control character. They are those of shells.
var controlKeys = [0x80]keyCode{
	0x01: keyStart, 0x02: keyLeft, 0x03: keyInterrupt, 0x04: keyEndOfInput, 0x05: keyEnd, 0x06: keyRight,
	'\b': keyBackspace, '\n': keyEnter, 0x0b: keyDeleteAfter, 0x0c: keyClearScreen, '\r': keyEnter, 0x0e: keyNewer,
	0x10: keyOlder, 0x15: keyDeleteBefore, 0x17: keyDeleteWord, 0x1a: keySuspend, 0x7f: keyBackspace,
}

// sequenceKey is a key that sends ESC and more: name is what follows "ESC [" or "ESC O".
func sequenceKey(name string) keyCode {
	switch name {
	case "A":
		return keyOlder
	case "B":
		return keyNewer
	case "C":
		return keyRight
	case "D":
		return keyLeft
	case "H", "1~", "7~":
		return keyStart
	case "F", "4~", "8~":
		return keyEnd
	case "3~":
		return keyDelete
	case "1;5C", "1;3C":
		return keyWordRight
	case "1;5D", "1;3D":
		return keyWordLeft
	}
	return keyNone
}

// altKey is a key that sends ESC and one character.
func altKey(b byte) keyCode {
	switch b {
	case 'b':
		return keyWordLeft
	case 'f':
		return keyWordRight
	case 0x7f:
		return keyDeleteWord
	}
	return keyNone
}

// A terminal in bracketed paste mode puts these around pasted text.
const (
	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// maxSequence bounds the bytes that are kept until a key is complete. No key sends as many.
const maxSequence = 1 << 10

// keyParser finds the keys in what a terminal sends.
type keyParser struct {
	rest  []byte // what is not parsed yet
	paste bool   // rest is in pasted text
	cr    bool   // the last character of the pasted text was a carriage return
}

// feed adds what the terminal has sent.
func (p *keyParser) feed(b []byte) { p.rest = append(p.rest, b...) }

// next returns the next key. ok is false if there is none, or if it is not complete.
func (p *keyParser) next() (k key, ok bool) {
	for len(p.rest) > 0 {
		n := 0
		switch b := p.rest[0]; {
		case p.paste:
			n, k = p.pasted()
		case b == 0x1b:
			n, k = p.sequence()
		case b < 0x20 || b == 0x7f:
			n, k = 1, key{code: controlKeys[b]}
		default:
			n, k = p.typed()
		}
		if n == 0 && len(p.rest) < maxSequence {
			return key{}, false
		}
		p.rest = p.rest[max(n, 1):]
		if k.code != keyNone {
			return k, true
		}
	}
	p.rest = nil // so that a large paste is not kept
	return key{}, false
}

// typed returns the text up to the next control character, and its length.
func (p *keyParser) typed() (int, key) {
	text := p.rest
	if i := bytes.IndexFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }); i >= 0 {
		text = text[:i]
	} else {
		text = WholeRunes(text)
	}
	return len(text), textKey(text)
}

// pasted returns pasted text, and its length: 0 if there is only a part of a character or
// of the end.
func (p *keyParser) pasted() (int, key) {
	if bytes.HasPrefix(p.rest, []byte(pasteEnd)) {
		p.paste, p.cr = false, false
		return len(pasteEnd), key{}
	}
	text := p.rest
	if i := bytes.Index(text, []byte(pasteEnd)); i >= 0 {
		text = text[:i]
	} else {
		for n := min(len(pasteEnd)-1, len(text)); n > 0; n-- {
			if bytes.HasSuffix(text, []byte(pasteEnd[:n])) {
				text = text[:len(text)-n]
				break
			}
		}
		text = WholeRunes(text)
	}
	if len(text) == 0 {
		return 0, key{}
	}
	lines := text
	if p.cr && lines[0] == '\n' {
		lines = lines[1:] // the second half of a line end
	}
	p.cr = text[len(text)-1] == '\r'
	return len(text), textKey(lines)
}

// sequence returns the key at an ESC, and the length of what it has sent: 0 if there is more
// to come.
func (p *keyParser) sequence() (int, key) {
	if len(p.rest) == 1 {
		return 0, key{}
	}
	switch b := p.rest[1]; {
	case b == '[':
		return p.control()
	case b == 'O':
		if len(p.rest) == 2 {
			return 0, key{}
		}
		return 3, key{code: sequenceKey(string(p.rest[2:3]))}
	case b == ']' || b == 'P' || b == '_' || b == '^':
		return p.report(), key{}
	case altKey(b) != keyNone:
		return 2, key{code: altKey(b)}
	case b < 0x20:
		return 1, key{} // the ESC was pressed alone
	case !utf8.FullRune(p.rest[1:]):
		return 0, key{}
	}
	_, n := utf8.DecodeRune(p.rest[1:])
	return 1 + n, key{}
}

// control is sequence for "ESC [" (ECMA-48, CSI).
func (p *keyParser) control() (int, key) {
	const head = 2
	from := head
	if len(p.rest) > head && p.rest[head] == '[' {
		from++ // a function key of Linux's console: ESC [ [ A
	}
	i := bytes.IndexFunc(p.rest[min(from, len(p.rest)):], func(r rune) bool { return r >= 0x40 && r <= 0x7e })
	if i < 0 {
		return 0, key{}
	}
	end := from + i + 1
	name := string(p.rest[head:end])
	p.paste = name == pasteStart[head:]
	return end, key{code: sequenceKey(name)}
}

// report returns the length of what a terminal reports about itself, which BEL or ESC \
// ends: 0 if there is more to come.
func (p *keyParser) report() int {
	bell, escape := bytes.IndexByte(p.rest, '\a'), bytes.Index(p.rest, []byte("\x1b\\"))
	switch {
	case bell >= 0 && (escape < 0 || bell < escape):
		return bell + 1
	case escape >= 0:
		return escape + 2
	}
	return 0
}

// WholeRunes is text without the part of a character at its end.
func WholeRunes(text []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if tail := text[len(text)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return text[:len(text)-n]
			}
			break
		}
	}
	return text
}

func textKey(text []byte) key {
	if clean := CleanText(string(text)); clean != "" {
		return key{keyText, clean}
	}
	return key{}
}

// tab is what stands for a tab: the text of a message has no control characters.
const tab = "    "

// CleanText returns a text that a person has typed or pasted, as a message carries it: every
// line end is a newline, a tab is four spaces, and there is no other control character. Bytes
// that are not UTF-8 become U+FFFD.
func CleanText(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' || r == utf8.RuneError }) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range strings.ReplaceAll(text, "\r\n", "\n") {
		switch {
		case r == '\t':
			b.WriteString(tab)
		case r == '\r' || r == '\n':
			b.WriteByte('\n')
		case !unicode.IsControl(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}
