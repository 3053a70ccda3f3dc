package main

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// A signal ends a command that waits for its input, whatever that is.
func TestInterruptedInput(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&terminal.Interrupt{Signal: os.Interrupt})
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
