//go:build docs

package main

import (
	"context"
	"os"

	"github.com/skaroctl/skaroctl/internal/reference"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// main writes the reference of the program (`make docs`).
func main() {
	f := newFactory(context.Background(), terminal.Streams{}, os.Getenv)
	os.Exit(reference.Main(newRootCmd(f, nil), os.Args[1:]))
}
