package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

var (
	errLost     = &session.Error{Kind: session.KindUnreachable, Msg: "lost the connection to ws://x/: it hung up", Hint: "try again"}
	errNotFound = session.Refused("ws://x/", "send_message", "404 Not Found", "no such user")
)

// result is the result of line n for a recipient; a line of zero is that of a single text.
func result(state session.State, line int, to string) session.Result {
	r := session.Result{Message: session.Message{To: to, Line: line, Body: "x"}, State: state}
	switch state {
	case session.StateRefused:
		r.Err = errNotFound
	case session.StateUnknown:
		r.Err = session.Unknown("send_message", errLost)
	case session.StateUnsent:
		r.Err = errLost
	}
	return r
}

// results are those of the lines from first to last, to bob.
func results(state session.State, first, last int) (list []session.Result) {
	for line := first; line <= last; line++ {
		list = append(list, result(state, line, "bob"))
	}
	return list
}

func join(lists ...[]session.Result) (all []session.Result) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

const (
	lostText    = "lost the connection to ws://x/: it hung up"
	unknownText = "sent, but not confirmed by the server: it may or may not have been delivered: " + lostText
	eachText    = "sent, but not confirmed by the server: each may or may not have been delivered: " + lostText
	refusedText = "ws://x/ answered 404 Not Found: no such user"
)

// reportCase is a run: its results, what ended it, and what it says.
type reportCase struct {
	results []session.Result
	cause   error
	want    []string // the errors
	status  int      // the exit status
}

