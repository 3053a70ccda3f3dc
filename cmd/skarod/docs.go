//go:build docs

package main

import (
	"os"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/reference"
)

// main writes the reference of the program (`make docs`).
func main() {
	os.Exit(reference.Main(newRootCmd(newFactory(&cli.Process{Getenv: os.Getenv})), os.Args[1:]))
}
