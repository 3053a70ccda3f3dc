package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// TestUnknownLines: lines that share a fate are one error, whose kind is that of each.
func TestUnknownLines(t *testing.T) {
	lost := session.Unknown("send_message", io.EOF)
	five, six := session.Letter{To: "bob", Line: 5}, session.Letter{To: "bob", Line: 6}
	for want, e := range map[string]*unknownLines{
		"send: line 5 to bob: sent, but not confirmed by the server: it may or may not have been delivered: EOF":                       {five, five, true, lost},
		"send: lines 5 to 6 to bob: sent, but not confirmed by the server: each may or may not have been delivered: EOF":               {five, six, false, lost},
		"send: line 5 to bob up to line 6 to bob: sent, but not confirmed by the server: each may or may not have been delivered: EOF": {five, six, true, lost},
	} {
		if e.Error() != want || kindOf(e) != cli.KindUnknown {
			t.Errorf("%v (%v), not %s", e, kindOf(e), want)
		}
	}
}

// carriageReturn is what stays of a newline of Windows elsewhere.
var carriageReturn = map[bool]string{true: "", false: "\r"}[runtime.GOOS == "windows"]

func TestReadLines(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for name, c := range map[string]struct {
		in   string
		want []string
		err  string
	}{
		"none":          {"", nil, ""},
		"two":           {"a\nb\n", []string{"1 a", "2 b"}, ""},
		"no newline":    {"a\nb", []string{"1 a", "2 b"}, ""},
		"empty ones":    {"\n\na\n\n b \n", []string{"3 a", "5  b "}, ""},
		"long":          {long + "\n" + long, []string{"1 " + long, "2 " + long}, ""},
		"not UTF-8":     {"a\n\xff\nb\n", []string{"1 a"}, "line 2 is not UTF-8"},
		"beyond limits": {"a\n" + strings.Repeat("y", maxBody+1) + "\nb", []string{"1 a"}, "line 2 has more than"},
		"CR stays":      {"a\rb\r\r\n", []string{"1 a\rb\r" + carriageReturn}, ""},
	} {
		var got []string
		err := readLines(strings.NewReader(c.in), func(n int, s string) bool { got = append(got, fmt.Sprint(n, " ", s)); return true })
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %.80q, %v", name, got, err)
		}
	}
	n := 0
	if err := readLines(strings.NewReader("a\nb\nc\n"), func(int, string) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestRecipients(t *testing.T) {
	for in, want := range map[string][]string{"bob": {"bob"}, "bob,alice,bob": {"bob", "alice"}, "": nil, "bob,": nil, ",": nil, "b\xff": nil} {
		got, err := recipients(in)
		if !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestBody(t *testing.T) {
	for name, c := range map[string]struct {
		words    []string
		in       string
		terminal bool
		want     string
		err      string
	}{
		"arguments":         {[]string{"a", "b  c"}, "x", false, "a b  c", ""},
		"input":             {nil, " a\n\n", false, " a\n", ""},
		"dash":              {[]string{"-"}, "a", true, "a", ""},
		"two dashes":        {[]string{"-", "-"}, "x", false, "- -", ""},
		"terminal":          {nil, "x", true, "", "no text"},
		"empty":             {nil, "\n", false, "", "empty"},
		"empty argument":    {[]string{""}, "x", false, "", "empty"},
		"not UTF-8":         {nil, "a\xff", false, "", "not UTF-8"},
		"argument so":       {[]string{"a\xff"}, "", false, "", "not UTF-8"},
		"too long":          {nil, strings.Repeat("x", maxBody+1), false, "", "more than"},
		"white space alone": {nil, "  \n", false, "  ", ""},
		"CR stays":          {nil, "a\r\n\r\r\n", false, "a\r\n\r" + carriageReturn, ""},
	} {
		a := &app{newTestFactory(t, terminal.Streams{In: strings.NewReader(c.in), InTerminal: c.terminal}, nil)}
		got, err := a.body(t.Context(), c.words)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || kindOf(err) != cli.KindUsage) {
			t.Errorf("%s: %.40q, %v", name, got, err)
		}
	}
}

// A signal ends the wait for the text on standard input.
func TestBodyIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&terminal.Interrupt{Signal: os.Interrupt})
	in, held := io.Pipe()
	defer held.Close()
	a := &app{newTestFactory(t, terminal.Streams{In: in}, nil)}
	if _, err := a.body(ctx, nil); err == nil || !errors.As(err, new(*terminal.Interrupt)) {
		t.Errorf("%v", err)
	}
}
