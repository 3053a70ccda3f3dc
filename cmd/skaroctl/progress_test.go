package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var none *progress
	none.add(5)
	none.clear()
	none.end()

	var out bytes.Buffer
	now := time.Unix(1000, 0)
	p := &progress{out: &out, mu: new(sync.Mutex), now: func() time.Time { return now }, total: 4_000_000, recipients: 2}
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
