package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/output"
)

// A signal ends a command that waits for its input, whatever that is.
func TestInterruptedInput(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&interrupt{os.Interrupt})
	in, held := io.Pipe()
	defer held.Close()
	a := &app{streams: output.Streams{In: in}}
	_, body := a.body(ctx, nil)
	_, password := a.password(ctx, passwordOptions{stdin: true}, "", false)
	_, field := a.requestFields(ctx, requestOptions{values: []string{"a=@-"}})
	for what, err := range map[string]error{"body": body, "password": password, "field": field} {
		if err == nil || classify(err) != kindInterrupted {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A pipe that nobody writes to can't be opened, which must not keep the program.
func TestInterruptedOpen(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no named pipes in folders")
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	makePipe(t, pipe)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&interrupt{os.Interrupt})
	if _, err := readFile(ctx, pipe, 10); !errors.Is(err, context.Cause(ctx)) {
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
	b, err := readAll(t.Context(), strings.NewReader("0123456789"), 4)
	if string(b) != "0123" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
