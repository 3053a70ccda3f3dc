package terminal

import (
	"context"
	"io"
	"os"
)

// ReadAll reads to the end, or up to a limit in bytes. A read of a terminal or a pipe
// may last for ever, and can't be interrupted itself: ctx ends the wait for it.
func ReadAll(ctx context.Context, in io.Reader, limit int64) ([]byte, error) {
	return awaited(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, limit)) })
}

// ReadFile is ReadAll for a file, which may be a pipe that nobody has opened yet.
func ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	return awaited(ctx, func() ([]byte, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, limit))
	})
}

func awaited(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type content struct {
		b   []byte
		err error
	}
	done := make(chan content, 1)
	go func() {
		b, err := read()
		done <- content{b, err}
	}()
	select {
	case c := <-done:
		if ctx.Err() != nil {
			// The signal that ended ctx may have ended the writer too, in the middle.
			return nil, context.Cause(ctx)
		}
		return c.b, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
