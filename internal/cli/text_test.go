package cli

import (
	"strings"
	"testing"
)

// A flag that may be a part of a text is an error: pflag would take it out, and send the
// rest.
func TestFlagInATextIsRefused(t *testing.T) {
	const (
		between = " comes between the words of a text"
		behind  = " comes after a text of several words"
		beside  = " is given with a text"
	)
	for args, want := range map[string]string{
		"do bob rm --null /tmp":           "--null" + between,
		"do bob a --count 3 b":            "--count" + between,
		"do bob a --count=3 b":            "--count=3" + between,
		"do bob a -o text b":              "-o" + between,
		"do bob a -otext b c":             "-otext" + between,
		"do bob a --null -- b":            "--null" + between,
		"do bob a b --null":               "--null" + behind,
		"do bob a b --count 3":            "--count" + behind,
		"do --lines bob a b --null":       "--null" + behind,
		"--output text do bob a b -otext": "-otext" + behind,
		"do bob a -h":                     "-h" + beside,
		"do bob a --help":                 "--help" + beside,
		"do -h bob a":                     "-h" + beside,
		"do bob -h a b":                   "-h" + beside,
	} {
		got := program(t, t.Context(), nil, strings.Fields(args)...)
		if got.status != 2 || got.out != "" || !strings.HasPrefix(got.errs, "prog: "+want+"\nhint: ") || !strings.Contains(got.errs, " as text, write `prog do NAME -- TEXT...`") {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestFlagOutsideATextIsTaken(t *testing.T) {
	for _, args := range []string{
		"do bob a --null", "do bob a --count 3", "do bob a --lines --count=3 -o text", "do --null bob a b", "do bob --null a b",
		"do bob --count 3 a b", "do bob -o text a b", "do bob -- a --null b -h", "do bob a -- --null", "do --null bob", "do bob -", "do bob - --null",
		"do do a --null", "--output text do bob a b",
	} {
		if got := program(t, t.Context(), nil, strings.Fields(args)...); got != (result{}) {
			t.Errorf("%s: %+v", args, got)
		}
	}
	for _, args := range []string{"do -h", "do bob -h", "one bob -h", "do --help --null"} {
		if got := program(t, t.Context(), nil, strings.Fields(args)...); got.status != 0 || got.out == "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
