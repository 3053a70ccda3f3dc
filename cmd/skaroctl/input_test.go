package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestPasswordInput(t *testing.T) {
	for in, want := range map[string]struct{ password, err string }{
		"a\r\n": {"a", ""}, "\uFEFFa\n": {"a", ""}, "a\nb\n": {"", "more than one line"}, "\n": {"", "is empty"},
		"\xff\xfea\x00\r\x00\n\x00": {"", "is not UTF-8"}, // as PowerShell writes a file
	} {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, o := range []cli.PasswordOptions{{Stdin: true}, {File: file}} {
			a := &app{newTestFactory(t, terminal.Streams{In: strings.NewReader(in)}, nil)}
			got, err := a.password(t.Context(), o, "", false)
			if got != want.password || (err == nil) != (want.err == "") || err != nil && !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q, %+v: %q, %v", in, o, got, err)
			}
		}
	}
}

// A signal ends a command that waits for its input, whatever that is.
func TestInterruptedInput(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&terminal.Interrupt{Signal: os.Interrupt})
	in, held := io.Pipe()
	defer held.Close()
	a := &app{newTestFactory(t, terminal.Streams{In: in}, nil)}
	_, body := a.body(ctx, nil)
	_, password := a.password(ctx, cli.PasswordOptions{Stdin: true}, "", false)
	_, field := a.requestFields(ctx, requestOptions{values: []string{"a=@-"}})
	for what, err := range map[string]error{"body": body, "password": password, "field": field} {
		if err == nil || !errors.As(err, new(*terminal.Interrupt)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
