// Command skaroctl is a scriptable client for the Skaro instant-messaging
// protocol.
package main

import (
	"context"
	"io"
	"log"
	"sync"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// version is set by the linker where the go command can't know it.
var version string

// buildInfo tells what this program was built from.
func buildInfo() build.Info { return build.Read("skaroctl", version) }

// run is the whole program: it returns the exit status.
func run(args []string, streams output.Streams, getenv func(string) string) int {
	log.SetOutput(io.Discard) // net/http writes there what comes back as an error anyway
	ctx, caught, stop := terminal.Interruptible(context.Background())
	defer stop()
	a := &app{streams: streams, getenv: getenv}
	a.profiles = sync.OnceValue(func() profiles { return a.loadProfiles(args) })
	go a.profiles() // most commands want them: they are there when the command line is understood
	return a.report(a.execute(ctx, args, caught))
}
