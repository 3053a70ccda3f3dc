//go:build docs

package main

import (
	"os"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/reference"
)

// main writes the reference of the program (`make docs`).
func main() {
	f := newFactory(&cli.Process{Getenv: os.Getenv})
	os.Exit(reference.Main(newRootCmd(f), os.Args[1:]))
}
