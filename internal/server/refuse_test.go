package server

import (
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestMaxRefusalsEndTheConnection(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.MaxRefusals = 3 }, "alice")
	c := w.dial()
	for range 3 {
		if r := c.authorize("alice", "wrong"); code(r) != "401" {
			t.Errorf("%s", r.Status)
		}
	}
	c.closed(websocket.StatusPolicyViolation)
}

// However long a login is, the refusal is short.
func TestHugeLoginsGetShortRefusals(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.Registration = RegistrationOpen }, "alice")
	c := w.login("alice")
	huge := strings.Repeat("\x01", 256<<10)
	for typ, status := range map[string]string{
		proto.TypeAuthorize: "401", proto.TypeGetHistory: "404", proto.TypeGetUserData: "404", proto.TypeAddContact: "404", proto.TypeDelContact: "404",
		proto.TypeSendMessage: "404", proto.TypeRegister: "400",
	} {
		r := c.request(typ, map[string]any{"login": huge, "to": huge, "body": "x", "form": map[string]any{"login": huge}})
		if code(r) != status || len(r.Info) > 1000 {
			t.Errorf("%s: %s, and %d bytes of why", typ, r.Status, len(r.Info))
		}
	}
	if r := c.request(huge, nil); code(r) != "501" || len(r.Info) > 1000 {
		t.Errorf("a huge request: %s, and %d bytes of why", r.Status, len(r.Info))
	}
	c.quiet()
}

// Nothing secret is in the log, not even a password typed as a login.
func TestLogHasNoSecrets(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	c := w.dial()
	c.authorize("hunter2", "x")
	answer := newToken("secret of alice").Answer(c.greeting.Challenge)
	sid := c.authorize("alice", "secret of alice").Fields.Text("session_id")
	c.send("alice", "the body")
	w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid})
	w.dial().request(proto.TypeSessionRestore, map[string]any{"sid": sid[1:]})
	w.stop()
	log := w.log.String()
	for _, secret := range []string{"hunter2", answer, c.greeting.Challenge, sid[1:], "the body", "secret of"} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	for _, word := range []string{"login refused", `reason="wrong login or password"`, "logged in", "connection ended", "login=alice"} {
		if !strings.Contains(log, word) {
			t.Errorf("%q is not in the log:\n%s", word, log)
		}
	}
}

// The log says why a login was refused.
func TestRefusedLoginIsLogged(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	c := w.dial()
	for _, x := range []struct {
		ask    func() proto.Reply
		reason string
	}{
		{func() proto.Reply { return c.authorize("nobody", "x") }, `reason="wrong login or password"`},
		{func() proto.Reply { return c.authorize("alice", "x") }, `reason="wrong login or password"`},
		{func() proto.Reply { return c.request(proto.TypeSessionRestore, map[string]any{"sid": "x"}) }, `reason="the session can't be restored"`},
	} {
		before := len(w.log.String())
		r := x.ask()
		line := w.log.String()[before:]
		if r.OK() || strings.Count(line, "\n") != 1 || !strings.Contains(line, `msg="login refused" peer=127.0.0.1:`) || !strings.HasSuffix(line, " "+x.reason+"\n") {
			t.Errorf("%s: %s", r.Status, line)
		}
	}
}
