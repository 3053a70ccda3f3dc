package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// TestClassify is the table of exit statuses (docs/scripting.md, "Exit status").
func TestClassify(t *testing.T) {
	refused := &session.RefusedError{Request: "send_message", Status: "404 Not Found"}
	lost := &session.UnreachableError{Server: "ws://x/", Lost: true, Err: io.EOF}
	late := &session.TimeoutError{After: time.Second}
	for name, c := range map[string]struct {
		err  error
		want kind
	}{
		"anything":                  {errors.New("x"), kindInternal},
		"usage":                     {usagef("x"), kindUsage},
		"bad URL":                   {&session.EndpointError{}, kindUsage},
		"not logged in":             {&loginError{}, kindAuth},
		"nothing stored":            {fmt.Errorf("get: %w", &account.Error{Kind: account.KindNone}), kindAuth},
		"refused login":             {&session.AuthError{RefusedError: *refused}, kindAuth},
		"wrong password":            {&wrongPassword{&session.AuthError{}}, kindAuth},
		"unreachable":               {lost, kindUnreachable},
		"refused":                   {fmt.Errorf("send: %w", refused), kindRefused},
		"timeout":                   {fmt.Errorf("wait: %w", late), kindTimeout},
		"timeout while connecting":  {&session.UnreachableError{Err: late}, kindTimeout},
		"too few messages":          {fmt.Errorf("%w: 1 of 2", errIncomplete), kindTimeout},
		"unknown after a loss":      {&session.UnknownError{Err: lost}, kindUnknown},
		"unknown after the time":    {&session.UnknownError{Err: late}, kindUnknown},
		"protocol":                  {&session.ProtocolError{Err: io.EOF}, kindProtocol},
		"keyring":                   {&account.Error{Kind: account.KindUnavailable}, kindInternal},
		"broken file":               {&account.Error{Kind: account.KindFile, Err: io.EOF}, kindInternal},
		"interrupted":               {fmt.Errorf("wait: %w", &terminal.Interrupt{Signal: os.Interrupt}), kindInterrupted},
		"hung up":                   {&terminal.Interrupt{Signal: syscall.SIGHUP}, kindHungUp},
		"quit":                      {&terminal.Interrupt{Signal: syscall.SIGQUIT}, kindQuit},
		"terminated":                {&terminal.Interrupt{Signal: syscall.SIGTERM}, kindTerminated},
		"interrupted after sending": {&session.UnknownError{Err: &terminal.Interrupt{Signal: os.Interrupt}}, kindInterrupted},
	} {
		if got := classify(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestReportWorst: of several failures each is told, and the worst one counts.
func TestReportWorst(t *testing.T) {
	var out strings.Builder
	a := &app{err: terminal.NewInterruptibleWriter(t.Context(), &out, 0, nil), getenv: func(string) string { return "" }, flags: commonFlags{output: "auto"}}
	refused := &session.RefusedError{Request: "send_message", Status: "404 Not Found", Info: "no bob"}
	exit := a.report(several{
		fmt.Errorf("send to bob: %w", refused),
		fmt.Errorf("send to carol: %w", &session.UnknownError{Err: io.EOF}),
		usagef("x"),
	})
	want := "skaroctl: send to bob: the server answered 404 Not Found: no bob\nhint: `skaroctl contacts search TEXT` finds logins, `skaroctl contacts` conferences\n" +
		"skaroctl: send to carol: sent, but not confirmed by the server: it may or may not have been delivered: EOF\n" +
		"hint: look whether it took effect before you do it again: `skaroctl history LOGIN --limit 5`\nskaroctl: x\n"
	if exit != 7 || out.String() != want {
		t.Errorf("exit %d\n%s", exit, &out)
	}
	out.Reset()
	if exit := a.report(fmt.Errorf("listen: %w", &terminal.Interrupt{Signal: os.Interrupt})); exit != 130 || out.Len() != 0 {
		t.Errorf("exit %d, %q", exit, &out)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	_, gone := w.WriteString("to nobody")
	if exit := a.report(gone); gone == nil || exit != 0 || out.Len() != 0 {
		t.Errorf("closed pipe: %v, exit %d, %q", gone, exit, &out)
	}
	if exit := a.report(several{refused, gone}); exit != 5 || strings.Contains(out.String(), "pipe") {
		t.Errorf("refused, and a closed pipe: exit %d, %q", exit, &out)
	}
	// What to do is what the worst asks for.
	out.Reset()
	unknown := &session.UnknownError{Err: &session.UnreachableError{Err: io.EOF, Advice: "check that the server runs"}}
	if a.report(unknown); !strings.Contains(out.String(), "hint: look whether it took effect") {
		t.Errorf("%s", &out)
	}
}

// TestUnknownLines: lines that share a fate are one error, whose kind is that of each.
func TestUnknownLines(t *testing.T) {
	lost := &session.UnknownError{Err: io.EOF}
	five, six := session.Letter{To: "bob", Line: 5}, session.Letter{To: "bob", Line: 6}
	for want, e := range map[string]*unknownLines{
		"send: line 5 to bob: sent, but not confirmed by the server: it may or may not have been delivered: EOF":                       {five, five, true, lost},
		"send: lines 5 to 6 to bob: sent, but not confirmed by the server: each may or may not have been delivered: EOF":               {five, six, false, lost},
		"send: line 5 to bob up to line 6 to bob: sent, but not confirmed by the server: each may or may not have been delivered: EOF": {five, six, true, lost},
	} {
		if e.Error() != want || classify(e) != kindUnknown {
			t.Errorf("%v (%v), not %s", e, classify(e), want)
		}
	}
}

// TestRefusalHint: whose trouble a refusal is, and that the server's own may pass.
func TestRefusalHint(t *testing.T) {
	for status, want := range map[string]string{
		"404 Not Found": "contacts search", "413 Content Too Large": "cut -b", "429 Too Many Requests": "nothing was delivered: try again in a minute",
		"500 Internal Server Error": "the server's own, and nothing was delivered: try again later", "503": "try again later", "501 Not Implemented": "", "400 Bad Request": "", "nonsense": "",
	} {
		hint := refusalHint(&session.RefusedError{Request: "send_message", Status: status})
		if (hint == "") != (want == "") || !strings.Contains(hint, want) {
			t.Errorf("%s: %q, without %q", status, hint, want)
		}
	}
}

// TestLoginCommand: who runs what a hint says runs skaroctl and nothing else, whatever
// the config file or a server calls somebody.
func TestLoginCommand(t *testing.T) {
	bob := account.Profile{Server: "ws://h/", Login: "$(id)"}
	quoted := "skaroctl login '$(id)' --server 'ws://h/?a&b' --profile 'my work'"
	if runtime.GOOS == "windows" {
		quoted = `skaroctl login ... --server "ws://h/?a&b" --profile "my work"`
	}
	for want, at := range map[string]target{
		"skaroctl login": {profile: "default", saved: bob, login: bob.Login, endpoint: session.Endpoint{URL: bob.Server}},
		quoted: {
			profile: "my work", saved: bob, login: bob.Login, endpoint: session.Endpoint{URL: "ws://h/?a&b"},
		},
		"skaroctl login LOGIN --server URL": {profile: "default"},
	} {
		if got := at.loginCommand(); got != want {
			t.Errorf("%s, want %s", got, want)
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
		a := &app{streams: terminal.Streams{In: strings.NewReader(c.in), InTerminal: c.terminal}}
		got, err := a.body(t.Context(), c.words)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || classify(err) != kindUsage) {
			t.Errorf("%s: %.40q, %v", name, got, err)
		}
	}
}

func TestBound(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.FixedZone("", 2*60*60))
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, now.Location())
	for in, want := range map[string]session.Bound{
		"": {}, "42": {ID: 42}, "90m": {Time: now.Add(-90 * time.Minute)}, "-1h": {Time: now.Add(-time.Hour)}, "1d12h": {Time: now.Add(-36 * time.Hour)},
		"2026-01-02T03:04:00Z": {Time: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)}, "2026-01-02 03:04": {Time: at}, "2026-01-02T03:04": {Time: at},
		"2026-01-02": {Time: time.Date(2026, 1, 2, 0, 0, 0, 0, now.Location())}, "1w": {Time: now.AddDate(0, 0, -7)},
		"11:59": {Time: now.Add(-time.Minute)}, "today": {Time: now.Add(-12 * time.Hour)}, "yesterday": {Time: now.Add(-36 * time.Hour)},
		"2027-01-01": {Time: time.Date(2027, 1, 1, 0, 0, 0, 0, now.Location())},
	} {
		if got, err := bound("--since", in, now); err != nil || got.ID != want.ID || !got.Time.Equal(want.Time) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	if got, err := bound("--until", "12:01", now); err != nil || !got.Time.Equal(now.Add(time.Minute)) {
		t.Errorf("until a time that is still to come: %+v, %v", got, err)
	}
	for _, in := range []string{"0", "-5", "tomorrow", "12:01", "24:00", "2026-13-01", "5 m", "1h2d"} {
		if _, err := bound("--since", in, now); classify(err) != kindUsage || !strings.Contains(err.Error(), in) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// TestNothingIsTouched: help and version need neither a home nor a network, and
// every command has help.
func TestNothingIsTouched(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"version"}, {"--version"}, {"send", "--help"}, {"help", "listen"}, {"login", "-h"}} {
		var out, errs strings.Builder
		exit := run(args, terminal.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, func(string) string { return "" })
		if exit != 0 || out.Len() == 0 || errs.Len() != 0 {
			t.Errorf("%q: exit %d, %q", args, exit, &errs)
		}
	}
	root := (&app{}).root(nil)
	for _, c := range root.Commands() {
		if c.Short == "" {
			t.Errorf("%s has no short help", c.Name())
		}
	}
}

func TestWatchReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	gone := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watchReader(ctx, w, func() { close(gone) })
	}()
	r.Close()
	select {
	case <-gone:
	case <-ctx.Done():
		t.Error("the reader went away without notice")
	}
	<-ended
	// Without an end of the reader it returns with the context.
	r, w2, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w2.Close()
	stopped, stop := context.WithCancel(context.Background())
	stop()
	watchReader(stopped, w2, func() { t.Error("the reader is still there") })
}

