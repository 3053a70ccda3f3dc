package main

import (
	"errors"
	"slices"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// exitCode is a row of the table of exit statuses (`skaroctl help exit-status`).
type exitCode struct {
	kind   cli.Kind
	status int
	when   string
	hint   string // for an error that has none of its own
}

// exitCodes are ordered by severity, the worst first: a command that failed in several
// ways ends with the worst status.
var exitCodes = []exitCode{
	{cli.KindInterrupted, 143, "by SIGTERM", ""},
	{cli.KindInterrupted, 131, "by SIGQUIT", ""},
	{cli.KindInterrupted, 130, "by SIGINT", ""},
	{cli.KindInterrupted, 129, "by SIGHUP, when a terminal closes", ""},
	{cli.KindUnknown, 7, "a message, or a request that changes something, was sent and never confirmed: it may or may not have been delivered, or done", "look whether it took effect before you do it again: `skaroctl history LOGIN --limit 5`"},
	{cli.KindInternal, 1, "anything that is not below: a full disk, a keyring that can't be used, a broken file", ""},
	{cli.KindProtocol, 8, "the server sent something that is not Skaro", "check the host, the port and the path in --server"},
	{cli.KindTimeout, 6, "--timeout, or --for with too few messages, ran out before the request could take effect", "give it more time with --timeout"},
	{cli.KindUnreachable, 4, "no connection, a TLS failure, or the connection was lost before the request could take effect", ""},
	{cli.KindAuth, 3, "not logged in, no usable token in the environment, or the server refused the login, the token or the SID", "log in again with `skaroctl login`"},
	{cli.KindRefused, 5, "the server answered with a status other than 200", ""},
	{cli.KindUsage, 2, "a wrong flag or argument; nothing was sent", ""},
}

// exitCodeOf returns the row of an error: that of the signal if a signal caused it, else
// that of its kind.
func exitCodeOf(err error) exitCode {
	kind := kindOf(err)
	matches := func(row exitCode) bool { return row.kind == kind }
	var signal *terminal.Interrupt
	if errors.As(err, &signal) {
		matches = func(row exitCode) bool { return row.status == signal.ExitStatus() }
	}
	return exitCodes[slices.IndexFunc(exitCodes, matches)]
}

// sessionKinds are the kinds of the errors of a session.
var sessionKinds = map[session.Kind]cli.Kind{
	session.KindEndpoint:    cli.KindUsage,
	session.KindUnreachable: cli.KindUnreachable,
	session.KindTimeout:     cli.KindTimeout,
	session.KindRefused:     cli.KindRefused,
	session.KindAuth:        cli.KindAuth,
	session.KindProtocol:    cli.KindProtocol,
	session.KindUnknown:     cli.KindUnknown,
}

// kindOf is the one place where an error gets its kind. The order matters: an error may
// wrap another.
func kindOf(err error) cli.Kind {
	var own *cli.Error
	if errors.As(err, &own) && own.Kind != "" {
		return own.Kind
	}
	if kind, ok := sessionKinds[session.KindOf(err)]; ok {
		return kind
	}
	switch {
	case errors.Is(err, errIncomplete):
		return cli.KindTimeout
	case account.KindOf(err) == account.KindToken, account.KindOf(err) == account.KindNone:
		return cli.KindAuth
	}
	return cli.KindInternal
}

// hintOf says what to do about an error: the hint of the outermost error that has its
// own, else that of its row.
func hintOf(err error, row exitCode) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) {
		case *cli.Error:
			if e.Hint != "" {
				return e.Hint
			}
		case *account.Error:
			if e.Hint != "" {
				return e.Hint
			}
		case *session.Error:
			switch {
			case e.Kind == session.KindUnknown:
				return row.hint // its cause may advise to try again, which may do it twice
			case e.Hint != "":
				return e.Hint
			case e.Kind == session.KindRefused && refusalHint(e) != "":
				return refusalHint(e)
			}
		case interface{ Hint() string }:
			if hint := e.Hint(); hint != "" {
				return hint
			}
		}
	}
	if errors.Is(err, errIncomplete) {
		return "" // that was the time of --for
	}
	return row.hint
}

// statusOf returns the status of the server that refused, or "".
func statusOf(err error) string {
	var e *session.Error
	if errors.As(err, &e) {
		return proto.StatusCode(e.Status)
	}
	return ""
}

// shortening tells how to cut a text that is too long. Its last character may be cut in
// two, hence --lossy.
const shortening = "`head -c 260000` leaves the beginning of a text, `cut -b -260000` that of each line, for `skaroctl send --lossy`"

// refusalHint says what to do about a refusal.
func refusalHint(e *session.Error) string {
	kept := "nothing was changed"
	if e.Request == proto.TypeSendMessage {
		kept = "nothing was delivered"
	}
	switch code := proto.StatusCode(e.Status); {
	case code == "404":
		return "`skaroctl contacts search TEXT` finds logins, `skaroctl contacts` conferences"
	case code == "413":
		return "send a part of it: skarod takes 256 KiB; " + shortening
	case !session.Temporary(e):
		return ""
	case code == "429":
		return "the server is asked for too much at once, and " + kept + ": try again in a minute"
	}
	return "the trouble is the server's own, and " + kept + ": try again later; its log says more"
}

// joined returns the errors of a command that failed in several ways, which it returns
// with errors.Join; nil for any other error.
func joined(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	return list.Unwrap()
}

// report writes an error to standard error, each of several, and returns the exit status.
func (f *Factory) report(err error) int {
	list := joined(err)
	if list == nil && err != nil {
		list = []error{err}
	}
	worst := len(exitCodes)
	for _, err := range list {
		if readerGone(err) {
			continue // the reader of the output has seen enough
		}
		row := exitCodeOf(err)
		worst = min(worst, slices.Index(exitCodes, row))
		if row.kind == cli.KindInterrupted && !saysMore(err) {
			continue // the user knows
		}
		failure := output.Failure{Kind: string(row.kind), Message: err.Error(), Status: statusOf(err), Hint: hintOf(err, row)}
		_ = output.WriteFailure(f.stderr.w, "skaroctl", failure, f.given.wantsJSON(f.getenv), f.colour(f.streams.ErrTerminal))
	}
	if worst == len(exitCodes) {
		return 0
	}
	return exitCodes[worst].status
}

// saysMore reports whether an error that a signal caused says what became of messages.
func saysMore(err error) bool {
	var short *cutShort
	return session.KindOf(err) == session.KindUnknown || errors.As(err, &short)
}

// readerGone reports whether an error is that of an output without a reader.
func readerGone(err error) bool {
	return terminal.ReaderGone(err) || errors.Is(err, errReaderGone)
}
