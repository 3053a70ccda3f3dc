package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestReadPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("\uFEFFsecret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options  PasswordOptions
		in       string
		terminal bool
		want     string
		err      string
	}{
		"standard input":         {PasswordOptions{Stdin: true}, "secret\n", false, "secret", ""},
		"spaces stay":            {PasswordOptions{Stdin: true}, " s p ", false, " s p ", ""},
		"empty":                  {PasswordOptions{Stdin: true}, "\n", false, "", "the password is empty"},
		"lines":                  {PasswordOptions{Stdin: true}, "a\nb\n", false, "", "more than one line"},
		"UTF-16":                 {PasswordOptions{Stdin: true}, "\xff\xfea\x00\r\x00\n\x00", false, "", "the password is not UTF-8"},
		"longest":                {PasswordOptions{Stdin: true}, strings.Repeat("x", MaxPassword), false, strings.Repeat("x", MaxPassword), ""},
		"too long":               {PasswordOptions{Stdin: true}, strings.Repeat("x", MaxPassword+1), false, "", "more than 65536 bytes"},
		"input that is typed":    {PasswordOptions{Stdin: true}, "x", true, "", "standard input is a terminal"},
		"file":                   {PasswordOptions{File: file}, "", false, "secret", ""},
		"file that is not there": {PasswordOptions{File: file + "x"}, "", false, "", "read the password: open "},
	} {
		got, err := ReadPassword(t.Context(), terminal.Streams{In: strings.NewReader(c.in), InTerminal: c.terminal}, c.options, "", false)
		var e *Error
		if got != c.want && c.err == "" || (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || !errors.As(err, &e) || e.Kind != KindUsage || e.Hint == "") {
			t.Errorf("%s: %.40q, %v", name, got, err)
		}
	}
}

func TestInterruptEndsReadingAPassword(t *testing.T) {
	in, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, _ = w.Write([]byte("half a pass"))
		cancel(&terminal.Interrupt{Signal: syscall.SIGTERM})
	}()
	var interrupt *terminal.Interrupt
	if got, err := ReadPassword(ctx, terminal.Streams{In: in}, PasswordOptions{Stdin: true}, "", false); got != "" || !errors.As(err, &interrupt) {
		t.Errorf("%q, %v", got, err)
	}
}
