package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Bounds of an Editor, in bytes and texts.
const (
	// MaxDraft is the longest text that can be edited. No message is as long.
	MaxDraft = 1 << 20
	// The texts that the Up key brings back: how many, and their bytes.
	maxRecalled      = 100
	maxRecalledBytes = 4 << 20
	// nearby is how far from the cursor a character is looked for: no character is as long.
	nearby = 4 << 10
)

// draft is the text that is being edited, and those that were entered before.
type draft struct {
	before, after string // the text on both sides of the cursor

	entered []string // the oldest first
	shown   int      // index in entered of the text that is edited; len(entered) means a new one
	new     string   // the new text, while an entered one is edited
}

func (d *draft) text() string { return d.before + d.after }

// set replaces the text, and puts the cursor at its end.
func (d *draft) set(text string) { d.before, d.after = text, "" }

// insert inserts a text at the cursor, and reports whether there is room for it.
func (d *draft) insert(text string) bool {
	if len(d.before)+len(d.after)+len(text) > MaxDraft {
		return false
	}
	d.before += text
	return true
}

// enter keeps the text for the Up key, and begins a new one.
func (d *draft) enter() {
	if text := d.text(); len(d.entered) == 0 || d.entered[len(d.entered)-1] != text {
		d.entered = append(d.entered, text)
	}
	size := 0
	for i := len(d.entered) - 1; i >= 0; i-- {
		size += len(d.entered[i])
		if size > maxRecalledBytes || len(d.entered)-i > maxRecalled {
			d.entered = append([]string(nil), d.entered[i+1:]...)
			break
		}
	}
	d.clear()
}

// clear begins a new text.
func (d *draft) clear() {
	d.set("")
	d.shown, d.new = len(d.entered), ""
}

// recall shows another entered text, by places before the one shown.
func (d *draft) recall(by int) {
	to := d.shown - by
	if to < 0 || to > len(d.entered) {
		return
	}
	if d.shown == len(d.entered) {
		d.new = d.text()
	}
	d.shown = to
	if to == len(d.entered) {
		d.set(d.new)
	} else {
		d.set(d.entered[to])
	}
}

// press does what a key does to the text. Keys that end the editing do nothing.
func (d *draft) press(code keyCode) {
	left, right := lastCharacterLen(d.before), firstCharacterLen(d.after)
	switch code {
	case keyLeft:
		d.move(-left)
	case keyRight:
		d.move(right)
	case keyWordLeft:
		d.move(-lastWordLen(d.before))
	case keyWordRight:
		d.move(firstWordLen(d.after))
	case keyStart:
		d.move(-len(d.before))
	case keyEnd:
		d.move(len(d.after))
	case keyOlder:
		d.recall(1)
	case keyNewer:
		d.recall(-1)
	case keyBackspace:
		d.before = d.before[:len(d.before)-left]
	case keyDelete, keyEndOfInput:
		d.after = d.after[right:]
	case keyDeleteWord:
		d.before = d.before[:len(d.before)-lastWordLen(d.before)]
	case keyDeleteBefore:
		d.before = ""
	case keyDeleteAfter:
		d.after = ""
	}
}

// move moves the cursor by a number of bytes.
func (d *draft) move(by int) {
	text, at := d.text(), len(d.before)+by
	d.before, d.after = text[:at], text[at:]
}

// firstCharacterLen is the length in bytes of the first character that a person sees in a text
// (Unicode UAX #29, grapheme cluster).
func firstCharacterLen(s string) int {
	if len(s) > nearby {
		s = s[:runeStart(s, nearby)]
	}
	c, _, _, _ := uniseg.FirstGraphemeClusterInString(s, -1)
	return len(c)
}

// lastCharacterLen is firstCharacterLen for the last one.
func lastCharacterLen(s string) int {
	s = s[runeStart(s, len(s)-nearby):]
	if i := strings.LastIndexByte(s, '\n'); i >= 0 && i < len(s)-1 {
		s = s[i+1:] // no character reaches over a line end
	}
	last, state := "", -1
	for s != "" {
		last, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
	}
	return len(last)
}

// runeStart returns the index of the character in s that has a byte at index i. Before the
// text, that is 0.
func runeStart(s string, i int) int {
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return max(i, 0)
}

// lastWordLen is the length of the last word of a text, with the spaces after it.
func lastWordLen(s string) int {
	word := strings.TrimRightFunc(s, unicode.IsSpace)
	i := strings.LastIndexFunc(word, unicode.IsSpace)
	if i >= 0 {
		_, n := utf8.DecodeRuneInString(word[i:])
		i += n
	}
	return len(s) - max(i, 0)
}

// firstWordLen is the length of the first word of a text, with the spaces before it.
func firstWordLen(s string) int {
	word := strings.TrimLeftFunc(s, unicode.IsSpace)
	i := strings.IndexFunc(word, unicode.IsSpace)
	if i < 0 {
		i = len(word)
	}
	return len(s) - len(word) + i
}
