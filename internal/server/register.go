package server

import (
	"context"
	"errors"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// The policies of registration, as register_type returns them.
const (
	RegistrationOpen   = "open"
	RegistrationInvite = "invite"
	RegistrationClosed = "closed"
)

func (c *conn) registerType(context.Context, proto.Frame) (map[string]any, error) {
	return map[string]any{"register_type": c.server.o.Registration}, nil
}

// register makes an account. With RegistrationInvite that takes an invitation. The client
// sends the token, not the password (docs/protocol.md, "register").
func (c *conn) register(_ context.Context, f proto.Frame) (map[string]any, error) {
	s := c.server
	if s.o.Registration == RegistrationClosed {
		return nil, c.refuseUnauthenticated(proto.StatusForbidden, "only the administrator of this server makes accounts")
	}
	form, ok := f.Map("form")
	if !ok {
		return nil, refuse(proto.StatusBadRequest, "form must be a map with login and token")
	}
	given, ok := form.ExactText("login")
	if !ok {
		return nil, refuse(proto.StatusBadRequest, "form.login must be text")
	}
	login, err := store.Login(given)
	if err != nil {
		return nil, refuse(proto.StatusBadRequest, "%v", err)
	}
	token, err := proto.ParseToken(form.Text("token"))
	if err != nil {
		return nil, refuse(proto.StatusBadRequest, "form.token: %v", err)
	}
	if s.o.Registration == RegistrationInvite {
		code, _ := form.ExactText("invite")
		if code == "" {
			return nil, c.refuseUnauthenticated(proto.StatusForbidden, "an account needs an invitation")
		}
		err = s.o.Store.Redeem(code, login, token, s.o.Clock())
	} else {
		if wait := s.waitToRegister(); wait > 0 {
			return nil, tooManyAccounts(wait)
		}
		err = s.o.Store.AddUser(login, token, s.o.Clock())
	}
	switch {
	case errors.Is(err, store.ErrNoInvite):
		return nil, c.refuseUnauthenticated(proto.StatusForbidden, "the invitation is wrong, was used, or has expired")
	case errors.Is(err, store.ErrTaken), errors.Is(err, store.ErrIsConference):
		info := "the login is taken"
		if s.o.Registration == RegistrationInvite {
			info += "; the invitation is still good"
		}
		return nil, c.refuseUnauthenticated(proto.StatusConflict, info)
	case err != nil:
		return nil, err
	}
	s.counter.registered.Add(1)
	s.o.Log.Info("account made", "peer", c.peer.text, "login", login)
	return map[string]any{"user": map[string]any{"login": login}}, nil
}

// waitToRegister returns how long it takes until another account may be made; zero if that
// is now, and counted.
func (s *Server) waitToRegister() time.Duration {
	now := s.o.Clock()
	place := s.registrations.ReserveN(now, 1)
	wait := place.DelayFrom(now)
	if wait > 0 {
		place.CancelAt(now)
	}
	return wait
}
