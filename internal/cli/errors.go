package cli

import "fmt"

// Kind says what an error means to a script. Each program has one table from kind to
// exit status (docs/scripting.md, "Exit status").
type Kind string

// The kinds of errors, as JSON errors name them.
const (
	KindInternal    Kind = "internal"    // anything that has no other kind
	KindUsage       Kind = "usage"       // a wrong flag or argument; nothing was sent
	KindAuth        Kind = "auth"        // no login, or the server refused it
	KindUnreachable Kind = "unreachable" // no connection, or it was lost before the request could take effect
	KindRefused     Kind = "refused"     // the server answered with a status other than 200
	KindTimeout     Kind = "timeout"     // the time ran out before the request could take effect
	KindUnknown     Kind = "unknown"     // sent and not confirmed: it may or may not have taken effect
	KindProtocol    Kind = "protocol"    // the server sent something that is not Skaro
	KindInterrupted Kind = "interrupted" // a signal ended the command
)

// Error is an error of a command: what a person reads, and what a script decides by.
type Error struct {
	Kind   Kind
	Msg    string // what was tried and what happened; Err follows it, if both are there
	Hint   string // an imperative, or "" if the reader can do nothing
	Status string // the server's three-digit status, if it refused; else ""
	Err    error  // the cause, or nil
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

// Usage returns an error of KindUsage.
func Usage(msg, hint string) *Error { return &Error{Kind: KindUsage, Msg: msg, Hint: hint} }

// Usagef returns an error of KindUsage without a hint.
func Usagef(format string, args ...any) *Error { return Usage(fmt.Sprintf(format, args...), "") }
