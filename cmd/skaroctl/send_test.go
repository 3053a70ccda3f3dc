package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestSendParses(t *testing.T) {
	testParse(t, newSendCmd, []parseCase[sendOptions]{
		{name: "input", args: []string{"bob"}, want: sendOptions{to: "bob", words: []string{}, inFlight: 256}},
		{name: "words", args: []string{"bob,alice", "the", "build  is", "green"}, want: sendOptions{to: "bob,alice", words: []string{"the", "build  is", "green"}, inFlight: 256}},
		{name: "dash", args: []string{"bob", "-"}, want: sendOptions{to: "bob", words: []string{"-"}, inFlight: 256}},
		{name: "text like flags", args: []string{"bob", "--", "--lines"}, want: sendOptions{to: "bob", words: []string{"--lines"}, inFlight: 256}},
		{name: "lines", args: []string{"bob", "--lines", "--inflight", "8", "--retry", "2m", "--lossy", "--skip-empty"},
			want: sendOptions{to: "bob", words: []string{}, lines: true, inFlight: 8, limited: true, retry: cli.Duration(2 * time.Minute), lossy: true, skipEmpty: true}},
		{name: "records", args: []string{"bob", "-0", "--keep-going"}, want: sendOptions{to: "bob", words: []string{}, null: true, keepGoing: true, inFlight: 256}},
		{name: "JSON", args: []string{"--json"}, want: sendOptions{json: true, inFlight: 256}},
		{name: "JSON with LOGIN", args: []string{"bob", "--json"}, want: sendOptions{to: "bob", words: []string{}, json: true, inFlight: 256}},
		{name: "key", args: []string{"bob", "--key", "0123456789abcdef", "hi"}, want: sendOptions{to: "bob", words: []string{"hi"}, key: "0123456789abcdef", inFlight: 256}},
		{name: "spool", args: []string{"bob", "--spool", "hi"}, want: sendOptions{to: "bob", words: []string{"hi"}, spool: true, inFlight: 256}},
		{name: "fields", args: []string{"bob", "-f", "title=a b", "-F", "tags=[]", "-F", "n=1", "hi"}, want: sendOptions{to: "bob", words: []string{"hi"}, inFlight: 256, fields: fieldFlags{[]string{"title=a b"}, []string{"tags=[]", "n=1"}}}},
		{name: "fields beside JSON", args: []string{"--json", "-f", "title=a"}, err: "--field and --json can't be given together"},
		{name: "two inputs", args: []string{"bob", "--lines", "--json"}, err: "--json and --lines can't be given together"},
		{name: "one key for many", args: []string{"bob", "--null", "--key", "0123456789abcdef"}, err: "--key and --null can't be given together"},
		{name: "flags first", args: []string{"--lossy", "bob", "hi"}, want: sendOptions{to: "bob", words: []string{"hi"}, inFlight: 256, lossy: true}},
		{name: "no recipient", args: nil, err: "send needs LOGIN"},
		{name: "no number", args: []string{"bob", "--inflight", "many"}, err: "--inflight"},
		{name: "no duration", args: []string{"bob", "--retry", "5"}, err: "--retry"},
	})
}

// A command line without a possible meaning is a usage error.
func TestSendRefusesWrongUsage(t *testing.T) {
	for want, o := range map[string]sendOptions{
		"names an empty login":                     {to: "bob,", inFlight: 1},
		"has a space beside a comma":               {to: "bob, alice", inFlight: 1},
		"--spool takes a single message":           {to: "bob", inFlight: 1, spool: true, null: true},
		"\"bob\" and \"Bob\" may be the same":      {to: "bob,Bob", inFlight: 1, spool: true, words: []string{"hi"}},
		"--inflight is 0":                          {to: "bob"},
		"--keep-going and --inflight are for many": {to: "bob", inFlight: 1, keepGoing: true},
		"there is only one without --lines":        {to: "bob", inFlight: 1, limited: true, words: []string{"hi"}},
		"--inflight is 70000":                      {to: "bob", inFlight: 70000},
		"text from standard input":                 {to: "bob", inFlight: 1, lines: true, words: []string{"hi"}},
		"the login is not UTF-8":                   {to: "b\xff", inFlight: 1},
		"standard input, not from arg":             {to: "bob", inFlight: 1, json: true, words: []string{"hi"}},
		"write `skaroctl send LOGIN --null <FILE`": {to: "bob", inFlight: 1, null: true, words: []string{"hi"}},
		"--key has 3 characters, not 16 to 64":     {to: "bob", inFlight: 1, key: "äöü"},
		"--key has 65 characters":                  {to: "bob", inFlight: 1, key: strings.Repeat("k", 65)},
		"can't both be on standard input":          {to: "bob", inFlight: 1, words: []string{"-"}, fields: fieldFlags{values: []string{"a=@-"}}},
		`"" names an empty login`:                  {inFlight: 1},
		`"bob," names an empty login`:              {to: "bob,", inFlight: 1, json: true, words: []string{}},
		`",alice" names an empty log`:              {to: ",alice", inFlight: 1},
	} {
		if _, err := o.check(); err == nil || !strings.Contains(err.Error()+"\n"+hintOf(err), want) || kindOf(err) != cli.KindUsage {
			t.Errorf("%+v: %v, not %s", o, err, want)
		}
	}
}

