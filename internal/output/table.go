package output

import (
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// cell is text that is safe to show, and its style.
type cell struct{ text, style string }

// table is text in columns, each as wide on a terminal as its widest cell, but not wider
// than maxColumn. The last column is not padded.
type table [][]cell

const (
	columnGap = 2  // spaces between two columns
	maxColumn = 64 // characters: a wider cell moves only the rest of its own row
)

// write writes the rows. On a terminal that orders text by its direction, a cell from right
// to left would move the next cell to its other side; marks keep them apart.
func (t table) write(w io.Writer, colour, marks bool) error {
	var widths []int
	for _, row := range t {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], min(width(c.text), maxColumn))
		}
	}
	var b strings.Builder
	for _, row := range t {
		b.Reset()
		gap := 0
		mark := ""
		for i, c := range row {
			if c.text != "" {
				b.WriteString(strings.Repeat(" ", gap) + mark + styled(c.text, c.style, colour))
				gap, mark = 0, ""
			}
			if marks && rightToLeft(c.text) {
				mark = leftToRight
			}
			gap += max(widths[i]-width(c.text), 0) + columnGap
		}
		b.WriteByte('\n')
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// width is how many characters wide a text is on a terminal, which shows some of them twice as
// wide, and others not at all. The width of a long text is some number above maxColumn.
func width(text string) int {
	const longest = maxColumn * 64 // bytes; a character may have several that take no room
	if len(text) > longest {
		return maxColumn + 1
	}
	return uniseg.StringWidth(text)
}
