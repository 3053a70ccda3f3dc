package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func TestTailKeepsTheLastLines(t *testing.T) {
	long := strings.Repeat("x", maxTailLine)
	for _, c := range []struct {
		most   int
		output string
		want   []string
	}{
		{2, "", nil},
		{2, "one", []string{"one"}},
		{2, "one\n", []string{"one"}},
		{2, "one\ntwo\nthree", []string{"two", "three"}},
		{2, "one\ntwo\nthree\n", []string{"two", "three"}},
		{2, "one\n\n\n", []string{"", ""}},
		{3, "10%\r20%\r100%\r\ndone\r\r\n", []string{"100%", "done"}},
		{3, "10%\r", []string{"10%"}},
		{3, "\r\r\n", []string{""}},
		{1, "half \xc3 a letter", []string{"half \uFFFD a letter"}},
		{1, "\x00\xff\xfe\x01", []string{"\x00\uFFFD\x01"}},
		{1, long + "y", []string{long + "…"}},
		{1, long[1:] + "äy\n", []string{long[1:] + "…"}},
		{1, long + "y\rshort", []string{"short"}},
		{20, strings.Repeat(long+"\n", 20), slices.Repeat([]string{long}, maxTail/(maxTailLine+1))},
	} {
		for size := range 5 { // the output comes in parts of every size
			all := &tail{most: c.most}
			l := &tailLine{tail: all}
			if size == 0 {
				l.add([]byte(c.output))
			} else {
				for part := range slices.Chunk([]byte(c.output), size) {
					l.add(part)
				}
			}
			l.last()
			if !slices.Equal(all.lines, c.want) {
				t.Errorf("%.60q in parts of %d: %.300q", c.output, size, all.lines)
			}
		}
	}
}

func FuzzTail(f *testing.F) {
	f.Add([]byte("one\r\ntwo\n\xff"), byte(3), byte(2))
	f.Fuzz(func(t *testing.T, output []byte, most, size byte) {
		whole, parts := &tail{most: int(most) + 1}, &tail{most: int(most) + 1}
		a, b := &tailLine{tail: whole}, &tailLine{tail: parts}
		a.add(output)
		a.last()
		for part := range slices.Chunk(output, int(size)+1) {
			b.add(part)
		}
		b.last()
		if !slices.Equal(whole.lines, parts.lines) {
			t.Errorf("%q and %q", whole.lines, parts.lines)
		}
		if all := strings.Join(whole.lines, "\n"); !utf8.ValidString(all) || len(whole.lines) > whole.most || len(all) > maxTail {
			t.Errorf("%d lines, %d bytes", len(whole.lines), len(all))
		}
	})
}

// newTestPassage makes a passage from a pipe in memory.
func newTestPassage(to io.Writer) (p *passage, w *io.PipeWriter, over chan struct{}) {
	r, w := io.Pipe()
	over = make(chan struct{})
	return &passage{from: r, to: to, keep: &tailLine{tail: &tail{most: 2}}, over: over, wait: afterEnd}, w, over
}

// slowWriter takes a time for each write.
type slowWriter struct {
	took time.Duration
	got  bytes.Buffer
}

func (w *slowWriter) Write(b []byte) (int, error) {
	time.Sleep(w.took)
	return w.got.Write(b)
}

// A process that was left behind, and that keeps the pipe open, is waited for only so long,
// whether it writes nothing, a little, or without end.
func TestPassageWaitsOnlySoLongAfterTheEnd(t *testing.T) {
	for name, pause := range map[string]time.Duration{"nothing": time.Hour, "a little": afterEnd / 3, "much": 100 * time.Microsecond, "without end": 0} {
		synctest.Test(t, func(t *testing.T) {
			slow := &slowWriter{took: time.Millisecond}
			got := &slow.got
			p, w, over := newTestPassage(slow)
			done := make(chan error)
			go func() { done <- p.run() }()
			if _, err := io.WriteString(w, "from the command\n"); err != nil {
				t.Error(err)
			}
			var left sync.WaitGroup
			left.Go(func() {
				for {
					time.Sleep(pause)
					if _, err := w.Write(make([]byte, 1000)); err != nil {
						return
					}
				}
			})
			defer left.Wait()
			close(over)
			start := time.Now()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took < afterEnd || took > 2*afterEnd {
				t.Errorf("%s: after %v", name, took)
			}
			if !strings.HasPrefix(got.String(), "from the command\n") {
				t.Errorf("%s: %.40q", name, got)
			}
		})
	}
}

// However slow the reader is, it gets everything that the command has written.
func TestPassageWaitsForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowWriter{took: 10 * afterEnd}
		p, w, over := newTestPassage(slow)
		done := make(chan error)
		go func() { done <- p.run() }()
		go func() {
			for range 5 {
				_, _ = w.Write(make([]byte, passBuffer))
			}
			w.Close()
		}()
		close(over)
		if err := <-done; err != nil || slow.got.Len() != 5*passBuffer {
			t.Errorf("%d bytes, %v", slow.got.Len(), err)
		}
	})
}

func TestPassageClosesThePipeIfItCantWrite(t *testing.T) {
	full := errors.New("no space left on device")
	r, out := io.Pipe()
	r.CloseWithError(full)
	p, w, _ := newTestPassage(out)
	done := make(chan error)
	go func() { done <- p.run() }()
	for {
		if _, err := io.WriteString(w, "a line\n"); err != nil {
			break
		}
	}
	if err := <-done; !errors.Is(err, full) {
		t.Error(err)
	}
}
