package session

import (
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// A request that was sent and not answered: whether it took effect is not known,
// unless it is one that has no effect.
func TestChangeUnanswered(t *testing.T) {
	for typ, unknown := range map[string]bool{
		proto.TypeRegister: true, proto.TypeAddContact: true, proto.TypeDelContact: true, proto.TypeSendMessage: true, "anything": true,
		proto.TypeGetContacts: false, proto.TypeGetUserData: false, proto.TypeSearchContacts: false, proto.TypeRegisterType: false,
	} {
		url := serve(t, func(p *peer) {
			p.login()
			p.expect(typ)
		})
		ctx, s := open(t, url, withToken)
		_, err := s.Do(ctx, proto.Request{Type: typ})
		if isKind(err, KindUnknown) != unknown || !isKind(err, KindUnreachable) {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// A refusal, of the request or of the login, means that nothing was done.
func TestChangeRefused(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet()
		f := p.expect(proto.TypeAuthorize)
		if p.nth == 1 {
			p.welcome(f)
			p.reply(p.expect(proto.TypeAddContact), proto.StatusNotFound, map[string]any{"info": "nobody"})
			return
		}
		p.expect(proto.TypeAddContact)
		p.reply(f, proto.StatusUnauthorized, nil)
	})
	ctx, s := open(t, url, withToken)
	_, err := s.AddContact(ctx, "nobody")
	if KindOf(err) != KindRefused || statusOf(err) != proto.StatusNotFound {
		t.Error(err)
	}
	ctx, s = open(t, url, withToken)
	_, err = s.AddContact(ctx, "bob")
	if !isKind(err, KindAuth) {
		t.Error(err)
	}
}

func TestContactRequests(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login()
		f := p.expect(proto.TypeSearchContacts)
		p.reply(f, "200", map[string]any{"data": []any{map[string]any{"login": "bob", "online": true, "x": 1}}, "more": true})
		p.reply(p.expect(proto.TypeSearchContacts), "200", map[string]any{"data": 5})
		f = p.expect(proto.TypeAddContact)
		p.reply(f, "200", map[string]any{"contact": map[string]any{"login": "bob", "name": "Bob " + f.Text("login")}})
		p.reply(p.expect(proto.TypeAddContact), "200", nil) // another server may say less
		f = p.expect(proto.TypeDelContact)
		if f.Text("login") != "Bob" {
			t.Error(f.Describe())
		}
		p.reply(f, "200", nil)
	})
	ctx, s := open(t, url, withToken)
	found, more, err := s.SearchContacts(ctx, "b")
	if err != nil || !more || len(found) != 1 || found[0].Login != "bob" || !*found[0].Online || found[0].Extra["x"] != uint64(1) {
		t.Errorf("%+v, %v, %v", found, more, err)
	}
	if _, _, err := s.SearchContacts(ctx, "b"); !isKind(err, KindProtocol) {
		t.Error(err)
	}
	if c, err := s.AddContact(ctx, "Bob"); err != nil || c.Login != "bob" || c.Name != "Bob Bob" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := s.AddContact(ctx, "Bob"); err != nil || c.Login != "Bob" {
		t.Errorf("%+v, %v", c, err)
	}
	if err := s.RemoveContact(ctx, "Bob"); err != nil {
		t.Error(err)
	}
}

func TestRegister(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet()
		f := p.expect(proto.TypeRegister)
		form, _ := f.Map("form")
		if f.Text("register_type") != "open" || form.Text("login") != "Alice" || form.Text("token") != token.Text() || form["invite"] != nil {
			t.Error(f.Describe())
		}
		p.reply(f, "200", map[string]any{"user": map[string]any{"login": "alice"}})
		f = p.expect(proto.TypeRegister)
		if form, _ = f.Map("form"); f.Text("register_type") != "invite" || form.Text("invite") != "code" {
			t.Error(f.Describe())
		}
		p.reply(f, "200", nil)
		p.expect(proto.TypeRegister)
	})
	ctx, s := open(t, url, nil)
	if login, err := s.Register(ctx, NewAccount{Login: "Alice", Token: token}); login != "alice" || err != nil {
		t.Error(login, err)
	}
	if login, err := s.Register(ctx, NewAccount{Login: "Alice", Token: token, Invite: "code"}); login != "Alice" || err != nil {
		t.Error(login, err)
	}
	if _, err := s.Register(ctx, NewAccount{Login: "Alice", Token: token}); !isKind(err, KindUnknown) {
		t.Error(err)
	}
}

// A login is looked up where the server can be asked, and only there.
func TestSpelling(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login(proto.ExtUpdates)
		p.reply(p.expect(proto.TypeGetUserData), "200", map[string]any{"user": map[string]any{"login": "bob"}})
		p.reply(p.expect(proto.TypeGetUserData), "200", map[string]any{"user": map[string]any{"login": "bob", "conference": true}})
		p.reply(p.expect(proto.TypeGetUserData), proto.StatusNotFound, nil)
		p.reply(p.expect(proto.TypeGetUserData), proto.StatusForbidden, nil)
		p.reply(p.expect(proto.TypeGetUserData), proto.StatusTooMany, nil)
		p.reply(p.expect(proto.TypeGetUserData), proto.StatusUnknown, nil)
	})
	ctx, s := open(t, url, withToken)
	for _, want := range []struct {
		login      string
		conference bool
		refused    string
	}{{"bob", false, ""}, {"bob", true, ""}, {"BOB", false, proto.StatusNotFound}, {"BOB", false, proto.StatusForbidden}, {"BOB", false, proto.StatusTooMany}, {"BOB", false, ""}} {
		found, err := s.Spelling(ctx, "BOB")
		if found.Login != want.login || found.IsConference() != want.conference || statusOf(err) != want.refused {
			t.Errorf("%+v, %v, not %+v", found, err, want)
		}
	}
	plain := serve(t, func(p *peer) {
		p.login()
		if f, ok := p.recv(); ok {
			t.Errorf("asked a plain server: %s", f.Describe())
		}
	})
	ctx, s = open(t, plain, withToken)
	if found, err := s.Spelling(ctx, "BOB"); found.Login != "BOB" || err != nil {
		t.Error(found, err)
	}
	s.Close()
}
