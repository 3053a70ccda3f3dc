//go:build !docs

package main

import (
	"os"

	"github.com/skaroctl/skaroctl/internal/output"
)

func main() { os.Exit(run(os.Args[1:], output.SystemStreams(), os.Getenv)) }
