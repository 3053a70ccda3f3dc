package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// form is the form of a register request.
func form(login, password, invite string) map[string]any {
	f := map[string]any{"login": login, "token": newToken(password).Text()}
	if invite != "" {
		f["invite"] = invite
	}
	return map[string]any{"register_type": "open", "form": f}
}

func TestOpenRegistrationIsLimited(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.Registration = RegistrationOpen; o.MaxRegistrations = 3 }, "alice")
	c := w.dial()
	for _, x := range []struct {
		fields map[string]any
		status string
	}{
		{nil, "400"},
		{map[string]any{"form": "login"}, "400"},
		{map[string]any{"form": map[string]any{"login": "bob"}}, "400"},
		{map[string]any{"form": map[string]any{"token": newToken("x").Text()}}, "400"},
		{map[string]any{"form": map[string]any{"login": "bob", "token": "x"}}, "400"},
		{form("a b", "x", ""), "400"},
		{form("a,b", "x", ""), "400"},
		{form("-a", "x", ""), "400"},
		{form("Alice", "x", ""), "409"},
		{form("Bob", "x", ""), "200"},
		{form("bob", "y", ""), "409"},
		{form("carol", "x", ""), "429"},
	} {
		if r := c.request(proto.TypeRegister, x.fields); code(r) != x.status {
			t.Errorf("%v: %s", x.fields, r.Fields.Describe())
		}
	}
	if r := c.request(proto.TypeRegister, form("carol", "x", "")); r.RetryAfter() != 20*time.Second {
		t.Errorf("the wait for another place is %v: %s", r.RetryAfter(), r.Fields.Describe())
	}
	w.clock.Add(20 * time.Second)
	if r := c.request(proto.TypeRegister, form("carol", "x", "")); !r.OK() {
		t.Error(r.Status)
	}
	if r := c.authorize("bob", "y"); code(r) != "401" {
		t.Errorf("the second registration replaced the first: %s", r.Status)
	}
	if r := c.authorize("bob", "x"); !r.OK() {
		t.Error(r.Status)
	}
	if strings.Contains(w.log.String(), newToken("x").Text()) {
		t.Error("the token is in the log")
	}
}

func TestInvitationMakesOneAccount(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.Registration = RegistrationInvite }, "alice")
	invite, err := w.store.CreateInvite(w.clock.Now(), w.clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c := w.dial()
	for _, x := range []struct {
		fields       map[string]any
		status, info string
	}{
		{form("bob", "x", ""), "403", "an account needs an invitation"},
		{form("bob", "x", "wrong"), "403", "the invitation is wrong, was used, or has expired"},
		{form("alice", "x", invite), "409", "the login is taken; the invitation is still good"},
		{form("bob", "x", invite), "200", ""},
		{form("carol", "x", invite), "403", "the invitation is wrong, was used, or has expired"},
	} {
		if r := c.request(proto.TypeRegister, x.fields); code(r) != x.status || r.Fields.Text("info") != x.info {
			t.Errorf("%v: %s", x.fields, r.Fields.Describe())
		}
	}
	if r := c.authorize("bob", "x"); !r.OK() {
		t.Error(r.Status)
	}
	guesser := w.dial()
	for range w.options.MaxRefusals {
		guesser.request(proto.TypeRegister, form("dave", "x", "wrong"))
	}
	guesser.closed(websocket.StatusPolicyViolation)
	if strings.Contains(w.log.String(), invite) {
		t.Error("the invitation is in the log")
	}
}

func TestClosedRegistrationTakesNoInvitation(t *testing.T) {
	w := newTestServer(t, nil)
	invite, err := w.store.CreateInvite(w.clock.Now(), w.clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if r := w.dial().request(proto.TypeRegister, form("bob", "x", invite)); code(r) != "403" {
		t.Error(r.Status)
	}
}

// One address that makes accounts leaves the others their share. Clients that share a loopback
// address have one share.
func TestRegistrationIsLimitedByAddress(t *testing.T) {
	w := newTestServer(t, func(o *Options) {
		behindProxy(o)
		o.Registration, o.MaxRegistrationsPerAddress, o.MaxRegistrations = RegistrationOpen, 2, 3
	})
	made := 0
	register := func(c *client) proto.Reply {
		made++
		return c.request(proto.TypeRegister, form(fmt.Sprintf("user%d", made), "x", ""))
	}
	for _, x := range []struct {
		address, limit string
		accounts       int
	}{
		{"203.0.113.7", "max-registrations-per-address is 2", 2},
		{"203.0.113.8", "max-registrations-per-address is 2", 2},
		{"", "max-registrations is 3", 3},
		{"2001:db8::1", "max-registrations-per-address is 2", 2},
	} {
		c := w.dialFrom(x.address)
		for range x.accounts {
			if r := register(c); !r.OK() {
				t.Errorf("%s: %s", x.address, r.Fields.Describe())
			}
		}
		if r := register(c); code(r) != "429" || !strings.Contains(r.Info, "too many new accounts at once: "+x.limit+";") || r.RetryAfter() != time.Minute/time.Duration(x.accounts) {
			t.Errorf("%s: %s", x.address, r.Fields.Describe())
		}
	}
}

// Guessing invitations is delayed like guessing passwords, also from a loopback address.
func TestGuessedInvitationsAreDelayed(t *testing.T) {
	w := newTestServer(t, func(o *Options) { behindProxy(o); o.Registration = RegistrationInvite })
	for _, address := range []string{"203.0.113.7", ""} {
		guesser := w.dialFrom(address)
		for range 10 {
			if r := guesser.request(proto.TypeRegister, form("bob", "x", "wrong")); code(r) != "403" {
				t.Error(r.Fields.Describe())
			}
		}
		guesser.closed(websocket.StatusPolicyViolation)
		if delays := w.delays(); len(delays) != 7 || delays[6] != w.options.LoginDelay {
			t.Errorf("from %q: %v", address, delays)
		}
	}
	invite, err := w.store.CreateInvite(w.clock.Now(), w.clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if r := w.dialFrom("203.0.113.8").request(proto.TypeRegister, form("bob", "x", invite)); !r.OK() || len(w.delays()) != 0 {
		t.Errorf("from another address: %s", r.Fields.Describe())
	}
}
