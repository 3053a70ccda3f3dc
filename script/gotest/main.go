// Gotest runs `go test` with the given arguments, shows the output of what
// failed, and at the end repeats every skipped test and its reason: a skip that is not
// seen is a test that never runs. Its exit status is that of go test, or 1 when
// SKARO_TEST_REQUIRE=1 and a peer or service that a test needs was missing.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
		for _, skip := range skips {
			missing = missing || strings.Contains(skip, "SKIPPED:")
			fmt.Fprintln(stdout, "  "+skip)
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

// report shows failures and the result of each package, and returns what was skipped.
func report(events io.Reader, w io.Writer) (skips []string, err error) {
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
			skips = append(skips, strings.TrimPrefix(e.Package, "github.com/skaroctl/skaroctl/")+": "+reason(output[key], e.Test))
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

// reason is the reason that a test gave for its skip, in one line.
func reason(output *strings.Builder, test string) string {
	if output == nil {
		return test
	}
	var lines []string
	for line := range strings.Lines(output.String()) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			lines = append(lines, line)
		}
	}
	return test + ": " + strings.Join(lines, " ")
}
