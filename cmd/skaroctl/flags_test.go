package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// A flag overrides its variable, which overrides the default.
func TestFlagsResolve(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		env  map[string]string
		want commonFlags
		err  string
	}{
		{name: "defaults", want: commonFlags{output: "auto", colour: "auto", timeout: cli.Duration(10 * time.Second)}},
		{
			name: "environment",
			env:  map[string]string{"SKAROCTL_SERVER": " ws://e/\n", "SKAROCTL_PROFILE": "e", "SKAROCTL_OUTPUT": "text", "SKAROCTL_TIMEOUT": "1m"},
			want: commonFlags{server: "ws://e/", profile: "e", output: "text", colour: "auto", timeout: cli.Duration(time.Minute)},
		},
		{
			name: "flags before the environment",
			args: []string{"-s", "ws://f/", "-p", "f", "-o", "json", "--timeout", "1s", "-v", "--utc", "--allow-plaintext", "--ca-file", "ca.pem"},
			env:  map[string]string{"SKAROCTL_SERVER": "ws://e/", "SKAROCTL_PROFILE": "e", "SKAROCTL_OUTPUT": "nonsense", "SKAROCTL_TIMEOUT": "nonsense"},
			want: commonFlags{server: "ws://f/", profile: "f", output: "json", colour: "auto", timeout: cli.Duration(time.Second), verbose: true, utc: true, allowPlaintext: true, caFile: "ca.pem"},
		},
		{name: "a variable with a bad duration", env: map[string]string{"SKAROCTL_TIMEOUT": "5"}, err: "SKAROCTL_TIMEOUT: "},
		{name: "a variable with a bad format", env: map[string]string{"SKAROCTL_OUTPUT": "xml"}, err: `SKAROCTL_OUTPUT is "xml", not one of auto, text, json`},
		{name: "a bad format", args: []string{"-o", "xml"}, err: `--output is "xml"`},
		{name: "a bad colour", args: []string{"--color", "red"}, err: `--color is "red", not one of auto, always, never`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var given commonFlags
			root := &cobra.Command{Use: "skaroctl"}
			given.add(root, nil)
			if err := root.ParseFlags(c.args); err != nil {
				t.Fatal(err)
			}
			before := given
			got, err := given.resolve(func(name string) string { return c.env[name] })
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || kindOf(err) != cli.KindUsage {
					t.Errorf("the error is %v", err)
				}
				return
			}
			got.changed, before.changed, given.changed = nil, nil, nil
			if err != nil || !sameFlags(got, c.want) {
				t.Errorf("%+v, %v", got, err)
			}
			if !sameFlags(before, given) {
				t.Error("resolve has changed the flags of the command line")
			}
		})
	}
}

func sameFlags(a, b commonFlags) bool {
	return a.server == b.server && a.profile == b.profile && a.output == b.output && a.colour == b.colour && a.caFile == b.caFile &&
		a.timeout == b.timeout && a.verbose == b.verbose && a.quiet == b.quiet && a.allowPlaintext == b.allowPlaintext && a.utc == b.utc
}

// The form of an error does not depend on standard output being a terminal.
func TestWantsJSON(t *testing.T) {
	for _, c := range []struct {
		output, env string
		want        bool
	}{{"auto", "", false}, {"auto", "json", true}, {"json", "", true}, {"text", "json", false}} {
		got := commonFlags{output: c.output}.wantsJSON(func(string) string { return c.env })
		if got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
