package main

import (
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// newTestFactory makes a Factory whose environment has variables and nothing else.
func newTestFactory(t *testing.T, streams terminal.Streams, variables map[string]string) *Factory {
	t.Helper()
	var discarded strings.Builder
	if streams.Out == nil {
		streams.Out = &discarded
	}
	if streams.Err == nil {
		streams.Err = &discarded
	}
	f := newFactory(&cli.Process{
		Streams: streams, Getenv: func(name string) string { return variables[name] },
		Out: terminal.NewInterruptibleWriter(t.Context(), streams.Out, 0, nil), Err: terminal.NewInterruptibleWriter(t.Context(), streams.Err, 0, nil),
	})
	f.given.output = "auto"
	f.given.changed = func(string) bool { return false }
	f.flags = f.given
	return f
}
