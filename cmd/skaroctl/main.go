// Command skaroctl is a scriptable client for the Skaro instant-messaging
// protocol.
package main

import (
	"io"
	"log"
	"runtime/debug"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// version is set by the linker if the go command can't know it.
var version string

// buildInfo says what this program was built from.
func buildInfo() build.Info { return build.Read("skaroctl", version) }

// memoryAim is how many bytes the program may use before it collects garbage more often. A
// frame of 16 MiB that becomes one line of JSON takes a third less memory so.
const memoryAim = 96 << 20

// run is the whole program: it returns the exit status.
func run(args []string, streams terminal.Streams, getenv func(string) string) int {
	log.SetOutput(io.Discard) // net/http returns what it logs as an error too
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryAim)
	}
	return cli.Main(args, streams, getenv, func(p *cli.Process) cli.Program {
		return newProgram(newFactory(p))
	})
}

// newProgram returns what cli.Main runs.
func newProgram(f *Factory) cli.Program {
	return cli.Program{
		Root:       newRootCmd(f),
		Table:      exitTable,
		Classify:   classify,
		ErrorStyle: func() (bool, string) { return f.given.wantsJSON(f.getenv), f.given.colour },
		Notice:     func(text string) { f.notice("%s", text) },
	}
}
