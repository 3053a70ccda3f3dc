// Command bench measures skaroctl, skarod and the programs that they are compared with on
// this machine, and prints a table. docs/benchmarks.md explains each figure. A missed
// target is reported, and is not a failure; a figure that could not be measured is one.
//
//	bench [-bin DIR] [-libskaro PYTHON] [SECTION...]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// sections are the parts of the measurement, in the order they run.
var sections = []struct {
	name string
	run  func(context.Context, *lab, *report) error
}{
	{"oneshot", oneShot},
	{"keyring", keyring},
	{"roundtrips", roundTrips},
	{"listen", listen},
	{"lines", lines},
	{"start", start},
	{"server", server},
	{"fair", fair},
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 1 && args[0] == "child" {
		return children[args[1]](ctx, args[2:])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	bin := flags.String("bin", "bin", "folder of the built programs: skaroctl, skarod, floor")
	python := flags.String("libskaro", filepath.Join(".venv", "bin", "python"), "Python that has libskaro 0.3")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, name := range flags.Args() {
		known := false
		for _, s := range sections {
			known = known || s.name == name
		}
		if !known {
			return fmt.Errorf("there is no section %q", name)
		}
	}
	l, err := newLab(*bin, *python)
	if err != nil {
		return err
	}
	defer l.close()
	began := time.Now()
	fmt.Fprintf(out, "%s, %s/%s, %d processors, load %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load())
	var errs []error
	r := &report{}
	for _, s := range sections {
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", s.name)
		if err := s.run(ctx, l, r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
	if err := r.print(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "took %v, load %s\n", time.Since(began).Round(time.Second), load())
	return errors.Join(errs...)
}

// load is the load average of the last minute. Other work on the machine makes
// every figure worse.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// report is the table of results.
type report struct {
	rows    []row
	missing []string
}

type row struct{ what, figure, target, verdict string }

// note adds a figure that has no target.
func (r *report) note(what, format string, args ...any) {
	r.rows = append(r.rows, row{what: what, figure: fmt.Sprintf(format, args...)})
}

// atMost adds a figure that should not exceed its target.
func (r *report) atMost(what string, figure, target float64, format string) {
	r.add(what, figure, "≤", target, format, figure <= target)
}

// atLeast adds a figure that should reach its target.
func (r *report) atLeast(what string, figure, target float64, format string) {
	r.add(what, figure, "≥", target, format, figure >= target)
}

func (r *report) add(what string, figure float64, sign string, target float64, format string, ok bool) {
	verdict := "MISSED"
	if ok {
		verdict = "pass"
	}
	r.rows = append(r.rows, row{what, fmt.Sprintf(format, figure), sign + " " + fmt.Sprintf(format, target), verdict})
}

// lacks notes a figure that could not be measured because a peer is missing.
func (r *report) lacks(peer, remedy string) {
	r.missing = append(r.missing, fmt.Sprintf("MISSING: %s; %s", peer, remedy))
}

func (r *report) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, x := range r.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.what, x.figure, x.target, x.verdict)
	}
	for _, m := range r.missing {
		fmt.Fprintln(w, m)
	}
	return w.Flush()
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	if n == 0 {
		return 0
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}

// pairs is the median of f over the values that were measured side by side.
func pairs(a, b []float64, f func(a, b float64) float64) float64 {
	each := make([]float64, len(a))
	for i := range a {
		each[i] = f(a[i], b[i])
	}
	return median(each)
}

func ratio(a, b float64) float64      { return a / b }
func difference(a, b float64) float64 { return a - b }
