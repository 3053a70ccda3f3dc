package output

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestPatient: what is written comes out whole, also after the end of the context while
// there is a reader; where there is none, the write ends with the cause, once and for all.
func TestPatient(t *testing.T) {
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, w := io.Pipe()
	told := make(chan struct{})
	p := NewPatient(ctx, w, time.Hour, func() { close(told) })
	wrote := make(chan error, 1)
	write := func(p *Patient, s string) {
		_, err := io.WriteString(p, s)
		wrote <- err
	}
	read := func(want string) {
		t.Helper()
		b := make([]byte, len(want))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
			t.Errorf("%q, %v", b, err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	}
	go write(p, "before")
	read("before")
	if p.Late() {
		t.Error("late before the end")
	}
	go write(p, strings.Repeat("x", 1<<20))
	cancel(interrupted)
	<-told // while it waits
	read(strings.Repeat("x", 1<<20))
	go write(p, "after")
	read("after")
	if !p.Late() {
		t.Error("not late")
	}

	hasty := NewPatient(ctx, w, 0, nil)
	for range 2 {
		if n, err := io.WriteString(hasty, "nobody reads this"); n != 0 || !errors.Is(err, interrupted) {
			t.Errorf("%d, %v", n, err)
		}
	}
	if !hasty.Late() {
		t.Error("not late")
	}
	r.Close() // what was given up ends with it
	go write(p, "gone")
	if err := <-wrote; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a reader that is gone: %v", err)
	}
}
