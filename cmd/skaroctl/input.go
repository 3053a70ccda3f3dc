package main

import (
	"context"
	"io"
	"os"
)

// readAll reads to the end, or up to a limit in bytes. A read of a terminal or a pipe
// may last for ever, and can't be interrupted itself: ctx ends the wait for it.
func readAll(ctx context.Context, in io.Reader, limit int64) ([]byte, error) {
	return awaited(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, limit)) })
}

// readFile is readAll for a file, which may be a pipe that nobody has opened yet.
func readFile(ctx context.Context, name string, limit int64) ([]byte, error) {
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
		return c.b, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
