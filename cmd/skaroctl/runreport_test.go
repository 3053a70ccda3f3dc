package main

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestRunNamesTheCommandInOneShortLine(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a shell there has other quotes")
	}
	for _, c := range []struct {
		command []string
		title   string
		want    string
	}{
		{[]string{"make", "-j4", "test"}, "", "make -j4 test"},
		{[]string{"sh", "-c", "a | b"}, "", "sh -c 'a | b'"},
		{[]string{"sh", "-c", "a\nb"}, "", "sh -c 'a…"},
		{[]string{"a\xff"}, "", "a\uFFFD"},
		{[]string{"curl", "-H", "secret"}, "the report", "the report"},
		{[]string{strings.Repeat("ä", maxTitle)}, "", strings.Repeat("ä", maxTitle/2) + "…"},
		{[]string{"x" + strings.Repeat("ä", maxTitle)}, "", "x" + strings.Repeat("ä", maxTitle/2-1) + "…"},
	} {
		o := &runOptions{command: c.command, title: c.title}
		if got := o.name(); got != c.want || !utf8.ValidString(got) {
			t.Errorf("%q: %q", c.command, got)
		}
	}
}

func TestRunSummaryNamesHostEndAndDuration(t *testing.T) {
	o := &runOptions{command: []string{"make"}}
	for want, done := range map[string]ending{
		"make on " + hostName() + " succeeded after 1m2s":               {how: "succeeded", took: 62 * time.Second},
		"make on " + hostName() + " could not be started: not found":    {how: "could not be started: not found", failed: errors.New("x")},
		"make on " + hostName() + " failed with exit status 2 after 0s": {how: "failed with exit status 2"},
	} {
		if got := o.summary(done); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestSpentHasAsManyDigitsAsAPersonReads(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1234567: "1ms", 1234567890: "1.2s", 72345678901: "1m12s", 26*time.Hour + 3*time.Minute: "1d2h3m0s",
	} {
		if got := spent(d); got != want {
			t.Errorf("%d: %s, not %s", d, got, want)
		}
	}
}
