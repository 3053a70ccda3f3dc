package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var (
	helpCommands = regexp.MustCompile(`(?ms)^Commands:\n(.*?)(?:\n\n|\z)`)
	helpCommand  = regexp.MustCompile(`(?m)^  (\S+)`)
	helpUsage    = regexp.MustCompile(`(?m)^Usage:\n  (.*)$`)
)

func helpOf(ts *testscript.TestScript, program string, words []string) string {
	out, err := brief(ts, program, append(words[:len(words):len(words)], "--help")...).Output()
	ts.Check(err)
	return string(out)
}

// commandsOf are the words of a command and of all below it.
func commandsOf(ts *testscript.TestScript, program string, words []string) [][]string {
	all := [][]string{words}
	if list := helpCommands.FindStringSubmatch(helpOf(ts, program, words)); list != nil {
		for _, m := range helpCommand.FindAllStringSubmatch(list[1], -1) {
			all = append(all, commandsOf(ts, program, append(words[:len(words):len(words)], m[1]))...)
		}
	}
	return all
}

// hints PROGRAM runs every command of a program with wrong usage: an unknown flag, too
// few arguments, too many. Each must print one line that says what is wrong and one that
// says what to do, and end with status 2.
func cmdHints(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1, "hints PROGRAM")
	program := args[0]
	said := regexp.MustCompile(`\A` + program + `: .+\nhint: .+\n\z`)
	refuses := func(words []string, more ...string) {
		words = append(words[:len(words):len(words)], more...)
		out, err := brief(ts, program, words...).Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !said.Match(exit.Stderr) || len(out) > 0 {
			text := fmt.Sprint(err)
			if exit != nil {
				text += "\n" + string(exit.Stderr)
			}
			ts.Fatalf("%s %q is no error of usage with a hint: %s%s", program, words, text, out)
		}
	}
	few, many := 0, 0
	for _, words := range commandsOf(ts, program, nil) {
		usage := helpUsage.FindStringSubmatch(helpOf(ts, program, words))
		if usage == nil {
			ts.Fatalf("the help of %q has no usage", words)
		}
		refuses(words, "--nosuchflag")
		operands := strings.Fields(usage[1])[2+len(words):] // after the flags
		if len(operands) > 0 && !strings.HasPrefix(operands[0], "[") && len(words) > 0 {
			few++
			refuses(words)
		}
		if !strings.Contains(usage[1], "...") {
			many++
			refuses(words, "a", "b", "c", "d")
		}
	}
	if few == 0 || many == 0 {
		ts.Fatalf("%d commands need an argument, %d have a limit", few, many)
	}
}
