//go:build !docs

package main

import (
	"os"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

func main() { os.Exit(run(os.Args[1:], terminal.SystemStreams(), os.Getenv)) }
