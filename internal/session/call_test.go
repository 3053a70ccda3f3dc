package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Each call gets its own reply if the server answers in the opposite order.
func TestRepliesMayComeInAnyOrder(t *testing.T) {
	const n = 50
	url := serve(t, func(p *peer) {
		p.login()
		var requests []proto.Frame
		for range n {
			requests = append(requests, p.expect("echo"))
		}
		for i := n - 1; i >= 0; i-- {
			p.reply(requests[i], proto.StatusOK, map[string]any{"back": requests[i].Text("word")})
		}
	})
	ctx, s := open(t, url, withToken)
	var wg sync.WaitGroup
	for i := range n {
		word := fmt.Sprint(i)
		wg.Go(func() {
			r, err := s.Do(ctx, proto.Request{Type: "echo", Fields: map[string]any{"word": word}})
			if err != nil || r.Fields.Text("back") != word {
				t.Errorf("%s: %v, %v", word, r, err)
			}
		})
	}
	wg.Wait()
}

// A request leaves right after the login, so that both take one round trip.
func TestRequestLeavesBeforeLoginIsConfirmed(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet()
		auth := p.expect(proto.TypeSessionRestore)
		send := p.expect(proto.TypeSendMessage) // nothing was answered yet
		p.welcome(auth)
		p.reply(send, proto.StatusOK, nil)
	})
	ctx, s := open(t, url, withSID)
	if _, err := sendHi(ctx, s); err != nil {
		t.Error(err)
	}
	if a, _ := s.Account(ctx); !a.Restored {
		t.Error("the SID was not enough")
	}
}

// A refusal of the request, or of the login before it, means "not delivered"; no answer
// means "unknown".
func TestWaitTellsRefusedFromUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		credentials func(context.Context) (Credentials, error)
		script      func(p *peer)
		check       func(err error) bool
	}{
		"wrong token": {withToken, func(p *peer) {
			p.reply(p.expect(proto.TypeAuthorize), proto.StatusUnauthorized, map[string]any{"info": "no"})
			p.reply(p.expect(proto.TypeSendMessage), proto.StatusUnauthorized, nil)
		}, func(err error) bool {
			return KindOf(err) == KindAuth && strings.Contains(err.Error(), "alice") && strings.Contains(err.Error(), "no")
		}},
		"refused SID, no token": {func(context.Context) (Credentials, error) { return Credentials{SID: "x"}, nil }, func(p *peer) {
			p.reply(p.expect(proto.TypeSessionRestore), proto.StatusGone, nil)
		}, func(err error) bool {
			return KindOf(err) == KindAuth && strings.Contains(err.Error(), "session can't be restored")
		}},
		"unknown recipient": {withToken, func(p *peer) {
			p.welcome(p.expect(proto.TypeAuthorize))
			p.reply(p.expect(proto.TypeSendMessage), proto.StatusNotFound, map[string]any{"info": `no user "bob"`})
		}, func(err error) bool {
			return KindOf(err) == KindRefused && statusOf(err) == proto.StatusNotFound
		}},
		"refused once logged in": {withToken, func(p *peer) {
			// A 403 may mean "not yet logged in": the request is sent a second time, and not a third time.
			p.welcome(p.expect(proto.TypeAuthorize))
			p.reply(p.expect(proto.TypeSendMessage), proto.StatusForbidden, nil)
			if f, ok := p.recv(); ok {
				p.reply(f, proto.StatusForbidden, nil)
			}
			if f, ok := p.recv(); ok {
				t.Errorf("asked for a third time: %s", f.Describe())
			}
		}, func(err error) bool {
			return KindOf(err) == KindRefused && statusOf(err) == proto.StatusForbidden
		}},
		"connection lost after the send": {withToken, func(p *peer) {
			p.welcome(p.expect(proto.TypeAuthorize))
			p.expect(proto.TypeSendMessage)
		}, func(err error) bool {
			return isKind(err, KindUnknown) && isKind(err, KindUnreachable) && strings.Contains(err.Error(), "lost the connection")
		}},
		"connection lost before the login was answered": {withToken, func(p *peer) {
			p.expect(proto.TypeAuthorize)
			p.expect(proto.TypeSendMessage)
		}, func(err error) bool { return KindOf(err) == KindUnknown }},
		"a reply without a status": {withToken, func(p *peer) {
			p.welcome(p.expect(proto.TypeAuthorize))
			p.reply(p.expect(proto.TypeSendMessage), "", nil)
		}, func(err error) bool {
			return isKind(err, KindUnknown) && isKind(err, KindProtocol)
		}},
		"garbage instead of the reply": {withToken, func(p *peer) {
			p.welcome(p.expect(proto.TypeAuthorize))
			p.expect(proto.TypeSendMessage)
			_ = p.ws.Write(context.Background(), websocket.MessageBinary, []byte("<html>"))
		}, func(err error) bool {
			return isKind(err, KindUnknown) && isKind(err, KindProtocol)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(p *peer) { p.greet(); c.script(p) })
			ctx, s := open(t, url, c.credentials)
			_, err := sendHi(ctx, s)
			if !c.check(err) {
				t.Errorf("%T: %v", err, err)
			}
			s.Close()
		})
	}
}

