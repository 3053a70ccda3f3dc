package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// usageError is a wrong flag or argument: nothing was sent.
type usageError struct {
	why  string
	hint string
}

func (e *usageError) Error() string { return e.why }
func (e *usageError) Hint() string  { return e.hint }

func usagef(format string, args ...any) error { return &usageError{why: fmt.Sprintf(format, args...)} }

// loginError is a command that needs a login, without one.
type loginError struct {
	why  string
	hint string
}

func (e *loginError) Error() string { return e.why }
func (e *loginError) Hint() string  { return e.hint }

// several are the errors of a command that did more than one thing.
type several []error

func (e several) Error() string   { return errors.Join(e...).Error() }
func (e several) Unwrap() []error { return e }

// incomplete is a listener that was to wait for more messages than came.
var errIncomplete = errors.New("the time ran out")

// kind is a row of the table of exit statuses (`skaroctl help exit-status`).
type kind struct {
	name string
	exit int
	when string
	hint string // what to do, where nothing better is known
}

// cutting is how to make less of a text that is too long. Its last character may be cut
// in two, hence --lossy.
const cutting = "`head -c 260000` leaves the beginning of a text, `cut -b -260000` that of each line, for `skaroctl send --lossy`"

// refusalHint is what to do about a refusal.
func refusalHint(e *session.RefusedError) string {
	kept := "nothing was changed"
	if e.Request == proto.TypeSendMessage {
		kept = "nothing was delivered"
	}
	switch code := proto.StatusCode(e.Status); {
	case code == "404":
		return "`skaroctl contacts search TEXT` finds logins, `skaroctl contacts` conferences"
	case code == "413":
		return "send a part of it: skarod takes 256 KiB; " + cutting
	case !e.Temporary():
		return ""
	case code == "429":
		return "the server is asked for too much at once, and " + kept + ": try again in a minute"
	}
	return "the trouble is the server's own, and " + kept + ": try again later; its log says more"
}

var (
	kindInternal    = kind{"internal", 1, "anything that is not below: a full disk, a keyring that can't be used, a broken file", ""}
	kindUsage       = kind{"usage", 2, "a wrong flag or argument; nothing was sent", ""}
	kindAuth        = kind{"auth", 3, "not logged in, no usable token in the environment, or the server refused the login, the token or the SID", ""}
	kindUnreachable = kind{"unreachable", 4, "no connection, a TLS failure, or the connection was lost before the request could take effect", ""}
	kindRefused     = kind{"refused", 5, "the server answered with a status other than 200", ""}
	kindTimeout     = kind{"timeout", 6, "--timeout, or --for with too few messages, ran out before the request could take effect", "give it more time with --timeout"}
	kindUnknown     = kind{"unknown", 7, "a message, or a request that changes something, was sent and never confirmed: it may or may not have been delivered, or done", "look whether it took effect before you do it again: `skaroctl history LOGIN --limit 5`"}
	kindProtocol    = kind{"protocol", 8, "the server sent something that is not Skaro", "check the host, the port and the path in --server"}

	kindHungUp      = kind{"interrupted", 129, "by SIGHUP, when a terminal closes", ""}
	kindInterrupted = kind{"interrupted", 130, "by SIGINT", ""}
	kindQuit        = kind{"interrupted", 131, "by SIGQUIT", ""}
	kindTerminated  = kind{"interrupted", 143, "by SIGTERM", ""}
)

// severity orders kinds, the worst first, for a command that failed in several ways.
var severity = []kind{kindTerminated, kindQuit, kindInterrupted, kindHungUp, kindUnknown, kindInternal, kindProtocol, kindTimeout, kindUnreachable, kindAuth, kindRefused, kindUsage}

// classify is the one place where an error becomes a kind and an exit status.
// The order matters: an error may wrap another.
func classify(err error) kind {
	var (
		signal      *terminal.Interrupt
		unknown     *session.UnknownError
		timeout     *session.TimeoutError
		protocol    *session.ProtocolError
		auth        *session.AuthError
		login       *loginError
		refused     *session.RefusedError
		unreachable *session.UnreachableError
		usage       *usageError
		endpoint    *session.EndpointError
	)
	switch {
	case errors.As(err, &signal):
		for _, k := range severity {
			if k.exit == signal.ExitStatus() {
				return k
			}
		}
		return kindInterrupted
	case errors.As(err, &unknown):
		return kindUnknown
	case errors.As(err, &timeout), errors.Is(err, errIncomplete):
		return kindTimeout
	case errors.As(err, &protocol):
		return kindProtocol
	case errors.As(err, &auth), errors.As(err, &login), account.KindOf(err) == account.KindToken, account.KindOf(err) == account.KindNone:
		return kindAuth
	case errors.As(err, &refused):
		return kindRefused
	case errors.As(err, &unreachable):
		return kindUnreachable
	case errors.As(err, &usage), errors.As(err, &endpoint):
		return kindUsage
	}
	return kindInternal
}

func (a *app) report(err error) int {
	var list several
	if !errors.As(err, &list) && err != nil {
		list = several{err}
	}
	// Whoever read the output has seen enough; what else went wrong, they have not seen.
	list = slices.DeleteFunc(slices.Clone(list), func(err error) bool {
		return terminal.ReaderGone(err) || errors.Is(err, errReaderGone)
	})
	if len(list) == 0 {
		return 0
	}
	worst := len(severity)
	for _, err := range list {
		k := classify(err)
		for i, s := range severity {
			if s == k {
				worst = min(worst, i)
			}
		}
		f := output.Failure{Kind: k.name, Message: err.Error()}
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) {
			f.Hint = hinted.Hint()
		}
		var ours *account.Error
		if errors.As(err, &ours) {
			f.Hint = cmp.Or(f.Hint, ours.Hint)
		}
		var refused *session.RefusedError
		var auth *session.AuthError
		switch {
		case errors.As(err, &auth):
			f.Status = proto.StatusCode(auth.Status)
			f.Hint = cmp.Or(f.Hint, a.loginHint, "log in again with `skaroctl login`")
		case errors.As(err, &refused):
			f.Status = proto.StatusCode(refused.Status)
			f.Hint = cmp.Or(f.Hint, refusalHint(refused))
		}
		if !errors.Is(err, errIncomplete) { // that was the time of --for
			f.Hint = cmp.Or(f.Hint, k.hint)
		}
		var signal *terminal.Interrupt
		var unknown *session.UnknownError
		var short *cutShort
		if errors.As(err, &signal) && !errors.As(err, &unknown) && !errors.As(err, &short) {
			continue // who interrupts knows
		}
		_ = output.WriteFailure(a.err, "skaroctl", f, a.jsonAsked(), a.colour(a.streams.ErrTerminal))
	}
	return severity[worst].exit
}
