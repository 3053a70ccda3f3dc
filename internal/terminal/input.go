package terminal

import (
	"context"
	"io"
	"os"
)

// ReadAll reads to the end, or up to a limit in bytes. A read of a terminal or a pipe
// may last for ever, and can't be interrupted itself: ctx ends the wait for it.
func ReadAll(ctx context.Context, in io.Reader, limit int64) ([]byte, error) {
	return Await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, limit)) })
}

// ReadFile is ReadAll for a file, which may be a pipe that nobody has opened yet.
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

// Await calls read, which can't be interrupted itself, and waits for it or for the end
// of ctx, whose cause is then the error.
func Await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type content struct {
		got T
		err error
	}
	done := make(chan content, 1)
	go func() {
		got, err := read()
		done <- content{got, err}
	}()
	var none T
	select {
	case c := <-done:
		if ctx.Err() != nil {
			// The signal that ended ctx may have ended the writer too, in the middle.
			return none, context.Cause(ctx)
		}
		return c.got, c.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}
