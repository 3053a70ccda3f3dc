package terminal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A pipe that nobody writes to can't be opened, which must not keep the program.
func TestInterruptedOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no named pipes in folders")
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	makePipe(t, pipe)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&Interrupt{Signal: os.Interrupt})
	if _, err := ReadFile(ctx, pipe, 10); !errors.Is(err, context.Cause(ctx)) {
		t.Error(err)
	}
	// So that the goroutine that is left ends with the test.
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}

func TestReadAll(t *testing.T) {
	b, err := ReadAll(t.Context(), strings.NewReader("0123456789"), 4)
	if string(b) != "0123" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
