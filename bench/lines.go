package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	linesMessages = 100_000
	linesRounds   = 3
)

// lines measures how fast `send --lines` gets its messages confirmed by a skarod
// that has them on disk: the whole process, from its start to its end.
func lines(ctx context.Context, l *lab, r *report) error {
	url, err := l.serve(ctx, "skarod-lines")
	if err != nil {
		return err
	}
	env, err := l.logIn(ctx, "lines", url, "file", nil)
	if err != nil {
		return err
	}
	help, err := l.command(ctx, env, l.skaroctl, "send", "--help").Output()
	if err != nil {
		return err
	}
	if !strings.Contains(string(help), "--lines") {
		r.lacks("send --lines", "this skaroctl does not have it")
		return nil
	}
	input := filepath.Join(l.dir, "lines.txt")
	var b bytes.Buffer
	for i := range linesMessages {
		fmt.Fprintf(&b, "%06d %s\n", i, text)
	}
	if err := os.WriteFile(input, b.Bytes(), 0o600); err != nil {
		return err
	}
	var rates, memory []float64
	for range linesRounds {
		rate, mib, err := l.sendLines(ctx, env, input)
		if err != nil {
			return err
		}
		rates, memory = append(rates, rate), append(memory, mib)
	}
	r.atLeast("send --lines: confirmed messages a second", median(rates), 30_000, "%.0f")
	r.note("send --lines: peak memory", "%.1f MiB", median(memory))
	return nil
}

// sendLines sends the file, and counts the confirmations.
func (l *lab) sendLines(ctx context.Context, env []string, input string) (rate, mib float64, err error) {
	stdin, err := os.Open(input)
	if err != nil {
		return 0, 0, err
	}
	defer stdin.Close()
	c := l.command(ctx, env, l.skaroctl, "send", "bob", "--lines", "-o", "json")
	c.Stdin = stdin
	out, err := c.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := c.Start(); err != nil {
		return 0, 0, err
	}
	confirmed := 0
	block := make([]byte, listenBlock)
	for {
		n, err := out.Read(block)
		confirmed += bytes.Count(block[:n], []byte{'\n'})
		if confirmed == linesMessages && mib == 0 {
			mib = peak(c.Process.Pid) // 0 if it has ended already
		}
		if err != nil {
			break
		}
	}
	if err := c.Wait(); err != nil {
		return 0, 0, l.failed(c, err)
	}
	took := time.Since(start)
	if confirmed != linesMessages {
		return 0, 0, fmt.Errorf("%d of %d messages were confirmed", confirmed, linesMessages)
	}
	return float64(confirmed) / took.Seconds(), mib, nil
}
