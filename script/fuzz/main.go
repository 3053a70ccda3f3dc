// Fuzz runs every fuzz target of the module, as many at a time as there are
// processors, each for the same time. It prints a line for each target, and the
// whole output of one that fails.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	total := flag.Duration("total", 0, "time for all targets together")
	each := flag.Duration("each", 10*time.Second, "time for each target, if -total is not given")
	flag.Parse()
	if err := run(*total, *each, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// target is one fuzz target.
type target struct {
	dir, name string
	program   string // the test binary
	corpus    string // where go keeps the inputs that reached new code
}

func run(total, each time.Duration, w io.Writer) error {
	temporary, err := os.MkdirTemp("", "skaro-fuzz-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	targets, err := findTargets(".")
	if err == nil {
		err = build(targets, temporary)
	}
	if err != nil {
		return err
	}
	jobs := runtime.NumCPU()
	if total > 0 {
		each = total * time.Duration(jobs) / time.Duration(len(targets))
	}
	fmt.Fprintf(w, "%d targets, %v each, %d at a time\n", len(targets), each.Round(time.Millisecond), jobs)
	var mu sync.Mutex // guards w and failed
	var failed []string
	var running sync.WaitGroup
	free := make(chan struct{}, jobs)
	for _, t := range targets {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			out, err := t.run(each)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, t.name)
				fmt.Fprintf(w, "%s %s: %v\n%s", t.dir, t.name, err, out)
				return
			}
			fmt.Fprintf(w, "%s %s: %s\n", t.dir, t.name, lastFigures(out))
		})
	}
	running.Wait()
	if len(failed) > 0 {
		return errors.New("failed: " + strings.Join(failed, ", "))
	}
	return nil
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)

// findTargets finds the fuzz targets below a folder.
func findTargets(root string) (targets []*target, err error) {
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range declaration.FindAllSubmatch(source, -1) {
			targets = append(targets, &target{dir: filepath.Dir(path), name: string(match[1])})
		}
		return err
	})
	if err == nil && len(targets) == 0 {
		err = errors.New("there is no fuzz target")
	}
	return targets, err
}

// build builds the test binary of each package, with what guides the fuzzing.
func build(targets []*target, temporary string) error {
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return err
	}
	built := map[string]bool{}
	for _, t := range targets {
		t.program = filepath.Join(temporary, strings.ReplaceAll(t.dir, string(filepath.Separator), "-")+".test")
		if runtime.GOOS == "windows" {
			t.program += ".exe"
		}
		t.corpus = filepath.Join(strings.TrimSpace(string(cache)), "fuzz", "skaro", t.dir)
		if built[t.dir] {
			continue
		}
		built[t.dir] = true
		cmd := exec.Command("go", "test", "-c", "-fuzz=.", "-o", t.program, "./"+filepath.ToSlash(t.dir))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the tests of %s: %w\n%s", t.dir, err, out)
		}
	}
	return nil
}

// run fuzzes the target for a time. Go may spend a minute on making one input shorter; here
// it tries that a few times.
func (t *target) run(long time.Duration) (string, error) {
	cmd := exec.Command(t.program, "-test.run=^$", "-test.fuzz=^"+t.name+"$", "-test.fuzztime="+long.String(),
		"-test.fuzzminimizetime=20x", "-test.parallel=1", "-test.fuzzcachedir="+t.corpus)
	cmd.Dir = t.dir
	out, err := cmd.CombinedOutput()
	if err != nil && onlyLate(string(out)) {
		err = nil
	}
	return string(out), err
}

var failure = regexp.MustCompile(`(?m)^\s+\S.*$`)

// onlyLate reports whether a target failed because its time ended while it started an input,
// which Go reports as a failure.
func onlyLate(out string) bool {
	what := failure.FindAllString(out, -1)
	return len(what) > 0 && !slices.ContainsFunc(what, func(line string) bool { return strings.TrimSpace(line) != "context deadline exceeded" })
}

var figures = regexp.MustCompile(`(?m)^fuzz: elapsed: (.*)$`)

// lastFigures returns what the fuzzing came to.
func lastFigures(out string) string {
	all := figures.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return "no figures"
	}
	return all[len(all)-1][1]
}
