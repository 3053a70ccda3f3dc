// Command skaroctl is a scriptable client for the Skaro instant-messaging
// protocol.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"time"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// version is set by the linker if the go command can't know it.
var version string

// buildInfo says what this program was built from.
func buildInfo() build.Info { return build.Read("skaroctl", version) }

// outputGrace is the grace period for pending output after an interrupt.
const outputGrace = 2 * time.Second

// signalGrace is how long to wait for our signal when the reader of the output has gone: a
// signal for a whole pipeline ends the reader too, and may reach us a moment later.
const signalGrace = 100 * time.Millisecond

// run is the whole program: it returns the exit status.
func run(args []string, streams terminal.Streams, getenv func(string) string) int {
	log.SetOutput(io.Discard) // what net/http logs comes back as an error too
	ctx, signals := terminal.CatchSignals(context.Background())
	defer signals.Stop()
	f := newFactory(ctx, streams, getenv)
	go func() { _, _ = f.loadProfiles() }() // most commands want them: they are there when the command line is parsed
	<-signals.Caught()
	err := execute(ctx, f, args)
	if readerGone(err) {
		select {
		case <-ctx.Done():
		case <-time.After(signalGrace):
		}
	}
	status := f.report(err)
	var i *terminal.Interrupt
	if status == 0 && (err != nil || f.out.PendingAtInterrupt()) && errors.As(context.Cause(ctx), &i) {
		return i.ExitStatus() // the output was not done, or its reader has gone since
	}
	return status
}
