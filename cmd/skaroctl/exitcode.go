package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

// exitTable has the exit statuses of errors (`skaroctl help exit-status`), the most severe
// first: a command that failed in several ways ends with that one.
var exitTable = cli.Table{
	{Kind: cli.KindUnknown, Exit: 7, When: "a message, or a request that changes something, was sent and never confirmed: it may or may not have taken effect", Hint: lookFirst},
	{Kind: cli.KindInternal, Exit: 1, When: "any other error: a full disk, a broken config file"},
	{Kind: cli.KindProtocol, Exit: 8, When: "the server sent something that is not Skaro", Hint: "check the host, the port and the path in --server"},
	{Kind: cli.KindTimeout, Exit: 6, When: "--timeout ended before the request could take effect, or --for ended before --count or --drain was fulfilled"},
	{Kind: cli.KindUnreachable, Exit: 4, When: "no connection, a TLS failure, or the connection was lost before the request could take effect"},
	{Kind: cli.KindAuth, Exit: 3, When: "not logged in, no access to the credential store, no usable token in the environment, or the server refused the login, the token or the SID", Hint: "log in again with `skaroctl login`"},
	{Kind: cli.KindRefused, Exit: 5, When: "the server answered with a status other than 200"},
	{Kind: cli.KindUsage, Exit: 2, When: "a wrong flag or argument; nothing was sent"},
}

// lookFirst is the hint for a message that may have been delivered.
const lookFirst = "look whether it took effect before you do it again: `skaroctl history LOGIN --limit 5`"

// unknownHint says where to look whether a request has taken effect.
func unknownHint(request string) string {
	switch request {
	case proto.TypeSendMessage:
		return lookFirst
	case proto.TypeAddContact, proto.TypeDelContact:
		return "look whether it took effect before you do it again: `skaroctl contacts`"
	case proto.TypeRegister:
		return "look whether there is an account before you do it again: `skaroctl login LOGIN`"
	}
	return "look whether it took effect before you do it again"
}

// classify returns the kind, the hint and the server's status of an error.
func classify(err error) cli.Error {
	return cli.Error{Kind: kindOf(err), Hint: hintOf(err), Status: statusOf(err), RetryAfter: session.RetryAfter(err)}
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
	for cause := err; errors.As(cause, &own); cause = own.Err {
		if own.Kind != "" {
			return own.Kind
		}
	}
	if kind, ok := sessionKinds[session.KindOf(err)]; ok {
		return kind
	}
	switch account.KindOf(err) {
	case account.KindNone, account.KindUnavailable, account.KindUnreadable, account.KindDamaged, account.KindToken, account.KindRotation:
		return cli.KindAuth
	case account.KindNoEntry:
		return cli.KindUsage
	}
	return cli.KindInternal
}

// hintOf says what to do about an error: it returns the hint of the outermost error that
// has one, or "", and then the table may have one. Of several causes, the first with a hint counts.
func hintOf(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if hint, final := ownHint(err); final {
			return hint
		}
		several, _ := err.(interface{ Unwrap() []error })
		if several == nil {
			continue
		}
		for _, cause := range several.Unwrap() {
			if hint := hintOf(cause); hint != "" {
				return hint
			}
		}
	}
	return ""
}

// ownHint returns the hint of one error of a chain. final means that the hints of the causes
// don't count.
func ownHint(err error) (hint string, final bool) {
	switch e := err.(type) {
	case *cli.Error:
		return e.Hint, e.Hint != ""
	case *account.Error:
		return e.Hint, e.Hint != ""
	case *session.Error:
		switch {
		case e.Kind == session.KindUnknown:
			return unknownHint(e.Request), true // the cause may advise to try again, which may do it twice
		case e.Hint != "":
			return e.Hint, true
		case e.Kind == session.KindRefused:
			return refusalHint(e), true
		case e.Kind == session.KindTimeout:
			return "give it more time with --timeout", true
		}
	}
	return "", false
}

// statusOf returns the status of the server that refused, or "".
func statusOf(err error) string {
	var e *session.Error
	if errors.As(err, &e) {
		return proto.StatusCode(e.Status)
	}
	return ""
}

// shortening says how to cut a text that is too long. The last character may be cut in two,
// hence --lossy.
const shortening = "shorten a text with `head -c 260000`, or each line with `cut -b -260000`, and give --lossy"

// conferenceRequests are refused with 403 if the user is not in the conference.
var conferenceRequests = []string{proto.TypeSendMessage, proto.TypeGetHistory, proto.TypeGetMembers}

// refusalHint says what to do about a refusal.
func refusalHint(e *session.Error) string {
	kept := "nothing was changed"
	if e.Request == proto.TypeSendMessage {
		kept = "nothing was delivered"
	}
	switch code := proto.StatusCode(e.Status); {
	case code == "404":
		return "find logins with `skaroctl contacts search TEXT`, and conferences with `skaroctl contacts`"
	case code == "403" && slices.Contains(conferenceRequests, e.Request):
		return "ask the administrator to run `skarod conference add NAME LOGIN`"
	case code == "409" && e.Request == proto.TypeSendMessage:
		return "use another key for another text or another recipient"
	case code == "413":
		return "send less: the error names the limit, and `head -c N FILE | skaroctl send --lossy LOGIN` sends a part"
	case !session.Temporary(e):
		return ""
	case code == "429" && e.RetryAfter > 0:
		return fmt.Sprintf("try again in %v: the server is asked for too much at once, and %s", e.RetryAfter, kept)
	case code == "429":
		return "try again in a minute: the server is asked for too much at once, and " + kept
	case e.RetryAfter > 0:
		return fmt.Sprintf("try again in %v: the server can't do it now, and %s", e.RetryAfter, kept)
	}
	return "try again later: the server has failed (its log says why), and " + kept
}
