package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// hook is the command of `listen --exec`. The shell runs it for one event after the
// other.
type hook struct {
	command string
	environ []string // for every event
	streams terminal.Streams
	notice  func(format string, args ...any)
	reaper  *reaper

	retries int          // after a failed command
	letters *deadLetters // takes the messages for which every attempt has failed; nil means none
	pauses  session.RetryPolicy
}

// newHook prepares a command. From the environment of this process it leaves out our
// secrets and the variables that the hook sets itself; acct are the variables that make
// a skaroctl in the command use our account.
func newHook(command string, environ, acct []string, streams terminal.Streams, notice func(string, ...any)) *hook {
	h := &hook{command: command, streams: streams, notice: notice, reaper: newReaper()}
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if hookInherits(runtime.GOOS, name) {
			h.environ = append(h.environ, v)
		}
	}
	h.environ = append(h.environ, acct...)
	return h
}

// hookInherits reports whether the hook gets a variable of this process.
func hookInherits(goos, name string) bool {
	if goos == "windows" { // the case of a name does not matter there
		name = strings.ToUpper(name)
	}
	switch name {
	case "SKAROCTL_TOKEN", "SKAROCTL_PROFILE", "SKAROCTL_SERVER": // newHook sets the last two
		return false
	}
	return !strings.HasPrefix(name, "SKARO_")
}

// hookTakes reports whether a variable of the hook may have a value: systems have limits.
// The whole message is on standard input anyway.
func hookTakes(goos, value string) bool {
	if value == "" || strings.Contains(value, "\x00") {
		return false
	}
	if goos != "windows" {
		return len(value) <= 64<<10
	}
	// cmd.exe puts the text of %SKARO_BODY% into the command before it parses that: the
	// sender of the message could write a part of it.
	return len(value) <= 32<<10-64 && !strings.ContainsFunc(value, func(r rune) bool {
		return r < ' ' && r != '\t' || strings.ContainsRune("\"%^&|<>()", r)
	})
}

// hookInput is the input of a command for an event, and the event's name in an error.
type hookInput struct {
	write   func(io.Writer) error // the line for standard input
	environ []string
	event   string
}

func newHookInput(e session.Event) hookInput {
	m := e.Message
	if m == nil {
		return hookInput{
			write: func(w io.Writer) error { return output.WritePush(w, e.Push) },
			event: "a push of type " + proto.Excerpt(e.Push.Type()),
		}
	}
	in := hookInput{
		write: func(w io.Writer) error { return output.WriteMessage(w, *m, e.Own) },
		event: "the message from " + output.Login(m.From),
	}
	id := ""
	if m.ID != 0 {
		id = strconv.FormatInt(m.ID, 10)
		in.event = fmt.Sprintf("message %s from %s", id, output.Login(m.From))
	}
	for _, v := range [][2]string{
		{"SKARO_FROM", m.From}, {"SKARO_DIALOG", m.Dialog(e.Own)}, {"SKARO_ID", id}, {"SKARO_DATE", output.DateText(m.Date)}, {"SKARO_BODY", m.Body},
		{"SKARO_TITLE", m.Fields.Title()}, {"SKARO_URGENCY", m.Fields.Urgency()},
	} {
		if hookTakes(runtime.GOOS, v[1]) {
			in.environ = append(in.environ, v[0]+"="+v[1])
		}
	}
	return in
}

// reader returns a reader of the line, which is encoded as it is read. end stops the
// encoding, because a command may read none of it.
func (in hookInput) reader() (line io.Reader, end func()) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(in.write(w)) }()
	return r, func() { r.Close() }
}

// hookGrace is how long to wait, after the command has ended, for a child that has its
// standard input and does not read it, and for our copy of the signal that ended the command.
const hookGrace = 2 * time.Second

// handle runs the command for one event until it succeeds or no attempt is left. In the second
// case, the event becomes a dead letter, or handle returns the error. After the end of ctx or
// signaled, there is no other attempt and no dead letter.
func (h *hook) handle(ctx, signaled context.Context, e session.Event) error {
	in := newHookInput(e)
	left := h.retries
	var failed error
	policy := h.pauses
	policy.BeforeLogin = session.Forever
	policy.Passes = func(error) bool { left--; return left >= 0 && signaled.Err() == nil }
	err := policy.Run(ctx, func(_ error, pause time.Duration) {
		h.notice("%v; trying again in %v", failed, pause.Round(100*time.Millisecond))
	}, func(context.Context) error {
		failed = h.run(signaled, in)
		return failed
	})
	switch {
	case err == nil:
		return nil
	case h.letters == nil, ctx.Err() != nil, signaled.Err() != nil:
		return failed
	}
	var line bytes.Buffer // one write, because other processes may append to the file too
	if err = in.write(&line); err == nil {
		err = h.letters.add(line.Bytes())
	}
	if err != nil {
		return errors.Join(failed, err)
	}
	h.notice("%v; it is in %s now", failed, h.letters.file.Name())
	return nil
}

// run runs the command for one event, and returns its error. The command may finish after
// signaled has ended: it runs in a process group of its own, which the signals of a terminal
// don't reach.
func (h *hook) run(signaled context.Context, in hookInput) error {
	cmd := shell(h.command)
	cmd.Env = append(h.environ[:len(h.environ):len(h.environ)], in.environ...)
	line, end := in.reader()
	defer end()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = line, h.streams.Out, h.streams.Err
	cmd.WaitDelay = hookGrace
	resume := h.reaper.pause()
	err := h.await(signaled, cmd)
	resume()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return &cli.Error{
		Kind: cli.KindInternal, Msg: "--exec failed for " + in.event, Err: err,
		Hint: "correct the command: the next --resume repeats the message; to skip it, run `skaroctl listen --resume --count 1` with the same profile and filters, and without --exec",
	}
}

// await runs a command to its end.
func (h *hook) await(signaled context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		awaitSignal(signaled, err)
		return err
	case <-signaled.Done():
	}
	var first *terminal.Interrupt
	if !errors.As(context.Cause(signaled), &first) {
		return <-ended
	}
	h.notice("waiting for the command of --exec to end; a second interrupt ends it")
	return passOn(first, cmd, ended)
}

// awaitSignal waits for our signal if a signal ended the command: timeout(1) and services
// signal every process, in no fixed order.
func awaitSignal(signaled context.Context, err error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() >= 0 {
		return
	}
	select {
	case <-signaled.Done():
	case <-time.After(hookGrace):
	}
}

// passOn passes a second signal on to the command, kills it at a third one, and returns
// how it ended.
func passOn(first *terminal.Interrupt, cmd *exec.Cmd, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case second := <-first.Next():
		endGroup(cmd, second)
	}
	for {
		select {
		case err := <-ended:
			return err
		case <-first.Next():
			endGroup(cmd, os.Kill)
		}
	}
}
