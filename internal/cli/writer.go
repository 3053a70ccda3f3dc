package cli

import "io"

// Writer keeps the first error of writing to Out. cobra writes help without looking
// whether it could, and takes a failed write of a command of its own for wrong usage.
type Writer struct {
	Out io.Writer
	Err error
}

// Write writes to Out.
func (w *Writer) Write(b []byte) (int, error) {
	n, err := w.Out.Write(b)
	if w.Err == nil {
		w.Err = err
	}
	return n, err
}
