package terminal

import (
	"bytes"
	"context"
	"io"
	"os"
	"runtime"
)

// Await calls a function that can't be interrupted, and waits for its result. If ctx ends
// first, the error is the cause of that, and the call goes on until it or the process ends.
func Await[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := call()
		done <- result{value, err}
	}()
	var zero T
	select {
	case r := <-done:
		if ctx.Err() != nil {
			// The signal that ended ctx may have ended the other end of a pipe too: the
			// value may be cut.
			return zero, context.Cause(ctx)
		}
		return r.value, r.err
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
}

// ReadAll reads to the end of the input, but at most limit bytes. The end of ctx ends the
// wait: a read of a terminal or a pipe may last for ever.
func ReadAll(ctx context.Context, in io.Reader, limit int64) ([]byte, error) {
	return Await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(BlockingReader(in), limit)) })
}

// ReadFile is ReadAll for a file, which may be a pipe that has no writer yet.
func ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	return Await(ctx, func() ([]byte, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, limit))
	})
}

// TrimNewline removes one newline from the end of a text. On Windows it removes the
// carriage return before it too; elsewhere that is a byte like any other.
func TrimNewline(text []byte) []byte { return trimNewline(runtime.GOOS, text) }

func trimNewline(goos string, text []byte) []byte {
	text, found := bytes.CutSuffix(text, []byte("\n"))
	if found && goos == "windows" {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	return text
}

// TrimPassword returns the password in an input: it removes one line end of any system,
// and the byte order mark that PowerShell and old editors put at the start.
func TrimPassword(input []byte) string {
	input = bytes.TrimPrefix(input, []byte("\uFEFF"))
	return string(bytes.TrimSuffix(bytes.TrimSuffix(input, []byte("\n")), []byte("\r")))
}
