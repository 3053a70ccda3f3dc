package output

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// Options say how results are written.
type Options struct {
	JSON     bool             // JSON Lines; otherwise text for people
	Format   *Format          // if not nil, messages and pushes go through it
	Colour   bool             // text only
	Terminal bool             // text only: it goes to a terminal
	Now      func() time.Time // text only: the current day, and the time zone; nil means time.Now
}

// Printer writes results. It buffers: a result that must be seen now needs a Flush. Its
// methods return the first error of the writer, and every later call returns it too.
type Printer struct {
	w       *bufio.Writer
	options Options
	encoder jsonEncoder // writes to w
	rows    table       // rows that wait for the end of the table: only then the width of each column is known
}

// NewPrinter makes a printer on w.
func NewPrinter(w io.Writer, o Options) *Printer {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Printer{w: bufio.NewWriterSize(w, bufferSize), options: o}
	p.encoder.w = p.w
	return p
}

// bufferSize is how many bytes a Printer holds at most, in addition to a part of a result.
const bufferSize = 64 << 10

// Full reports whether a Flush would write a large block. If the caller does not flush then,
// the Printer writes by itself, and the caller can't know how much it has written.
func (p *Printer) Full() bool { return p.w.Buffered() >= bufferSize/2 }

// Flush writes out the buffer, and ends a table.
func (p *Printer) Flush() error {
	if err := p.text(""); err != nil {
		return err
	}
	return p.w.Flush()
}

// json writes a result as one line of JSON.
func (p *Printer) json(result any) error {
	p.encoder.value(result)
	return p.encoder.end()
}

// text writes text, after the table before it.
func (p *Printer) text(s string) error {
	if err := p.rows.write(p.w, p.options.Colour, p.options.Terminal); err != nil {
		return err
	}
	p.rows = nil
	_, err := p.w.WriteString(s)
	return err
}

// row adds a row to a table, which is written when it ends.
func (p *Printer) row(cells ...cell) { p.rows = append(p.rows, cells) }

// fact is a label and a value of a result that has several.
type fact struct {
	label string
	value cell
}

// facts adds facts in two columns, but not those without a value.
func (p *Printer) facts(list []fact) {
	for _, f := range list {
		if f.value.text != "" {
			p.row(cell{f.label + ":", styleDim}, f.value)
		}
	}
}

// formatted writes a result through the format.
func (p *Printer) formatted(result any) error {
	text, err := p.options.Format.execute(templateObject(result))
	if err != nil {
		return fmt.Errorf("apply the template: %w", err)
	}
	_, err = p.w.Write(text)
	return err
}
