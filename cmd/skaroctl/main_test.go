package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// Help, version and completion scripts need neither a home nor a network.
func TestHelpAndVersionNeedNoHome(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"version"}, {"--version"}, {"send", "--help"}, {"help", "listen"}, {"login", "-h"}, {"completion", "bash"}} {
		var out, errs strings.Builder
		exit := run(args, terminal.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, func(string) string { return "" })
		if exit != 0 || out.Len() == 0 || errs.Len() != 0 {
			t.Errorf("%q: exit %d, %q", args, exit, &errs)
		}
	}
}

// Help, version and completion scripts don't read the config file.
func TestHelpAndVersionReadNoProfiles(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"version"}, {"--version"}, {"send", "--help"}, {"help", "listen"}, {"completion", "bash"}, {"__complete", "sen"}} {
		streams := terminal.Streams{Out: io.Discard, Err: io.Discard}
		status := cli.MainContext(t.Context(), args, streams, func(string) string { return "" }, func(p *cli.Process) cli.Program {
			f := newFactory(p)
			f.loadProfiles = func() (profiles, error) {
				t.Errorf("%q reads the profiles", args)
				return profiles{}, errors.New("not for this command")
			}
			return newProgram(f)
		})
		if status != 0 {
			t.Errorf("%q: status %d", args, status)
		}
	}
}

func TestEveryCommandHasShortHelp(t *testing.T) {
	for _, c := range newRootCmd(newTestFactory(t, terminal.Streams{}, nil)).Commands() {
		if c.Short == "" {
			t.Errorf("%s has no short help", c.Name())
		}
	}
}

// A terminal that does not follow escape sequences gets none.
func TestPlainTerminalGetsNoEscapes(t *testing.T) {
	for _, plain := range []bool{false, true} {
		var errs strings.Builder
		streams := terminal.Streams{In: strings.NewReader(""), Err: &errs, ErrTerminal: true, Plain: plain}
		if exit := run([]string{"nonsense"}, streams, func(string) string { return "" }); exit != 2 || strings.Contains(errs.String(), "\x1b") == plain {
			t.Errorf("plain %v: exit %d, %q", plain, exit, &errs)
		}
	}
}
