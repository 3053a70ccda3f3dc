package output

import (
	"bytes"
	"testing"
	"time"
)

var at = time.Date(2016, 5, 15, 12, 0, 0, 0, time.UTC)

func printed(t *testing.T, o Options, print func(*Printer) error) string {
	t.Helper()
	var out bytes.Buffer
	o.Now = func() time.Time { return at.Add(3 * time.Hour) }
	p := NewPrinter(&out, o)
	if err := print(p); err != nil {
		t.Fatal(err)
	}
	if out.Len() != 0 {
		t.Error("written before the flush")
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
