package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Kind says what an error of this package means to the caller.
type Kind int

// The kinds of errors.
const (
	KindOther        Kind = iota // not an error of this package
	KindEndpoint                 // the server URL or the CA file can't be used; nothing was looked up or sent
	KindUnreachable              // there is no connection, or it was lost before the request could take effect
	KindTimeout                  // the time ran out before the request could take effect
	KindRefused                  // the server answered with a status other than 200
	KindAuth                     // the server refused the login, the token or the SID
	KindProtocol                 // the server sent something that is not Skaro
	KindUnknown                  // sent and not confirmed: it may or may not have taken effect
	KindIDsBackwards             // the server's message ids went backwards
)

// Error is an error of a connection or of a request.
type Error struct {
	Kind Kind
	Msg  string // what was tried and what happened; Err follows it, if there is one
	Hint string // an imperative, or "" if the user can do nothing
	Err  error  // the cause, or nil

	// Final says for KindUnreachable that another attempt would end in the same way.
	Final bool
	// Other says that another program answered instead of the server, such as a proxy in
	// front of it, or that the server sent a frame that can't be read.
	Other bool

	// RetryAfter is how long the server wants us to wait before another attempt; zero if it
	// does not say.
	RetryAfter time.Duration

	// Request is the type of the request, for KindRefused, KindAuth and KindUnknown.
	// Status is what the server answered, for the first two.
	Request, Status string

	// Backwards has the details for KindIDsBackwards.
	Backwards *Backwards
}

// Backwards describes message ids that went backwards, for example because an older copy of
// the server's database was put in place. Messages that were sent since then can't be told
// from those that were delivered before.
type Backwards struct {
	ID       int64     // of the server's newest message
	Position int64     // the id that it must have reached
	Date     time.Time // of the last message that was delivered; zero if it is not known
	Start    bool      // Position is where the listener was asked to start
}

// Error returns the message and its cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost error of this package in err's tree.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindOther
}

// Temporary reports whether an error may go away by itself: a lost or failed connection,
// a time-out, or a server that is busy or in trouble. A refused login never does.
func Temporary(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Kind {
	case KindUnreachable:
		return !e.Final
	case KindTimeout:
		return true
	case KindRefused:
		code := proto.StatusCode(e.Status)
		return code == "429" || len(code) == 3 && code[0] == '5' && code != "501"
	case KindUnknown:
		return Temporary(e.Err)
	}
	return false
}

// RetryAfter returns how long the server of err, which may be joined or wrapped, wants us
// to wait; zero if it does not say.
func RetryAfter(err error) time.Duration {
	var e *Error
	for ; errors.As(err, &e); err = e.Err {
		if e.RetryAfter > 0 {
			return e.RetryAfter
		}
	}
	return 0
}

// temporaryAfterLogin is Temporary for a run in which the server has confirmed a login. The
// URL was right then: if another program answers there now, the server is away for a while.
func temporaryAfterLogin(err error) bool {
	var e *Error
	return Temporary(err) || errors.As(err, &e) && e.Other
}

// isRefusal reports whether the server refused the request, or the login before it: the
// request had no effect.
func isRefusal(err error) bool {
	kind := KindOf(err)
	return kind == KindRefused || kind == KindAuth
}

// longStatus is how many bytes a status may have if the reason is shown too. A longer
// status is shown alone, which keeps the error short.
const longStatus = 100

// Refused returns the error for a reply of a server with a status other than 200. info is
// the server's reason, or "".
func Refused(server, request, status, info string) *Error {
	msg := server + " answered " + proto.Excerpt(status)
	if info != "" && info != status && len(status) <= longStatus {
		msg += ": " + proto.Excerpt(info)
	}
	return &Error{Kind: KindRefused, Msg: msg, Request: request, Status: status}
}

// keyRefused returns the error for a message with a key, to a server without nonces.
func keyRefused(server string) *Error {
	return &Error{
		Kind: KindRefused, Request: proto.TypeSendMessage,
		Msg:  "not sent: " + server + " can't recognize a key, because it lacks the extension nonce",
		Hint: "leave the key out; then a message that is sent twice is delivered twice",
	}
}

// fieldsRefused returns the error for a message with fields, to a server that would drop them.
func fieldsRefused(server string) *Error {
	return &Error{
		Kind: KindRefused, Request: proto.TypeSendMessage,
		Msg:  "not sent: " + server + " can't carry fields, because it lacks the extension fields",
		Hint: "leave the fields out, and put what they say into the text",
	}
}

