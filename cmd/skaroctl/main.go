// Command skaroctl is a scriptable client for the Skaro instant-messaging
// protocol.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/output"
)

// version is set by the linker where the go command can't know it.
var version string

// buildInfo tells what this program was built from.
func buildInfo() build.Info { return build.Read("skaroctl", version) }

// run is the whole program: it returns the exit status.
func run(args []string, streams output.Streams, getenv func(string) string) int {
	log.SetOutput(io.Discard) // net/http writes there what comes back as an error anyway
	ctx, caught, stop := interruptible(context.Background())
	defer stop()
	a := &app{streams: streams, getenv: getenv, profiles: sync.OnceValue(func() profiles { return loadProfiles(getenv) })}
	go a.profiles() // most commands want them: they are there when the command line is understood
	return a.report(a.execute(ctx, args, caught))
}

// interruptible is a context that SIGINT and SIGTERM end, with an *interrupt as
// its cause. A second signal ends the program at once. SIGPIPE is caught, so that
// a reader that goes away is an error of the write and not the end of the
// process. Catching takes a quarter of a millisecond, in which other things can be
// done: caught is closed when it is so.
func interruptible(parent context.Context) (ctx context.Context, caught <-chan struct{}, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	catching, done := make(chan struct{}), make(chan struct{})
	go func() {
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		catchPipe()
		close(catching)
		select {
		case s := <-signals:
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			cancel(&interrupt{s})
		case <-done:
		}
	}()
	return ctx, catching, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
