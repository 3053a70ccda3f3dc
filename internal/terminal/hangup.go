package terminal

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

type hangupKey struct{}

// Hangups takes SIGHUP out of the signals that end a context of Interruptible: each
// comes on the channel, also where it was ignored at the start.
func Hangups(ctx context.Context) <-chan os.Signal {
	if taken, ok := ctx.Value(hangupKey{}).(*atomic.Bool); ok {
		taken.Store(true)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups
}
