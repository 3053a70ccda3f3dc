package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	startRounds     = 200
	startShown      = 5
	startMemoryRuns = 5
)

// start measures what it costs to start skaroctl, and what it is made of.
func start(ctx context.Context, l *lab, r *report) error {
	programs := []program{
		{"skaroctl version", func() *exec.Cmd { return l.command(ctx, nil, l.skaroctl, "version") }, startRounds, nil},
		{"true(1), for comparison", func() *exec.Cmd { return l.command(ctx, nil, "true") }, startRounds, nil},
	}
	if err := l.inTurn(programs); err != nil {
		return err
	}
	for _, p := range programs {
		r.note("start: "+p.name, "%.2f ms", median(p.took))
	}
	if err := l.initialisers(ctx, r); err != nil {
		return err
	}
	for _, path := range []string{l.skaroctl, l.skarod, l.floor} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		r.note("size: "+filepath.Base(path), "%.1f MiB", float64(info.Size())/(1<<20))
	}
	return l.oneShotMemory(ctx, r)
}

// initialisers reports the package initialisers that take longest (GODEBUG
// inittrace, package runtime).
func (l *lab) initialisers(ctx context.Context, r *report) error {
	type initialiser struct {
		name         string
		milliseconds float64
	}
	runs := map[string][]float64{}
	const n = 21
	for range n {
		c := l.command(ctx, []string{"GODEBUG=inittrace=1"}, l.skaroctl, "version")
		var said bytes.Buffer
		c.Stderr = &said
		if err := c.Run(); err != nil {
			return err
		}
		lines := bufio.NewScanner(&said)
		for lines.Scan() {
			// init NAME @0.5 ms, 0.01 ms clock, 100 bytes, 2 allocs
			f := strings.Fields(lines.Text())
			var ms float64
			if len(f) < 6 || f[0] != "init" {
				continue
			}
			if _, err := fmt.Sscan(f[4], &ms); err != nil {
				return fmt.Errorf("inittrace said %q: %w", lines.Text(), err)
			}
			runs[f[1]] = append(runs[f[1]], ms)
		}
	}
	var all []initialiser
	total := 0.0
	for name, took := range runs {
		ms := median(took)
		all = append(all, initialiser{name, ms})
		total += ms
	}
	slices.SortFunc(all, func(a, b initialiser) int {
		return cmp.Or(cmp.Compare(b.milliseconds, a.milliseconds), cmp.Compare(a.name, b.name))
	})
	r.note(fmt.Sprintf("start: %d package initialisers", len(all)), "%.2f ms", total)
	for _, x := range all[:min(startShown, len(all))] {
		r.note("start:   "+x.name, "%.3f ms", x.milliseconds)
	}
	return nil
}

// oneShotMemory is the peak memory of a one-shot send. It is read while the
// program waits for a long line, and again and again until it has ended.
func (l *lab) oneShotMemory(ctx context.Context, r *report) error {
	url, err := l.serve(ctx, "skarod-memory")
	if err != nil {
		return err
	}
	p, err := newProxy(url)
	if err != nil {
		return err
	}
	defer p.listener.Close()
	env, err := l.logIn(ctx, "memory", p.url, "file", nil)
	if err != nil {
		return err
	}
	p.delay.Store(int64(oneWay))
	var memory []float64
	for range startMemoryRuns {
		c := l.command(ctx, env, l.skaroctl, "send", "bob", text)
		if err := c.Start(); err != nil {
			return err
		}
		most := make(chan float64)
		ended := make(chan struct{})
		go func() {
			m := 0.0
			for {
				select {
				case <-ended:
					most <- m
					return
				default:
					m = max(m, peak(c.Process.Pid))
				}
			}
		}()
		err := c.Wait()
		close(ended)
		memory = append(memory, <-most)
		if err != nil {
			return l.failed(c, err)
		}
	}
	r.note("memory: one-shot send, peak", "%.1f MiB", median(memory))
	return nil
}
