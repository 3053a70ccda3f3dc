package terminal

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// cell is what a terminal shows of one character, and how many columns that takes.
type cell struct {
	text  string
	width int
	// plain means that every terminal gives the character the same width. Terminals differ
	// about emoji and letters with marks.
	plain bool
}

// lineEndMark stands for a newline in a row.
const lineEndMark = "↵"

// newCell returns the cell of a character. safe makes text safe to show.
func newCell(character string, safe func(string) string) cell {
	if character == "\n" {
		return cell{lineEndMark, 1, true}
	}
	if shown := safe(character); shown != character {
		return cell{shown, uniseg.StringWidth(shown), false}
	}
	r, n := utf8.DecodeRuneInString(character)
	alone := n == len(character)
	return cell{character, uniseg.StringWidth(character), alone && (r > 0x1f && r < 0x7f || unicode.IsLetter(r))}
}

// widthOf is how many columns cells take.
func widthOf(cells []cell) (width int) {
	for _, c := range cells {
		width += c.width
	}
	return width
}

// textOf is what cells show.
func textOf(cells []cell) string {
	var b strings.Builder
	for _, c := range cells {
		b.WriteString(c.text)
	}
	return b.String()
}

// plainCells reports whether all cells are plain.
func plainCells(cells []cell) bool {
	for _, c := range cells {
		if !c.plain {
			return false
		}
	}
	return true
}

// view is the part of a draft that one row shows. It moves only if the cursor would leave it.
type view struct {
	start int // index of its first byte in the text
	safe  func(string) string
}

// cells returns the cells in room columns, and how many of them are before the cursor. more
// reports whether text after them is not shown.
func (v *view) cells(d *draft, room int) (cells []cell, cursor int, more bool) {
	v.start = min(v.start, len(d.before))
	left, fits := v.fitting(d.before[v.start:], room)
	if !fits || v.start > 0 && len(left) == 0 {
		v.start = v.center(d.before, room/2)
		left, _ = v.fitting(d.before[v.start:], room)
	}
	right, fits := v.fitting(d.after, room-widthOf(left))
	return append(left, right...), len(left), !fits
}

// fitting returns the cells at the start of a text that take at most room columns. fits
// reports whether these are all.
func (v *view) fitting(s string, room int) (cells []cell, fits bool) {
	for state := -1; s != ""; {
		var character string
		character, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		c := newCell(character, v.safe)
		if room -= c.width; room < 0 || len(cells) == maxCells {
			return cells, false
		}
		cells = append(cells, c)
	}
	return cells, true
}

// maxCells bounds the characters of a row: some take no column.
const maxCells = 1 << 10

// center returns where the view begins if about room columns before the cursor are shown.
func (v *view) center(before string, room int) int {
	tail := before[runeStart(before, len(before)-nearby):]
	var starts []int // of the characters in tail; the first may be half of one
	for state, rest := -1, tail; rest != ""; {
		starts = append(starts, len(tail)-len(rest))
		_, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
	}
	at := len(tail)
	for _, start := range slices.Backward(starts) {
		if room -= newCell(tail[start:at], v.safe).width; room < 0 || start == 0 && len(tail) < len(before) {
			break
		}
		at = start
	}
	return len(before) - len(tail) + at
}
