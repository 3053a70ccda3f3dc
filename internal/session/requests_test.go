package session

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestRequestsReturnWhatServerSays(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet()
		f := p.expect(proto.TypeAuthorize)
		if f.Text("login") != "alice" || f.Text("password") != token.Answer("T") {
			t.Errorf("authorize: %v", f.Describe())
		}
		p.welcome(f)
		p.send(message(0, "bob", "alice", "a push in between"))
		p.send(map[string]any{"type": "never heard of"})
		p.reply(p.expect(proto.TypeGetContacts), proto.StatusOK, map[string]any{"data": []any{map[string]any{"login": "bob"}}})
		f = p.expect(proto.TypeGetHistory)
		if f.Text("login") != "bob" || f.Has("limit") {
			t.Errorf("history of a plain server: %v", f.Describe())
		}
		p.reply(f, proto.StatusOK, map[string]any{"history": []any{message(0, "bob", "alice", "1"), message(0, "alice", "bob", "2")}})
		f = p.expect(proto.TypeSendMessage)
		if f.Text("to") != "bob" || f.Text("body") != "hi" {
			t.Errorf("send: %v", f.Describe())
		}
		p.reply(f, "200", map[string]any{"date": 1479394800, "message_id": 7, "more": "x"})
		p.reply(p.expect(proto.TypeSendMessage), "200", map[string]any{"message_id": "7th", "info": "queued", "session_id": "sid-1"})
		p.reply(p.expect(proto.TypeRegisterType), proto.StatusOK, map[string]any{"register_type": "by invitation"})
		p.reply(p.expect("get_user_data"), "501 Not Implemented", map[string]any{"info": "no"})
	})
	ctx, s := open(t, url, withToken)
	account, err := s.Account(ctx)
	if want := (Account{Login: "alice", SID: "sid-1"}); err != nil || !reflect.DeepEqual(account, want) {
		t.Errorf("account: %+v, %v", account, err)
	}
	if c, err := s.Contacts(ctx); err != nil || len(c) != 1 || c[0].Login != "bob" {
		t.Errorf("contacts: %+v, %v", c, err)
	}
	if h, err := historyOf(ctx, s, HistoryRange{}); err != nil || len(h) != 2 || h[1].Body != "2" {
		t.Errorf("history: %+v, %v", h, err)
	}
	sent, err := sendHi(ctx, s)
	want := Sent{ID: 7, Date: proto.Date{Time: time.Unix(1479394800, 0).UTC()}, To: "bob", Extra: proto.ExtraOf(map[string]any{"more": "x"})}
	if err != nil || !reflect.DeepEqual(sent, want) {
		t.Errorf("sent: %+v, %v", sent, err)
	}
	// Extra has every other field of the reply, except for a SID.
	sent, err = sendHi(ctx, s)
	if want := map[string]any{"message_id": "7th", "info": "queued"}; err != nil || !reflect.DeepEqual(sent.Extra.Values(), want) {
		t.Errorf("sent: %+v, %v", sent, err)
	}
	if policy, err := s.RegisterType(ctx); err != nil || policy != "invite" {
		t.Errorf("register_type: %q, %v", policy, err)
	}
	if _, err := s.Do(ctx, proto.Request{Type: "get_user_data"}); KindOf(err) != KindRefused || !strings.HasSuffix(err.Error(), ": no") || statusOf(err) == "" {
		t.Errorf("refused: %v", err)
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
		p.reply(p.expect(proto.TypeAddContact), "200", nil) // a server may say less
		f = p.expect(proto.TypeDelContact)
		if f.Text("login") != "Bob" {
			t.Error(f.Describe())
		}
		p.reply(f, "200", nil)
		p.reply(p.expect(proto.TypeDelContact), "200", map[string]any{"contact": map[string]any{"login": "bob"}})
	})
	ctx, s := open(t, url, withToken)
	found, more, err := s.SearchContacts(ctx, "b")
	if err != nil || !more || len(found) != 1 || found[0].Login != "bob" || !*found[0].Online || found[0].Extra.Values()["x"] != uint64(1) {
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
	for _, want := range []string{"Bob", "bob"} {
		if login, err := s.RemoveContact(ctx, "Bob"); err != nil || login != want {
			t.Errorf("%q, %v", login, err)
		}
	}
}

func TestRegister(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet()
		f := p.expect(proto.TypeRegister)
		form, _ := f.Map("form")
		if f.Text("register_type") != "open" || form.Text("login") != "Alice" || form.Text("token") != token.Text() || form.Has("invite") {
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

// A login is looked up only if the server has extensions.
func TestSpellingAsksOnlyServersThatCanTell(t *testing.T) {
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
