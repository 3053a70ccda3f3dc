package server

import (
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

// refuseUnauthenticated refuses a login or a registration, and counts it. After MaxRefusals
// the connection ends, so that guessing needs many connections.
func (c *conn) refuseUnauthenticated(status, info string) error {
	c.refusals++
	return refuse(status, "%s", info)
}

// refused counts a login that a limit refuses.
func (c *conn) refused(err error) error {
	c.refusals++
	return err
}

// refuseLogin refuses a login, and logs it. The login is that of an account, or noLogin.
func (c *conn) refuseLogin(login, status, info string) error {
	c.server.bursts.add(burst{"login refused", c.peer.String(), info}, login)
	return c.refuseUnauthenticated(status, info)
}

// logFailure logs an error of the server's own, at most one each second: a full disk fails
// thousands of requests.
func (s *Server) logFailure(request string, err error) {
	now := time.Now().UnixNano()
	if last := s.lastFailure.Load(); now-last > int64(time.Second) && s.lastFailure.CompareAndSwap(last, now) {
		s.o.Log.Error("a request failed", "type", request, "error", err)
	}
}
