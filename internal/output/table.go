package output

import (
	"io"
	"strings"

	"github.com/rivo/uniseg"
)

// cell is text that is safe to show, and its style.
type cell struct{ text, style string }

// table is text in columns, each as wide on a terminal as its widest cell. The last column
// is not padded.
type table [][]cell

// columnGap is how many spaces are between two columns.
const columnGap = 2

// write writes the rows. On a terminal that orders text by its direction, a cell from right
// to left would move the next cell to its other side; marks keep them apart.
func (t table) write(w io.Writer, colour, marks bool) error {
	var widths []int
	for _, row := range t {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], uniseg.StringWidth(c.text))
		}
	}
	var b strings.Builder
	for _, row := range t {
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
			gap += widths[i] - uniseg.StringWidth(c.text) + columnGap
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
