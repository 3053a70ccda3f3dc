// Command skaroctl is a scriptable client for the Skaro instant-messaging
// protocol.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// version is set by the linker where the go command can't know it.
var version string

// buildInfo tells what this program was built from.
func buildInfo() build.Info { return build.Read("skaroctl", version) }

// outputPatience is how long an interrupt leaves to who reads the output.
const outputPatience = 2 * time.Second

// signalPatience is how long a signal may take that has ended who reads the output.
const signalPatience = 100 * time.Millisecond

// run is the whole program: it returns the exit status.
func run(args []string, streams terminal.Streams, getenv func(string) string) int {
	log.SetOutput(io.Discard) // net/http writes there what comes back as an error anyway
	ctx, signals := terminal.CatchSignals(context.Background())
	defer signals.Stop()
	a := &app{streams: streams, getenv: getenv}
	a.err = terminal.NewInterruptibleWriter(ctx, streams.Err, outputPatience, nil)
	a.out = terminal.NewInterruptibleWriter(ctx, streams.Out, outputPatience, func() {
		a.notice("nobody takes the output: it ends in %v all the same", outputPatience)
	})
	a.profiles = sync.OnceValue(func() profiles { return a.loadProfiles(args) })
	go a.profiles() // most commands want them: they are there when the command line is understood
	err := a.execute(ctx, args, signals.Caught())
	if errors.Is(err, errReaderGone) || terminal.ReaderGone(err) {
		// A signal for a whole pipeline ends the reader too, and may come to us a moment later.
		select {
		case <-ctx.Done():
		case <-time.After(signalPatience):
		}
	}
	status := a.report(err)
	var i *terminal.Interrupt
	if status == 0 && (err != nil || a.out.PendingAtInterrupt()) && errors.As(context.Cause(ctx), &i) {
		return i.ExitStatus() // the output was not done, or its reader has gone since
	}
	return status
}
