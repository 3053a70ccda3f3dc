package terminal

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// Output comes out whole even after the end of the context, while there is a reader. If
// there is none, the write and every later one end with the cause.
func TestInterruptibleWriterEndsAfterTheGracePeriod(t *testing.T) {
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, w := io.Pipe()
	blocked := make(chan struct{})
	p := NewInterruptibleWriter(ctx, w, time.Hour, func() { close(blocked) })
	wrote := make(chan error, 1)
	write := func(p *InterruptibleWriter, s string) {
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
	if p.PendingAtInterrupt() {
		t.Error("pending before the end")
	}
	go write(p, strings.Repeat("x", 1<<20))
	cancel(interrupted)
	<-blocked // while it waits
	read(strings.Repeat("x", 1<<20))
	go write(p, "after")
	read("after")
	if !p.PendingAtInterrupt() {
		t.Error("not pending")
	}

	impatient := NewInterruptibleWriter(ctx, w, 0, nil)
	for range 2 {
		if n, err := io.WriteString(impatient, "nobody reads this"); n != 0 || !errors.Is(err, interrupted) {
			t.Errorf("%d, %v", n, err)
		}
	}
	if !impatient.PendingAtInterrupt() {
		t.Error("not pending")
	}
	r.Close() // ends the write that was given up
	go write(p, "gone")
	if err := <-wrote; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a reader that is gone: %v", err)
	}
}
