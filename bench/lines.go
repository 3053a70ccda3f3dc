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

// lines measures how fast `send --lines` and `send --json` get their messages confirmed by a
// skarod that has them on disk: the whole process, from its start to its end.
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
	if !strings.Contains(string(help), "--lines") || !strings.Contains(string(help), "--json") {
		r.lacks("send --lines and --json", "this skaroctl does not have them")
		return nil
	}
	var lines, objects bytes.Buffer
	for i := range linesMessages {
		fmt.Fprintf(&lines, "%06d %s\n", i, text)
		fmt.Fprintf(&objects, "{\"to\":\"bob\",\"body\":\"%06d %s\"}\n", i, text)
	}
	forms := []*inputForm{{flag: "--lines", to: []string{"bob"}}, {flag: "--json"}}
	for i, content := range []*bytes.Buffer{&lines, &objects} {
		forms[i].file = filepath.Join(l.dir, "input"+forms[i].flag)
		if err := os.WriteFile(forms[i].file, content.Bytes(), 0o600); err != nil {
			return err
		}
	}
	for round := range linesRounds {
		for i := range forms {
			if err := l.sendInput(ctx, env, forms[(i+round)%len(forms)]); err != nil {
				return err
			}
		}
	}
	asLines, asJSON := forms[0], forms[1]
	var ratios []float64
	for i, rate := range asJSON.rates {
		ratios = append(ratios, rate/asLines.rates[i])
	}
	r.atLeast("send --lines: confirmed messages a second", median(asLines.rates), 30_000, "%.0f")
	r.note("send --lines: peak memory", "%.1f MiB", median(asLines.memory))
	r.note("send --json: confirmed messages a second", "%.0f", median(asJSON.rates))
	r.note("send --json: peak memory", "%.1f MiB", median(asJSON.memory))
	r.atLeast("send --json to --lines", median(ratios), 0.8, "%.2f times")
	return nil
}

// inputForm is one form of the same messages, and what was measured with it.
type inputForm struct {
	flag, file string
	to         []string // the recipients on the command line

	rates, memory []float64 // messages a second, MiB
}

// sendInput measures one run with an input.
func (l *lab) sendInput(ctx context.Context, env []string, form *inputForm) error {
	rate, mib, err := l.sendFile(ctx, env, form.file, append(form.to, form.flag))
	form.rates, form.memory = append(form.rates, rate), append(form.memory, mib)
	return err
}

// sendFile sends the messages of a file, and counts the confirmations.
func (l *lab) sendFile(ctx context.Context, env []string, input string, args []string) (rate, mib float64, err error) {
	stdin, err := os.Open(input)
	if err != nil {
		return 0, 0, err
	}
	defer stdin.Close()
	c := l.command(ctx, env, append([]string{l.skaroctl, "send", "-o", "json"}, args...)...)
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
