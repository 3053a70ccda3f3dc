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

// The open of a pipe waits for a writer; an interrupt ends that wait.
func TestInterruptEndsTheOpeningOfAPipe(t *testing.T) {
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
	// A writer ends the goroutine that is left.
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}

func TestReadAllStopsAtTheLimit(t *testing.T) {
	b, err := ReadAll(t.Context(), strings.NewReader("0123456789"), 4)
	if string(b) != "0123" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestTrimNewlineRemovesOneLineEnd(t *testing.T) {
	for text, want := range map[string]struct{ windows, elsewhere string }{
		"": {}, "\n": {}, "\r\n": {"", "\r"}, "\r": {"\r", "\r"}, "a": {"a", "a"}, "a\n": {"a", "a"}, "a\r\n": {"a", "a\r"},
		"a\r": {"a\r", "a\r"}, "a\n\n": {"a\n", "a\n"}, "a\r\n\r\n": {"a\r\n", "a\r\n\r"}, "a\r\r\n": {"a\r", "a\r\r"}, " a\n ": {" a\n ", " a\n "},
	} {
		for goos, want := range map[string]string{"windows": want.windows, "linux": want.elsewhere, "darwin": want.elsewhere} {
			if got := string(trimNewline(goos, []byte(text))); got != want {
				t.Errorf("%s: %q becomes %q", goos, text, got)
			}
		}
	}
}

func TestTrimPasswordRemovesOneLineEndAndAByteOrderMark(t *testing.T) {
	for input, want := range map[string]string{
		"": "", "a": "a", "a\n": "a", "a\r\n": "a", "a\r": "a", "a\n\n": "a\n", " a \n": " a ", "\uFEFFa\r\n": "a", "\uFEFF": "", "a\uFEFF": "a\uFEFF",
	} {
		if got := TrimPassword([]byte(input)); got != want {
			t.Errorf("%q becomes %q", input, got)
		}
	}
}
