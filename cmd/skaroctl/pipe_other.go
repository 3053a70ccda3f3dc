//go:build !unix

package main

import (
	"context"
	"io"
)

// watchReader does nothing where a pipe can't be watched: a reader that has gone
// is noticed at the next write.
func watchReader(context.Context, io.Writer, func()) {}
