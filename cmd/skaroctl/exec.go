package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// hook is the command of `listen --exec`: the shell runs it for one event after
// the other.
type hook struct {
	command string
	environ []string // ours, without what is not for it
	streams terminal.Streams
	waiting func() // told when a signal came, and the command is still running
}

// newHook prepares a command. environ is the environment of this process, of
// which our own secrets, and variables of the names that the hook sets, are left
// out. same are the variables that make a skaroctl in the command that of our account.
func newHook(command string, environ, same []string, streams terminal.Streams, waiting func()) *hook {
	h := &hook{command: command, streams: streams, waiting: waiting}
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if hookInherits(runtime.GOOS, name) {
			h.environ = append(h.environ, v)
		}
	}
	h.environ = append(h.environ, same...)
	return h
}

// hookInherits reports whether a variable of ours is for the hook too. On Windows the
// case of its name does not matter.
func hookInherits(goos, name string) bool {
	if goos == "windows" {
		name = strings.ToUpper(name)
	}
	switch name {
	case "SKAROCTL_TOKEN", "SKAROCTL_PROFILE", "SKAROCTL_SERVER": // the account's own take the place of the last two
		return false
	}
	return !strings.HasPrefix(name, "SKARO_")
}

// hookTakes reports whether a variable of the hook may have a value: systems have
// limits, and the whole message is on standard input anyway.
func hookTakes(goos, value string) bool {
	if value == "" || strings.Contains(value, "\x00") {
		return false
	}
	if goos != "windows" {
		return len(value) <= 64<<10
	}
	// cmd.exe puts the text of %SKARO_BODY% into the command before it reads that: a
	// stranger could write a part of it.
	return len(value) <= 32<<10-64 && !strings.ContainsFunc(value, func(r rune) bool {
		return r < ' ' && r != '\t' || strings.ContainsRune("\"%^&|<>()", r)
	})
}

// hookPatience is how long a command that has ended may leave its standard input
// to a process of its own that does not read it, and how long the signal that ended it
// may take to come to us too.
const hookPatience = 2 * time.Second

// run runs the command for one event, and waits for its end. Its error is that
// of the command. When interrupted ends, by a signal, the command may go on to its end:
// it runs in a process group of its own, which the signals of a terminal don't reach.
// A second signal is handed on to it, a third kills it.
func (h *hook) run(interrupted context.Context, e session.Event) error {
	var line []byte
	env := h.environ[:len(h.environ):len(h.environ)]
	var what string
	if m := e.Message; m != nil {
		line = output.AppendMessage(nil, *m, e.Own)
		what = "the message from " + output.Login(m.From)
		id := ""
		if m.ID != 0 {
			id = strconv.FormatInt(m.ID, 10)
			what = fmt.Sprintf("message %s from %s", id, output.Login(m.From))
		}
		for _, v := range [][2]string{
			{"SKARO_FROM", m.From}, {"SKARO_DIALOG", m.Dialog(e.Own)}, {"SKARO_ID", id}, {"SKARO_DATE", output.DateText(m.Date)}, {"SKARO_BODY", m.Body},
		} {
			if hookTakes(runtime.GOOS, v[1]) {
				env = append(env, v[0]+"="+v[1])
			}
		}
	} else {
		line = output.AppendPush(nil, e.Push)
		what = "a push of type " + e.Push.Type()
	}
	cmd := shell(h.command)
	cmd.Env = env
	cmd.Stdin = bytes.NewReader(append(line, '\n'))
	cmd.Stdout, cmd.Stderr = h.streams.Out, h.streams.Err
	cmd.WaitDelay = hookPatience
	err := h.await(interrupted, cmd)
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return &hookError{what, err}
}

// await runs a command to its end.
func (h *hook) await(interrupted context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var first *terminal.Interrupt
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() < 0 {
			// A signal ended it. timeout(1) and services send theirs to everybody, and it is
			// chance who hears of it first.
			select {
			case <-interrupted.Done():
			case <-time.After(hookPatience):
			}
		}
		return err
	case <-interrupted.Done():
		if !errors.As(context.Cause(interrupted), &first) {
			return <-ended
		}
	}
	h.waiting()
	for second := true; ; second = false {
		select {
		case err := <-ended:
			return err
		case s := <-first.Next():
			if !second {
				s = os.Kill
			}
			endGroup(cmd, s)
		}
	}
}

// hookError is a command that failed.
type hookError struct {
	what string
	err  error
}

func (e *hookError) Error() string { return fmt.Sprintf("--exec failed for %s: %v", e.what, e.err) }
func (e *hookError) Unwrap() error { return e.err }
func (e *hookError) Hint() string {
	return "with --resume the same message comes again the next time; to get past it, let `skaroctl listen --resume --count 1` show it once, with the same profile and filters, and without --exec"
}

// format makes the printer's template of --format.
func (a *app) format(text string) (*output.Format, error) {
	if text == "" {
		return nil, nil
	}
	f, err := output.ParseFormat(text, a.streams.OutTerminal)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--format: %v", err), "the keys are " + output.FormatKeys() + "; an example: '{{.from}}: {{.body}}'"}
	}
	return f, nil
}
