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

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// TestExitStatus is the table of exit statuses (docs/reference.md, "Exit status").
func TestExitStatus(t *testing.T) {
	refused := session.Refused("ws://x/", "send_message", "404 Not Found", "")
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
		"wrong password":            {cli.WithHint(&session.Error{Kind: session.KindAuth}, "check the password"), 3},
		"unreachable":               {lost, 4},
		"refused":                   {fmt.Errorf("send: %w", refused), 5},
		"timeout":                   {fmt.Errorf("wait: %w", late), 6},
		"timeout while connecting":  {fmt.Errorf("login: %w", late), 6},
		"unknown after a loss":      {session.Unknown("send_message", lost), 7},
		"unknown after the time":    {session.Unknown("send_message", late), 7},
		"protocol":                  {&session.Error{Kind: session.KindProtocol}, 8},
		"keyring":                   {&account.Error{Kind: account.KindUnavailable}, 3},
		"unreadable credentials":    {&account.Error{Kind: account.KindUnreadable, Err: io.EOF}, 3},
		"broken file":               {&account.Error{Kind: account.KindFile, Err: io.EOF}, 1},
		"interrupted":               {fmt.Errorf("wait: %w", &terminal.Interrupt{Signal: os.Interrupt}), 130},
		"hung up":                   {&terminal.Interrupt{Signal: syscall.SIGHUP}, 129},
		"quit":                      {&terminal.Interrupt{Signal: syscall.SIGQUIT}, 131},
		"terminated":                {&terminal.Interrupt{Signal: syscall.SIGTERM}, 143},
		"interrupted after sending": {session.Unknown("send_message", &terminal.Interrupt{Signal: os.Interrupt}), 130},
	} {
		if got, _ := report(t, c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// report returns the exit status of a command that fails with err, and what it writes to
// standard error.
func report(t *testing.T, err error) (status int, errs string) {
	t.Helper()
	var written strings.Builder
	streams := terminal.Streams{Out: io.Discard, Err: &written}
	status = cli.MainContext(t.Context(), []string{}, streams, func(string) string { return "" }, func(p *cli.Process) cli.Program {
		program := newProgram(newFactory(p))
		program.Root = &cobra.Command{Use: "skaroctl", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return &cli.Error{Err: err} }}
		return program
	})
	return status, written.String()
}

// Of several errors each is reported, and the worst one gives the exit status.
func TestReportNamesEachErrorAndTheWorstStatusCounts(t *testing.T) {
	refused := session.Refused("ws://x/", "send_message", "404 Not Found", "no bob")
	exit, errs := report(t, errors.Join(
		fmt.Errorf("send to bob: %w", refused),
		fmt.Errorf("send to carol: %w", session.Unknown("send_message", io.EOF)),
		cli.Usagef("x"),
	))
	want := "skaroctl: send to bob: ws://x/ answered 404 Not Found: no bob\nhint: find logins with `skaroctl contacts search TEXT`, and conferences with `skaroctl contacts`\n" +
		"skaroctl: send to carol: sent, but not confirmed by the server: it may or may not have been delivered: EOF\n" +
		"hint: look whether it took effect before you do it again: `skaroctl history LOGIN --limit 5`\nskaroctl: x\n"
	if exit != 7 || errs != want {
		t.Errorf("exit %d\n%s", exit, errs)
	}
	if exit, errs := report(t, fmt.Errorf("listen: %w", &terminal.Interrupt{Signal: os.Interrupt})); exit != 130 || errs != "" {
		t.Errorf("exit %d, %q", exit, errs)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	_, gone := w.WriteString("to nobody")
	if exit, errs := report(t, gone); gone == nil || exit != 0 || errs != "" {
		t.Errorf("closed pipe: %v, exit %d, %q", gone, exit, errs)
	}
	if exit, errs := report(t, errors.Join(refused, gone)); exit != 5 || strings.Contains(errs, "pipe") {
		t.Errorf("refused, and a closed pipe: exit %d, %q", exit, errs)
	}
	// The cause of an unknown result may advise to try again; the hint doesn't.
	unknown := session.Unknown("send_message", &session.Error{Kind: session.KindUnreachable, Hint: "check that the server runs"})
	if _, errs := report(t, unknown); !strings.Contains(errs, "hint: look whether it took effect") {
		t.Errorf("%s", errs)
	}
	for err, want := range map[error]string{
		session.TimedOut(time.Second):                              "hint: give it more time with --timeout\n",
		&cli.Error{Kind: cli.KindTimeout, Msg: "too few messages"}: "too few messages\n",
	} {
		if exit, errs := report(t, err); exit != 6 || !strings.HasSuffix(errs, want) {
			t.Errorf("exit %d, %q", exit, errs)
		}
	}
}

// A refusal says whose fault it is, and whether trying again may help.
func TestRefusalHint(t *testing.T) {
	for status, want := range map[string]string{
		"404 Not Found": "contacts search", "413 Content Too Large": "send less: the error names the limit", "403 Forbidden": "skarod conference add NAME LOGIN", "429 Too Many Requests": "try again in a minute: the server is asked for too much at once, and nothing was delivered",
		"500 Internal Server Error": "try again later: the server has failed (its log says why), and nothing was delivered", "503": "try again later", "501 Not Implemented": "", "400 Bad Request": "", "nonsense": "",
	} {
		hint := refusalHint(session.Refused("ws://x/", "send_message", status, ""))
		if (hint == "") != (want == "") || !strings.Contains(hint, want) {
			t.Errorf("%s: %q, without %q", status, hint, want)
		}
	}
}

// After a request that was not answered, the hint names the command that shows its effect.
func TestUnknownHint(t *testing.T) {
	for request, want := range map[string]string{
		"send_message": "before you do it again: `skaroctl history LOGIN --limit 5`", "add_contact": "before you do it again: `skaroctl contacts`",
		"del_contact": "before you do it again: `skaroctl contacts`", "register": "before you do it again: `skaroctl login LOGIN`", "set_user_data": "before you do it again",
	} {
		_, errs := report(t, session.Unknown(request, session.TimedOut(time.Second)))
		if hint := errs[strings.Index(errs, "\n")+1:]; !strings.HasPrefix(hint, "hint: look whether ") || !strings.HasSuffix(hint, want+"\n") {
			t.Errorf("%s: %s", request, errs)
		}
	}
}

// The hint of an error counts even if the error was joined before it was wrapped.
func TestHintOfAJoinedError(t *testing.T) {
	err := fmt.Errorf("logout: %w", errors.Join(errors.New("x"), &account.Error{Kind: account.KindUnreadable, Msg: "y", Hint: "move it away"}))
	if hint := hintOf(err); hint != "move it away" {
		t.Errorf("%q", hint)
	}
}