// A confirmation that has arrived counts even if its caller was interrupted meanwhile:
// otherwise the user would send the message a second time.
func TestReplyCountsAfterContextEnded(t *testing.T) {
	const count = 20
	url := serve(t, func(p *peer) {
		p.login()
		for range count {
			p.reply(p.expect(proto.TypeSendMessage), proto.StatusOK, map[string]any{"message_id": 1})
		}
		p.reply(p.expect(proto.TypeGetContacts), proto.StatusOK, map[string]any{"data": []any{}})
		p.recv()
	})
	ctx, s := open(t, url, withToken)
	var calls []*Call
	for range count {
		calls = append(calls, s.Start(ctx, proto.SendMessage("bob", "hi", "", "")))
	}
	if _, err := s.Contacts(ctx); err != nil { // answered in order, so that the messages have their replies
		t.Fatal(err)
	}
	interrupted, interrupt := context.WithCancel(ctx)
	interrupt()
	for i, c := range calls {
		if _, err := c.Wait(interrupted); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// If a request that changes something is sent and not answered, its effect is unknown.
func TestUnansweredChangeIsUnknown(t *testing.T) {
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

// A refused request and a refused login both mean that nothing was done.
func TestRefusedChangeHadNoEffect(t *testing.T) {
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

// The number of a reply may be ours by a mistake of the server: then it says nothing about
// our request.
func TestReplyForAnotherRequestIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		reply any
		ok    bool
	}{
		"our request": {proto.TypeGetContacts, true}, "another": {proto.TypeGetHistory, false}, "no text": {7, true}, "empty": {"", true},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(p *peer) {
				p.login()
				p.reply(p.expect(proto.TypeGetContacts), proto.StatusOK, map[string]any{"for": c.reply, "data": []any{}})
				p.reply(p.expect(proto.TypeSendMessage), proto.StatusOK, map[string]any{"for": proto.TypeGetContacts})
				p.recv()
			})
			ctx, s := open(t, url, withToken)
			_, err := s.Contacts(ctx)
			if c.ok != (err == nil) || !c.ok && (!isKind(err, KindProtocol) || !strings.Contains(err.Error(), `it is for "get_history", and not for "get_contacts"`)) {
				t.Error(err)
			}
			if _, err := sendHi(ctx, s); KindOf(err) != KindUnknown || !isKind(err, KindProtocol) {
				t.Errorf("a message whose reply is for another request: %v", err)
			}
		})
	}
	url := serve(t, func(p *peer) {
		p.greet()
		p.reply(p.expect(proto.TypeAuthorize), proto.StatusOK, map[string]any{"for": proto.TypeGetContacts})
		p.recv()
	})
	if err := logIn(t, Endpoint{URL: url}); !isKind(err, KindProtocol) {
		t.Errorf("a login: %v", err)
	}
}
