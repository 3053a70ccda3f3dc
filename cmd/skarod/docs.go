//go:build docs

package main

import (
	"os"

	"github.com/skaroctl/skaroctl/internal/reference"
)

// main writes the reference of the program instead of being it (`make docs`).
func main() { os.Exit(reference.Main((&app{getenv: os.Getenv}).root(), os.Args[1:])) }
