package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// TestExitCodeOf is the table of exit statuses (docs/scripting.md, "Exit status").
func TestExitCodeOf(t *testing.T) {
	refused := session.Refused("send_message", "404 Not Found", "")
	lost := &session.Error{Kind: session.KindUnreachable, Msg: "lost"}
	late := session.TimedOut(time.Second)
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"anything":                  {errors.New("x"), 1},
		"usage":                     {cli.Usagef("x"), 2},
		"bad URL":                   {&session.Error{Kind: session.KindEndpoint}, 2},
		"not logged in":             {notLoggedIn("x", ""), 3},
		"nothing stored":            {fmt.Errorf("get: %w", &account.Error{Kind: account.KindNone}), 3},
		"refused login":             {&session.Error{Kind: session.KindAuth}, 3},
		"wrong password":            {cli.Advise(&session.Error{Kind: session.KindAuth}, "check the password"), 3},
		"unreachable":               {lost, 4},
		"refused":                   {fmt.Errorf("send: %w", refused), 5},
		"timeout":                   {fmt.Errorf("wait: %w", late), 6},
		"timeout while connecting":  {fmt.Errorf("login: %w", late), 6},
		"too few messages":          {fmt.Errorf("%w: 1 of 2", errIncomplete), 6},
		"unknown after a loss":      {session.Unknown("send_message", lost), 7},
		"unknown after the time":    {session.Unknown("send_message", late), 7},
		"protocol":                  {&session.Error{Kind: session.KindProtocol}, 8},
		"keyring":                   {&account.Error{Kind: account.KindUnavailable}, 1},
		"broken file":               {&account.Error{Kind: account.KindFile, Err: io.EOF}, 1},
		"interrupted":               {fmt.Errorf("wait: %w", &terminal.Interrupt{Signal: os.Interrupt}), 130},
		"hung up":                   {&terminal.Interrupt{Signal: syscall.SIGHUP}, 129},
		"quit":                      {&terminal.Interrupt{Signal: syscall.SIGQUIT}, 131},
		"terminated":                {&terminal.Interrupt{Signal: syscall.SIGTERM}, 143},
		"interrupted after sending": {session.Unknown("send_message", &terminal.Interrupt{Signal: os.Interrupt}), 130},
	} {
		if got := exitCodeOf(c.err).status; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// Of several errors each is reported, and the worst one gives the exit status.
func TestReportNamesEachErrorAndTheWorstStatusCounts(t *testing.T) {
	var out strings.Builder
	f := newTestFactory(t, terminal.Streams{Err: &out}, nil)
	refused := session.Refused("send_message", "404 Not Found", "no bob")
	exit := f.report(errors.Join(
		fmt.Errorf("send to bob: %w", refused),
		fmt.Errorf("send to carol: %w", session.Unknown("send_message", io.EOF)),
		cli.Usagef("x"),
	))
	want := "skaroctl: send to bob: the server answered 404 Not Found: no bob\nhint: `skaroctl contacts search TEXT` finds logins, `skaroctl contacts` conferences\n" +
		"skaroctl: send to carol: sent, but not confirmed by the server: it may or may not have been delivered: EOF\n" +
		"hint: look whether it took effect before you do it again: `skaroctl history LOGIN --limit 5`\nskaroctl: x\n"
	if exit != 7 || out.String() != want {
		t.Errorf("exit %d\n%s", exit, &out)
	}
	out.Reset()
	if exit := f.report(fmt.Errorf("listen: %w", &terminal.Interrupt{Signal: os.Interrupt})); exit != 130 || out.Len() != 0 {
		t.Errorf("exit %d, %q", exit, &out)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	_, gone := w.WriteString("to nobody")
	if exit := f.report(gone); gone == nil || exit != 0 || out.Len() != 0 {
		t.Errorf("closed pipe: %v, exit %d, %q", gone, exit, &out)
	}
	if exit := f.report(errors.Join(refused, gone)); exit != 5 || strings.Contains(out.String(), "pipe") {
		t.Errorf("refused, and a closed pipe: exit %d, %q", exit, &out)
	}
	// What to do is what the worst asks for.
	out.Reset()
	unknown := session.Unknown("send_message", &session.Error{Kind: session.KindUnreachable, Hint: "check that the server runs"})
	if f.report(unknown); !strings.Contains(out.String(), "hint: look whether it took effect") {
		t.Errorf("%s", &out)
	}
}

// A refusal says whose fault it is, and whether trying again may help.
func TestRefusalHint(t *testing.T) {
	for status, want := range map[string]string{
		"404 Not Found": "contacts search", "413 Content Too Large": "cut -b", "429 Too Many Requests": "nothing was delivered: try again in a minute",
		"500 Internal Server Error": "the server's own, and nothing was delivered: try again later", "503": "try again later", "501 Not Implemented": "", "400 Bad Request": "", "nonsense": "",
	} {
		hint := refusalHint(session.Refused("send_message", status, ""))
		if (hint == "") != (want == "") || !strings.Contains(hint, want) {
			t.Errorf("%s: %q, without %q", status, hint, want)
		}
	}
}
