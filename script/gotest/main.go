// Gotest runs `go test` with the given arguments, shows the output of what
// failed, and at the end has one line for every skipped test: a skip that is not
// seen is a test that never runs. Its exit status is that of go test, or 1 if
// SKARO_TEST_REQUIRE=1 and a peer or service that a test needs was missing.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build event
	Test       string
	Output     string
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = stderr
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(stderr, "gotest: can't run go test:", err)
		return 1
	}
	skips, err := report(pipe, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "gotest: can't read the output of go test:", err)
		_, _ = io.Copy(io.Discard, pipe) // go test must be able to end
	}
	failed := cmd.Wait()
	missing := false
	if len(skips) > 0 {
		fmt.Fprintf(stdout, "\n%d skipped:\n", len(skips))
		for _, s := range skips {
			missing = missing || s.missing
			fmt.Fprintf(stdout, "  %s: %s\n", s.test, s.why)
		}
	}
	var exit *exec.ExitError
	switch {
	case errors.As(failed, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	case failed != nil || err != nil:
		return 1
	case missing && os.Getenv("SKARO_TEST_REQUIRE") == "1":
		fmt.Fprintln(stdout, "SKARO_TEST_REQUIRE=1: a skip is a failure")
		return 1
	}
	return 0
}

// skip is a test that did not run.
type skip struct {
	test    string // with its package
	why     string
	missing bool // a peer or service that it needs is not there
}

// report shows failures and the result of each package, and returns what was skipped.
func report(events io.Reader, w io.Writer) (skips []skip, err error) {
	output := map[string]*strings.Builder{} // of each test; "" after the slash is the package itself
	for dec := json.NewDecoder(events); ; {
		var e event
		if err := dec.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return skips, err
		}
		key := e.Package + "/" + e.Test
		switch {
		case e.Action == "build-output":
			fmt.Fprint(w, e.Output)
		case e.Action == "output":
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			output[key].WriteString(e.Output)
		case e.Action == "skip" && e.Test != "":
			skips = append(skips, newSkip(strings.TrimPrefix(e.Package, "github.com/skaroctl/skaroctl/")+" "+e.Test, output[key]))
			delete(output, key)
		case e.Action == "fail" || e.Test == "" && (e.Action == "pass" || e.Action == "skip"):
			if output[key] != nil {
				fmt.Fprint(w, output[key])
			}
			delete(output, key)
		case e.Action == "pass":
			delete(output, key)
		}
	}
}

// said matches a line that a test logged: its position, and the text. That of a script
// is in a log, whose lines have the position of testscript.go.
var said = regexp.MustCompile(`^\s*(\w+\.go):\d+: (.*)`)

// newSkip reads from the output of a test why it was skipped.
func newSkip(test string, output *strings.Builder) skip {
	s := skip{test: test, why: "it does not say why"}
	if output == nil {
		return s
	}
	for line := range strings.Lines(output.String()) {
		match := said.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if match == nil || match[1] == "testscript.go" || s.missing {
			continue
		}
		s.why, s.missing = strings.CutPrefix(match[2], "SKIPPED: ")
	}
	return s
}