// Each command is made under its own name.
func TestCommandNames(t *testing.T) {
	for _, c := range (&app{}).commands() {
		if got := c.make().Name(); got != c.name {
			t.Errorf("%s makes %s", c.name, got)
		}
	}
}

// TestRequestTypes: the help of request and its completion know the same types.
func TestRequestTypes(t *testing.T) {
	words := strings.FieldsFunc((&app{}).requestCommand().Long, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	for _, typ := range requestTypes {
		if !slices.Contains(words, typ) {
			t.Errorf("the help lacks %s", typ)
		}
	}
	for _, word := range words {
		if strings.Contains(word, "_") && !slices.Contains(requestTypes, word) {
			t.Errorf("completion lacks %s", word)
		}
	}
}

// A terminal that does not follow escape sequences gets none.
func TestPlainTerminal(t *testing.T) {
	input, err := os.Create(filepath.Join(t.TempDir(), "lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	for _, plain := range []bool{false, true} {
		var errs strings.Builder
		streams := terminal.Streams{In: input, Err: &errs, ErrTerminal: true, Plain: plain}
		if exit := run([]string{"nonsense"}, streams, func(string) string { return "" }); exit != 2 || strings.Contains(errs.String(), "\x1b") == plain {
			t.Errorf("plain %v: exit %d, %q", plain, exit, &errs)
		}
		if bar := (&app{streams: streams}).progress(1); (bar == nil) != plain {
			t.Errorf("plain %v: bar %v", plain, bar)
		}
	}
}
