package server

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

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
		return nil, c.refuseRegistration(proto.StatusForbidden, "only the administrator of this server makes accounts")
	}
	if err := s.checkSpace(); err != nil {
		return nil, err
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
			return nil, c.refuseRegistration(proto.StatusForbidden, "an account needs an invitation")
		}
		if refused := c.try(invitations, func() bool {
			err = s.o.Store.Redeem(code, login, token, s.o.Clock())
			return errors.Is(err, store.ErrNoInvite)
		}); refused != nil {
			return nil, c.refused(eventRegistrationRefused, "", refused)
		}
	} else {
		if err := s.registrations.take(c.peer.address, s.o.Clock()); err != nil {
			s.bursts.add(burst{eventRegistrationRefused, c.peer.String(), reasonOf(err)}, "")
			return nil, err
		}
		err = s.o.Store.AddUser(login, token, s.o.Clock())
	}
	switch {
	case errors.Is(err, store.ErrNoInvite):
		return nil, c.refuseRegistration(proto.StatusForbidden, "the invitation is wrong, was used, or has expired")
	case errors.Is(err, store.ErrTaken), errors.Is(err, store.ErrIsConference):
		info := "the login is taken"
		if s.o.Registration == RegistrationInvite {
			info += "; the invitation is still good"
		}
		return nil, c.refuseRegistration(proto.StatusConflict, info)
	case err != nil:
		return nil, err
	}
	s.counter.registered.Add(1)
	s.o.Log.Info("account made", "peer", c.peer.text, "login", login)
	return map[string]any{"user": map[string]any{"login": login}}, nil
}

// registrations limits the accounts that are made with RegistrationOpen.
type registrations struct {
	o     *Options
	local *rate.Limiter // of clients without an address to limit

	mu        sync.Mutex
	addresses recent[netip.Prefix, *rate.Limiter]
}

func newRegistrations(o *Options) registrations {
	return registrations{o: o, local: perMinute(o.MaxRegistrations), addresses: recent[netip.Prefix, *rate.Limiter]{half: maxTargets}}
}

func perMinute(n int) *rate.Limiter {
	return rate.NewLimiter(rate.Every(time.Minute/time.Duration(n)), n)
}

// take counts an account, or refuses it.
func (r *registrations) take(address netip.Prefix, now time.Time) error {
	name, l := maxRegistrations, r.local
	if address != local {
		r.mu.Lock()
		own := r.addresses.get(address)
		if *own == nil {
			*own = perMinute(r.o.MaxRegistrationsPerAddress)
		}
		name, l = maxRegistrationsPerAddress, *own
		r.mu.Unlock()
	}
	account := l.ReserveN(now, 1)
	wait := account.DelayFrom(now)
	if wait > 0 {
		account.CancelAt(now)
		return tooManyAccounts(wait, r.o.limited(name))
	}
	return nil
}
