package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// refusal is the error of a request that the server answers with a status other than 200.
// Any other error is the server's own fault.
type refusal struct {
	status, info string
	retryAfter   time.Duration // when the client may ask again; zero if that is not known
}

func (r *refusal) Error() string { return r.status + ": " + r.info }

func refuse(status, format string, args ...any) error {
	return &refusal{status: status, info: fmt.Sprintf(format, args...)}
}

var notLoggedIn = &refusal{status: proto.StatusUnauthorized, info: "not logged in on this connection"}

// noUser refuses a request about a user who does not exist. It quotes no more of what was
// given than a login can have.
func noUser(given string) error {
	return refuse(proto.StatusNotFound, "there is no user %.64q", given)
}

// notMember refuses a request of a user who is not in the conference.
func notMember(conference string) error {
	return refuse(proto.StatusForbidden, "you are not in the conference %q: the administrator of the server can add you", conference)
}

// tooManyAccounts refuses an account that would exceed the limit of a minute.
func tooManyAccounts(wait time.Duration, limit string) error {
	return &refusal{proto.StatusTooMany, "too many new accounts at once: " + limit, wait}
}

// refused counts a login or a registration that is refused, and logs it. After MaxRefusals the
// connection ends, so that guessing needs many connections. The login may be empty.
func (c *conn) refused(event, login string, err error) error {
	c.refusals++
	c.server.bursts.add(burst{event, c.peer.String(), reasonOf(err)}, login)
	return err
}

// Events of the log.
const (
	eventLoginRefused        = "login refused"
	eventRegistrationRefused = "registration refused"
	eventConnectionRefused   = "connection refused"
	eventNotAccepted         = "no connection accepted"
	eventMessageWaits        = "message waits"
	eventSessionForgotten    = "session forgotten"
	eventConnectionEnded     = "connection ended by the server"
)

// tooManyRefusals is the reason for the end of a connection. Each refusal is in the log.
const tooManyRefusals = "too many refusals"

// reasonOf returns the reason of a refusal for the log.
func reasonOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.info
	}
	return err.Error()
}

// refuseRegistration refuses a registration, and logs it. The log does not have the login,
// which may be a mistyped password.
func (c *conn) refuseRegistration(status, info string) error {
	return c.refused(eventRegistrationRefused, "", refuse(status, "%s", info))
}

// refuseLogin refuses a login, and logs it. The login is that of an account, or noLogin.
func (c *conn) refuseLogin(login, status, info string) error {
	return c.refused(eventLoginRefused, login, refuse(status, "%s", info))
}

// logFailure logs an error of the server's own, at most one each second, with the number of
// those since the last line: a full disk fails thousands of requests.
func (s *Server) logFailure(request string, err error) {
	s.failures.Add(1)
	now := time.Now().UnixNano()
	if last := s.lastFailure.Load(); now-last > int64(time.Second) && s.lastFailure.CompareAndSwap(last, now) {
		s.o.Log.Error("a request failed", "type", request, "count", s.failures.Swap(0), "error", err)
	}
}
