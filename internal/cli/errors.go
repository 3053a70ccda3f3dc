package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what an error means to a script. Each program has one Table from kind to
// exit status (docs/reference.md, "Exit status").
type Kind string

// The kinds of errors, as JSON errors name them.
const (
	KindInternal    Kind = "internal"    // any error without another kind
	KindUsage       Kind = "usage"       // a wrong flag or argument; nothing was sent
	KindAuth        Kind = "auth"        // no login, or the server refused it
	KindUnreachable Kind = "unreachable" // no connection, or it was lost before the request could take effect
	KindRefused     Kind = "refused"     // the server answered with a status other than 200
	KindTimeout     Kind = "timeout"     // the time ran out before the request could take effect
	KindUnknown     Kind = "unknown"     // sent and not confirmed: it may or may not have taken effect
	KindProtocol    Kind = "protocol"    // the server sent something that is not Skaro
	KindInterrupted Kind = "interrupted" // a signal ended the command
)

// Error is an error of a command: what a person reads, and what a script decides by. An
// empty Kind, Hint, Status or RetryAfter is that of the cause.
type Error struct {
	Kind   Kind
	Msg    string // what was tried and what happened; Err follows it, if both are there
	Hint   string // an imperative, or "" if the reader can do nothing
	Status string // the server's three-digit status, if it refused; else ""
	Err    error  // the cause, or nil

	RetryAfter time.Duration // how long the server wants us to wait; zero if it does not say
}

// Error returns the message and its cause.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Msg
	case e.Msg == "":
		return e.Err.Error()
	}
	return e.Msg + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Exit ends the program with a status of its own, and without a line: another program
// has said what went wrong.
type Exit int

// Error returns the status, for tests.
func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Reported is an error that Process.Report has written. It only counts for the exit status.
type Reported struct{ Err error }

// Error returns the text of the error that was written.
func (e Reported) Error() string { return e.Err.Error() }

// Unwrap returns the error that was written.
func (e Reported) Unwrap() error { return e.Err }

// Usage returns an error of KindUsage.
func Usage(msg, hint string) *Error { return &Error{Kind: KindUsage, Msg: msg, Hint: hint} }

// Usagef returns an error of KindUsage without a hint.
func Usagef(format string, args ...any) *Error { return Usage(fmt.Sprintf(format, args...), "") }

// WithHint returns err with a hint, for a command that knows more than the cause does.
func WithHint(err error, hint string) *Error { return &Error{Hint: hint, Err: err} }

// fill takes from other what e doesn't say itself.
func (e *Error) fill(other Error) {
	e.Kind = cmp.Or(e.Kind, other.Kind)
	e.Hint = cmp.Or(e.Hint, other.Hint)
	e.Status = cmp.Or(e.Status, other.Status)
	e.RetryAfter = cmp.Or(e.RetryAfter, other.RetryAfter)
}

// collect returns the kind, hint and status that the Errors in the chain of err give; the
// outermost comes first.
func collect(err error) Error {
	found := Error{Err: err}
	var e *Error
	for errors.As(err, &e) {
		found.fill(*e)
		err = e.Err
	}
	return found
}

// joined returns the errors that errors.Join has made into err, or nil if err is none of
// these. fmt.Errorf with two %w has a list of causes too, but a text of its own.
func joined(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var texts []string
	for _, e := range list.Unwrap() {
		texts = append(texts, e.Error())
	}
	if err.Error() != strings.Join(texts, "\n") {
		return nil
	}
	return list.Unwrap()
}