func refused(server, request string, r proto.Reply) *Error {
	e := Refused(server, request, r.Status, r.Info)
	e.RetryAfter = r.RetryAfter()
	return e
}

// loginRefused returns the error for a refused login. It is final: the same credentials
// are not tried again.
func loginRefused(server, request, login string, r proto.Reply) *Error {
	e := refused(server, request, r)
	e.Kind = KindAuth
	if proto.StatusCode(e.Status) == "403" { // the credentials are right
		e.Hint = "ask the administrator of the server to enable it"
	}
	if request == proto.TypeSessionRestore {
		e.Msg = "the session can't be restored: " + e.Msg
	} else {
		e.Msg = fmt.Sprintf("login as %s was refused: %s", login, e.Msg)
	}
	return e
}

// Unknown returns the error for a request that was sent and not confirmed: it may or may not
// have taken effect. It has no hint, because following the hint of cause may do it twice.
func Unknown(request string, cause error) *Error {
	msg := "sent, but not answered by the server: it may or may not have been done"
	if request == proto.TypeSendMessage {
		msg = "sent, but not confirmed by the server: it may or may not have been delivered"
	}
	return &Error{Kind: KindUnknown, Msg: msg, Request: request, Err: cause}
}

// TimedOut returns the error for an answer that did not come in time.
func TimedOut(after time.Duration) *Error {
	return &Error{Kind: KindTimeout, Msg: fmt.Sprintf("no answer within %v", after)}
}

// WithTimeout returns a context that ends after d with TimedOut as its cause. Zero means
// no limit.
func WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, TimedOut(d))
}

// cantReach returns the error for a connection that was not made.
func cantReach(server string, d diagnosis) *Error {
	return &Error{Kind: KindUnreachable, Msg: "can't reach " + server + ": " + d.why, Hint: d.hint, Final: d.final, Other: d.other, RetryAfter: d.retryAfter}
}

// lostConnection returns the error for a connection that had been made.
func lostConnection(server string, d diagnosis) *Error {
	return &Error{Kind: KindUnreachable, Msg: "lost the connection to " + server + ": " + d.why, Hint: d.hint, Final: d.final, Other: d.other, RetryAfter: d.retryAfter}
}

// interrupted returns the error for a connection that ended with its context. Its kind is
// KindTimeout if the time ran out. what says what was tried.
func interrupted(ctx context.Context, what string) *Error {
	e := &Error{Kind: KindUnreachable, Msg: what, Err: context.Cause(ctx)}
	if KindOf(e.Err) == KindTimeout {
		e.Kind = KindTimeout
	}
	return e
}

// noAnswer returns the error for an answer of the server that did not come before ctx
// ended. what names the request, in the user's words.
func noAnswer(ctx context.Context, server, what string) error {
	return fmt.Errorf("waiting for %s to answer %s: %w", server, what, context.Cause(ctx))
}

// pushedTooMuch returns the error for a server that did not answer a request, but pushed more
// messages than a catch-up can hold. err says how long the listener waited for the answer.
func pushedTooMuch(server string, err error) error {
	return &Error{Kind: KindTimeout, Msg: server + " pushes too many messages before it answers", Err: err}
}

// outOfTime returns the error for a run that has run out of time. It says what happened
// last, because that is what the user can act on.
func outOfTime(last error) error {
	e := &Error{Kind: KindTimeout, Msg: "out of time", Err: last}
	var why *Error
	if errors.As(last, &why) {
		e.Hint = why.Hint
	}
	return e
}

// notSkaro returns the error for a server that does not speak Skaro. saw is what it sent
// instead.
func notSkaro(server, saw, hint string) *Error {
	return &Error{Kind: KindProtocol, Msg: server + " does not speak Skaro: " + saw, Hint: hint, Other: true}
}

// noIDs returns the error for a server whose messages can't be acknowledged.
func noIDs(server string) *Error {
	return &Error{Kind: KindRefused, Msg: server + " gives its messages no ids, so that they can't be acknowledged", Hint: "use --exec instead, which needs no ids"}
}

// idsBackwards returns the error for a server whose message ids went backwards.
func idsBackwards(server string, b Backwards) *Error {
	msg := fmt.Sprintf("the message ids of %s went backwards: its newest message has the id %d, but the listener had reached %d", server, b.ID, b.Position)
	if b.Start {
		msg = fmt.Sprintf("there is no message with the id %d: the newest of %s has the id %d", b.Position, server, b.ID)
	}
	return &Error{Kind: KindIDsBackwards, Msg: msg, Backwards: &b}
}
