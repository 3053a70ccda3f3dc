package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestProgressDrawsBar(t *testing.T) {
	var none *progress
	none.add(5)
	none.clear()
	none.end()

	var out bytes.Buffer
	now := time.Unix(1000, 0)
	p := &progress{stderr: &stderr{w: &out}, now: func() time.Time { return now }, total: 4_000_000, recipients: 2}
	drawn := func() string {
		defer out.Reset()
		return out.String()
	}
	p.end()
	if got := drawn(); got != "" {
		t.Errorf("before the first line: %q", got)
	}
	p.add(2_000_000) // one of two has got half of it
	if got, want := drawn(), clearLine+"sending ["+strings.Repeat("#", 7)+strings.Repeat(" ", 23)+"]  25 %  1.0 of 4.0 MB"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	p.add(2_000_000)
	if got := drawn(); got != "" {
		t.Errorf("too soon: %q", got)
	}
	now = now.Add(barPause)
	p.add(9_000_000) // the last line may have no newline, which counts as one
	if got := drawn(); !strings.Contains(got, "["+strings.Repeat("#", barWidth)+"] 100 %  4.0 of 4.0 MB") {
		t.Errorf("%q", got)
	}
	p.end()
	p.end()
	if got := drawn(); got != clearLine {
		t.Errorf("at the end: %q", got)
	}
}

// A line of text takes the place of the bar, which is drawn again after it.
func TestProgressMakesWayForNotices(t *testing.T) {
	var out bytes.Buffer
	s := &stderr{w: &out}
	p := &progress{stderr: s, now: time.Now, total: 100, recipients: 1}
	s.show(p)
	p.add(10)
	bar := out.String()
	s.line("a notice")
	p.add(10)
	if got := out.String(); !strings.HasPrefix(got, bar+clearLine+"a notice\n"+clearLine+"sending") {
		t.Errorf("%q", got)
	}
}

// There is a bar only for a file whose lines are sent, at a terminal that can draw it.
func TestProgressNeedsFileAndTerminal(t *testing.T) {
	input, err := os.Create(filepath.Join(t.TempDir(), "lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	terminals := terminal.Streams{In: input, ErrTerminal: true}
	for name, c := range map[string]struct {
		change func(*terminal.Streams, *sendOptions)
		want   bool
	}{
		"a bar":        {func(*terminal.Streams, *sendOptions) {}, true},
		"one text":     {func(_ *terminal.Streams, o *sendOptions) { o.lines = false }, false},
		"plain":        {func(s *terminal.Streams, _ *sendOptions) { s.Plain = true }, false},
		"a pipe":       {func(s *terminal.Streams, _ *sendOptions) { s.In = strings.NewReader("x") }, false},
		"results here": {func(s *terminal.Streams, _ *sendOptions) { s.OutTerminal = true }, false},
		"a log":        {func(s *terminal.Streams, _ *sendOptions) { s.ErrTerminal = false }, false},
	} {
		streams, o := terminals, &sendOptions{lines: true}
		c.change(&streams, o)
		if bar := o.showProgress(newTestFactory(t, streams, nil), 1); (bar != nil) != c.want {
			t.Errorf("%s: bar %v", name, bar)
		}
	}
}