// check runs a report, and checks what it says.
func (c reportCase) check(t *testing.T, name string, r *sendReport) {
	t.Helper()
	stopped := false
	for _, result := range c.results {
		if err := r.add(result); err != nil {
			stopped = true
			if !errors.Is(err, errRefused) || result.State != session.StateRefused {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if stopped {
		c.cause = errRefused
	}
	err := r.finish(c.cause)
	status, errs := 0, ""
	if err != nil {
		status, errs = report(t, err)
	}
	var got []string
	for line := range strings.Lines(errs) {
		if text, ok := strings.CutPrefix(line, "skaroctl: "); ok {
			got = append(got, strings.TrimSuffix(text, "\n"))
		}
	}
	if g, w := strings.Join(got, "\n"), strings.Join(c.want, "\n"); g != w {
		t.Errorf("%s: it says\n%s\nnot\n%s", name, g, w)
	}
	if status != c.status {
		t.Errorf("%s: exit status %d, not %d", name, status, c.status)
	}
}

// TestSendReportOfStream is the table of what `send --lines` says at its end.
func TestSendReportOfStream(t *testing.T) {
	signal := &terminal.Interrupt{Signal: syscall.SIGTERM}
	for name, c := range map[string]reportCase{
		"nothing":        {},
		"all confirmed":  {results: results(session.StateConfirmed, 1, 3)},
		"cannot connect": {cause: errLost, want: []string{"send to bob: " + lostText}, status: 4},
		"cannot connect, lines taken": {
			results: results(session.StateUnsent, 1, 2), cause: errLost,
			want: []string{"send to bob: " + lostText}, status: 4,
		},
		"refused": {
			results: results(session.StateRefused, 1, 1),
			want:    []string{"send: line 1 to bob: " + refusedText}, status: 5,
		},
		"refused, and others in flight": {
			results: join(results(session.StateConfirmed, 1, 1), results(session.StateRefused, 2, 3), results(session.StateConfirmed, 4, 4), results(session.StateRefused, 5, 5)),
			want:    []string{"send: line 2 to bob: " + refusedText, "send: 2 more in flight were refused too: line 3 to bob, line 5 to bob"}, status: 5,
		},
		"many refused": {
			results: results(session.StateRefused, 1, 14),
			want: []string{
				"send: line 1 to bob: " + refusedText,
				"send: 13 more in flight were refused too: line 2 to bob, line 3 to bob, line 4 to bob, line 5 to bob, line 6 to bob, line 7 to bob, " +
					"line 8 to bob, line 9 to bob, line 10 to bob, line 11 to bob, and 3 others",
			}, status: 5,
		},
		"refused, and others not sent": {
			results: join(results(session.StateRefused, 1, 1), results(session.StateUnsent, 2, 3)),
			want:    []string{"send: line 1 to bob: " + refusedText}, status: 5,
		},
		"refused, and others unknown": {
			results: join(results(session.StateRefused, 1, 1), results(session.StateUnknown, 2, 3)),
			want:    []string{"send: line 1 to bob: " + refusedText, "send: lines 2 to 3 to bob: " + eachText}, status: 7,
		},
		"one unknown": {
			results: join(results(session.StateUnknown, 1, 1), results(session.StateConfirmed, 2, 2)),
			want:    []string{"send: line 1 to bob: " + unknownText}, status: 7,
		},
		"two spans": {
			results: join(results(session.StateUnknown, 3, 7), results(session.StateConfirmed, 8, 8), results(session.StateUnknown, 9, 10)),
			want:    []string{"send: lines 3 to 7 to bob: " + eachText, "send: lines 9 to 10 to bob: " + eachText}, status: 7,
		},
		"unknown, and the end of the retries": {
			results: join(results(session.StateConfirmed, 1, 1), results(session.StateUnknown, 2, 3), results(session.StateUnsent, 4, 5)), cause: errLost,
			want: []string{
				"send: lines 2 to 3 to bob: " + eachText,
				"send: line 4 to bob and everything after it was not sent: " + lostText,
			}, status: 7,
		},
		"interrupted with nothing to say": {results: results(session.StateConfirmed, 1, 1), cause: signal, want: nil, status: 143},
		"interrupted": {
			results: join(results(session.StateConfirmed, 1, 2), results(session.StateUnknown, 3, 7), results(session.StateUnsent, 8, 9)), cause: signal,
			want: []string{"send to bob: interrupted (terminated): confirmed up to line 2 to bob; lines 3 to 7 to bob may or may not have been delivered; " +
				"line 8 to bob and everything after it was not sent"}, status: 143,
		},
		"interrupted before the first": {
			results: results(session.StateUnsent, 2, 2), cause: &terminal.Interrupt{Signal: os.Interrupt},
			want: []string{"send to bob: interrupted (interrupt): nothing is confirmed; line 2 to bob and everything after it was not sent"}, status: 130,
		},
		"interrupted after an older span": {
			results: join(results(session.StateUnknown, 1, 2), results(session.StateConfirmed, 3, 3), results(session.StateUnknown, 4, 4)), cause: signal,
			want: []string{
				"send: lines 1 to 2 to bob: " + eachText,
				"send to bob: interrupted (terminated): confirmed up to line 3 to bob; line 4 to bob may or may not have been delivered",
			}, status: 143,
		},
		"the reader is gone": {
			results: join(results(session.StateConfirmed, 1, 1), results(session.StateUnsent, 2, 2)), cause: &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE},
			want: []string{"messages confirmed by the server: 1, but: send: line 2 to bob and everything after it was not sent: the reader of the output is gone"}, status: 1,
		},
		"a full disk": {
			results: join(results(session.StateConfirmed, 1, 2)), cause: errors.New("write: no space left on device"),
			want: []string{"messages confirmed by the server: 2, but: send to bob: write: no space left on device"}, status: 1,
		},
		"a wrong first line": {cause: notUTF8("line 1"), want: []string{"send to bob: line 1 is not UTF-8"}, status: 2},
		"a wrong later line": {
			results: results(session.StateConfirmed, 1, 1), cause: notUTF8("line 2"),
			want: []string{"messages confirmed by the server: 1, but: send to bob: line 2 is not UTF-8"}, status: 1,
		},
		"a wrong line after unknown ones": {
			results: results(session.StateUnknown, 1, 2), cause: notUTF8("line 3"),
			want: []string{"send: lines 1 to 2 to bob: " + eachText, "send to bob: line 3 is not UTF-8"}, status: 7,
		},
	} {
		c.check(t, name, &sendReport{to: []string{"bob"}, stream: true})
	}
}

// A script reads the kind usage as: nothing was sent.
func TestSendSaysUsageOnlyIfNothingWasSent(t *testing.T) {
	for state, want := range map[session.State]cli.Kind{session.StateUnsent: cli.KindUsage, session.StateUnknown: cli.KindInternal, session.StateConfirmed: cli.KindInternal} {
		r := &sendReport{to: []string{"bob"}, stream: true, report: func(err error) error { return cli.Reported{Err: err} }}
		_ = r.add(result(state, 1, "bob"))
		r.closeSpan()
		if err := r.streamEnd(notUTF8("line 2")); kindOf(err) != want {
			t.Errorf("after state %v: %s", state, kindOf(err))
		}
	}
}

// With keepGoing, refusals are written at once and do not end the stream. Of each kind, one
// is kept for the exit status.
func TestSendReportKeepsGoing(t *testing.T) {
	for name, c := range map[string]struct {
		results []session.Result
		skipped bool
		want    []string
		status  int
	}{
		"refused": {
			results: join(results(session.StateRefused, 1, 2), results(session.StateConfirmed, 3, 3), results(session.StateRefused, 4, 4)),
			want:    []string{"send: line 1 to bob: " + refusedText, "send: line 2 to bob: " + refusedText, "send: line 4 to bob: " + refusedText}, status: 5,
		},
		"unknown": {
			results: join(results(session.StateRefused, 1, 1), results(session.StateUnknown, 2, 3), results(session.StateConfirmed, 4, 4)),
			want:    []string{"send: line 1 to bob: " + refusedText, "send: lines 2 to 3 to bob: " + eachText}, status: 7,
		},
		"a wrong line":               {results: results(session.StateConfirmed, 1, 1), skipped: true, status: 1},
		"nothing but a wrong line":   {skipped: true, status: 2},
		"a wrong line and a refusal": {results: results(session.StateRefused, 1, 1), skipped: true, want: []string{"send: line 1 to bob: " + refusedText}, status: 5},
	} {
		var said []string
		r := &sendReport{to: []string{"bob"}, stream: true, keepGoing: true, skipped: c.skipped, report: func(err error) error {
			said = append(said, err.Error())
			return cli.Reported{Err: err}
		}}
		for _, result := range c.results {
			if err := r.add(result); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		status, errs := 0, ""
		if err := r.finish(nil); err != nil {
			status, errs = report(t, err)
		}
		if !slices.Equal(said, c.want) || status != c.status || errs != "" {
			t.Errorf("%s: %d, %q, and then %q", name, status, said, errs)
		}
	}
}

// The lines of JSON go to different recipients.
func TestSendReportNamesSpansToDifferentRecipients(t *testing.T) {
	lines := []session.Result{result(session.StateUnknown, 1, "carol"), result(session.StateUnknown, 2, "bob"), result(session.StateUnsent, 3, "bob")}
	reportCase{
		results: lines, cause: errLost,
		want:   []string{"send: line 1 to carol up to line 2 to bob: " + eachText, "send: line 3 to bob and everything after it was not sent: " + lostText},
		status: 7,
	}.check(t, "lines", &sendReport{stream: true})
	for i := range lines {
		lines[i].Message.Record, lines[i].Message.To = true, "bob"
	}
	reportCase{
		results: lines[:2], want: []string{"send: records 1 to 2 to bob: " + eachText}, status: 7,
	}.check(t, "records", &sendReport{stream: true})
	reportCase{cause: errLost, want: []string{"send: " + lostText}, status: 4}.check(t, "none", &sendReport{stream: true})
}

// With several recipients a span names its first and its last message.
func TestSendReportNamesSpansOfSeveralRecipients(t *testing.T) {
	reportCase{
		results: []session.Result{result(session.StateUnknown, 1, "carol"), result(session.StateUnknown, 2, "bob"), result(session.StateConfirmed, 2, "carol")},
		want:    []string{"send: line 1 to carol up to line 2 to bob: " + eachText}, status: 7,
	}.check(t, "span", &sendReport{to: []string{"bob", "carol"}, stream: true})
}

// TestSendReportOfText is the table of what `send` says of one text.
func TestSendReportOfText(t *testing.T) {
	for name, c := range map[string]reportCase{
		"all confirmed":  {results: []session.Result{result(session.StateConfirmed, 0, "bob"), result(session.StateConfirmed, 0, "carol")}},
		"cannot connect": {cause: errLost, want: []string{"send to bob,carol: " + lostText}, status: 4},
		"refused goes on": {
			results: []session.Result{result(session.StateRefused, 0, "bob"), result(session.StateConfirmed, 0, "carol")},
			want:    []string{"send to bob: " + refusedText}, status: 5,
		},
		"each unknown": {
			results: []session.Result{result(session.StateUnknown, 0, "bob"), result(session.StateUnknown, 0, "carol")}, cause: errLost,
			want: []string{"send to bob: " + unknownText, "send to carol: " + unknownText}, status: 7,
		},
		"lost in between": {
			results: []session.Result{result(session.StateConfirmed, 0, "bob"), result(session.StateUnsent, 0, "carol")}, cause: errLost,
			want: []string{"send to carol: " + lostText}, status: 4,
		},
		"a full disk": {
			results: []session.Result{result(session.StateConfirmed, 0, "bob")}, cause: errors.New("write: no space left on device"),
			want: []string{"messages confirmed by the server: 1, but: write: no space left on device"}, status: 1,
		},
	} {
		if name == "refused goes on" {
			r := &sendReport{}
			if err := r.add(c.results[0]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.check(t, name, &sendReport{to: []string{"bob", "carol"}})
	}
}

// The hint is about the unknown messages, not about the connection.
func TestSendReportHints(t *testing.T) {
	signal := &terminal.Interrupt{Signal: syscall.SIGTERM}
	for name, c := range map[string]struct {
		results []session.Result
		cause   error
		want    string
	}{
		"one unknown":   {results(session.StateUnknown, 1, 1), nil, lookFirst},
		"a span":        {results(session.StateUnknown, 1, 2), nil, lookFirst},
		"cut short":     {results(session.StateUnknown, 1, 2), signal, lookFirst},
		"also refused":  {results(session.StateRefused, 1, 2), nil, refusalHint(errNotFound)},
		"a wrong line":  {results(session.StateConfirmed, 1, 1), notUTF8("line 2"), "give --lossy"},
		"nothing known": {results(session.StateUnsent, 1, 1), signal, ""},
	} {
		r := &sendReport{to: []string{"bob"}, stream: true}
		for _, result := range c.results {
			_ = r.add(result)
		}
		err := r.finish(c.cause)
		_, errs := report(t, err)
		_, hint, _ := strings.Cut(errs, "hint: ")
		if (hint == "") != (c.want == "") || !strings.HasPrefix(hint, c.want) {
			t.Errorf("%s: %q, not %q", name, hint, c.want)
		}
		var own *cli.Error
		if name == "also refused" && (!errors.As(err, &own) || own.Status != "404") {
			t.Errorf("%s: %+v", name, own)
		}
	}
}
