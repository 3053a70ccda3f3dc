package main

import (
	"strings"
	"testing"

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
	f := newFactory(t.Context(), streams, func(name string) string { return variables[name] })
	f.given.output = "auto"
	f.given.changed = func(string) bool { return false }
	f.flags = f.given
	return f
}
