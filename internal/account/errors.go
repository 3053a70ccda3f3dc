package account

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Kind says what an Error means to the caller.
type Kind int

// The kinds of errors.
const (
	KindOther       Kind = iota // no caller decides by it
	KindNone                    // a store has no credentials of the account
	KindUnavailable             // the keyring can't be used
	KindUnreadable              // the file of credentials can't be read or used; it was left as it is
	KindDamaged                 // the keyring works, but what it has of the account can't be read
	KindToken                   // the token of the environment is missing or can't be used
	KindRotation                // the token of the environment was read before, and can't be read at the moment
	KindFile                    // a file can't be used; it was left as it is
	KindForeign                 // a file, or a folder on the way to it, belongs to another user; nothing was read or made
	KindLocked                  // another process holds a lock
	KindNoEntry                 // the spool has no message with an id
	KindNotSynced               // a file has its new content, and may have the old one after a power failure
)

// Error is an error of this package. It quotes no secret.
type Error struct {
	Kind Kind
	Path string // the file that it is about, or ""
	Line int    // the line of that file, from 1; 0 means no line
	Msg  string // what happened; "" if Err says it
	Hint string // an imperative, or "" if there is nothing to add
	Err  error  // the cause, or nil
}

// Error returns the file, its line, and what happened.
func (e *Error) Error() string {
	text := e.Msg
	if text == "" && e.Err != nil {
		text = e.Err.Error()
	}
	if e.Line > 0 {
		text = fmt.Sprintf("line %d: %s", e.Line, text)
	}
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in the chain of err, or KindOther.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindOther
}

// Temporary reports whether an error may go away by itself: a keyring that is not there
// yet, or locked, a token file that is being replaced, or a lock that another process
// holds.
func Temporary(err error) bool {
	kind := KindOf(err)
	return kind == KindUnavailable || kind == KindRotation || kind == KindLocked
}

// hintOf returns the hint of the first Error in the chain of err, or "".
func hintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// none returns the error for an account that a store does not have.
func none(key Key, where string) error {
	return &Error{Kind: KindNone, Msg: fmt.Sprintf("no credentials are stored for %s at %s in %s", key.Login, key.Server, where)}
}

// unavailable returns the error for a keyring that can't be used. Nothing was stored
// anywhere else.
func unavailable(why string, cause error) *Error {
	return &Error{
		Kind: KindUnavailable, Msg: "the keyring can't be used: " + why, Err: cause,
		Hint: "log in with `skaroctl login --store file`, or give a token in SKAROCTL_TOKEN_FILE",
	}
}

// fileError returns the error for what the os package says about a file, without the
// path that it repeats. An Error stays as it is.
func fileError(path string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	e := &Error{Kind: KindFile, Path: path, Err: err}
	var onPath *fs.PathError
	if errors.As(err, &onPath) {
		e.Err = fmt.Errorf("%s: %w", onPath.Op, onPath.Err)
	}
	if errors.Is(err, syscall.ENOSPC) {
		e.Hint = "make room on the disk"
	}
	return e
}