// carriageReturn is what is left of a newline of Windows on other systems.
var carriageReturn = map[bool]string{true: "", false: "\r"}[runtime.GOOS == "windows"]

func TestBodyIsTheTextAsGiven(t *testing.T) {
	for name, c := range map[string]struct {
		options    sendOptions
		in         string
		inTerminal bool
		want       string
		err        string
	}{
		"arguments":         {sendOptions{words: []string{"a", "b  c"}}, "x", false, "a b  c", ""},
		"input":             {sendOptions{}, " a\n\n", false, " a\n", ""},
		"dash":              {sendOptions{words: []string{"-"}}, "a", true, "a", ""},
		"two dashes":        {sendOptions{words: []string{"-", "-"}}, "x", false, "- -", ""},
		"terminal":          {sendOptions{}, "typed\n", true, "typed", ""},
		"empty":             {sendOptions{}, "\n", false, "", "is empty"},
		"empty terminal":    {sendOptions{}, "", true, "", "is empty"},
		"empty argument":    {sendOptions{words: []string{""}}, "x", false, "", "is empty"},
		"not UTF-8":         {sendOptions{}, "a\xff", false, "", "not UTF-8"},
		"argument so":       {sendOptions{words: []string{"a\xff"}}, "", false, "", "not UTF-8"},
		"lossy":             {sendOptions{lossy: true}, "a\xff", false, "a\uFFFD", ""},
		"lossy argument":    {sendOptions{lossy: true, words: []string{"a\xff", "b"}}, "", false, "a\uFFFD b", ""},
		"too long":          {sendOptions{}, strings.Repeat("x", maxBody+1), false, "", "more than"},
		"white space alone": {sendOptions{}, "  \n", false, "  ", ""},
		"CR stays":          {sendOptions{}, "a\r\n\r\r\n", false, "a\r\n\r" + carriageReturn, ""},
	} {
		streams := terminal.Streams{In: strings.NewReader(c.in), InTerminal: c.inTerminal}
		start, err := c.options.read(t.Context(), newTestFactory(t, streams, nil))
		got := ""
		if err == nil {
			got = (<-start(t.Context(), []string{"bob"}).messages).Body
		}
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
	f := newTestFactory(t, terminal.Streams{In: in}, nil)
	if _, err := (&sendOptions{}).body(ctx, f, in); !errors.As(err, new(*terminal.Interrupt)) {
		t.Errorf("%v", err)
	}
}

// With --skip-empty nothing is sent if there is no text; without it that is an error.
func TestSkipEmptyLeavesOutOnlyWhatIsEmpty(t *testing.T) {
	for in, want := range map[string]string{"": "", "\n": "", " \n": " ", "a\n": "a", "\n\n": "\n"} {
		checkSkipEmpty(t, sendOptions{skipEmpty: true}, in, want, "")
	}
	for in, want := range map[string]string{"": "", "\n\n": "", "\n \n": " ", "\na": "a"} {
		checkSkipEmpty(t, sendOptions{skipEmpty: true, lines: true}, in, want, "")
	}
	checkSkipEmpty(t, sendOptions{skipEmpty: true, words: []string{""}}, "a", "", "")
	checkSkipEmpty(t, sendOptions{skipEmpty: true}, "\xff", "", "not UTF-8")
	checkSkipEmpty(t, sendOptions{skipEmpty: true, lines: true}, "\xff\n", "", "line 1 is not UTF-8")
}

func checkSkipEmpty(t *testing.T, o sendOptions, in, want, says string) {
	t.Helper()
	start, err := o.read(t.Context(), newTestFactory(t, terminal.Streams{In: strings.NewReader(in)}, nil))
	got := ""
	if start != nil {
		source := start(t.Context(), []string{"bob"})
		m, open := <-source.messages
		got, err = m.Body, source.error(nil)
		if !open && err == nil {
			t.Errorf("%+v, %q: an empty source", o, in)
		}
	}
	if got != want || (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%+v, %q: %q, %v", o, in, got, err)
	}
}
