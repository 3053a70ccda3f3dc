package output

import (
	"errors"
	"testing"
)

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestPrinterReturnsTheErrorOfItsWriter(t *testing.T) {
	broken := errors.New("disk full")
	p := NewPrinter(brokenWriter{broken}, Options{JSON: true})
	if err := p.RegisterType("open"); err != nil {
		t.Errorf("before the buffer is full: %v", err)
	}
	for range 2 {
		if err := p.Flush(); !errors.Is(err, broken) {
			t.Errorf("flush: %v", err)
		}
	}
	if err := p.RegisterType("open"); !errors.Is(err, broken) {
		t.Errorf("after the error: %v", err)
	}
}
