package session

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// If the SID is refused, the token logs in on the same connection, and a request that was
// refused meanwhile is sent again.
func TestTokenFollowsRefusedSID(t *testing.T) {
	for _, order := range []string{"the request's reply first", "the login's reply first"} {
		t.Run(order, func(t *testing.T) {
			url := serve(t, func(p *peer) {
				p.greet()
				restore := p.expect(proto.TypeSessionRestore)
				if restore.Text("sid") != "old-sid" {
					t.Error(restore.Describe())
				}
				first := p.expect(proto.TypeSendMessage)
				p.reply(restore, proto.StatusGone, map[string]any{"info": "too old"})
				if order == "the request's reply first" {
					p.reply(first, proto.StatusUnauthorized, nil)
				}
				p.welcome(p.expect(proto.TypeAuthorize))
				if order == "the login's reply first" {
					p.reply(first, proto.StatusForbidden, nil)
				}
				p.reply(p.expect(proto.TypeSendMessage), proto.StatusOK, map[string]any{"message_id": 9})
			})
			ctx, s := open(t, url, withSID)
			if sent, err := sendHi(ctx, s); err != nil || sent.ID != 9 {
				t.Errorf("%+v, %v", sent, err)
			}
			if a, err := s.Account(ctx); err != nil || a.Restored || a.SID != "sid-1" {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

// If both the credentials and the connection fail, the error of the credentials is returned,
// whichever came first.
func TestErrorOfCredentialsCountsMore(t *testing.T) {
	none := errors.New("not logged in")
	for range 20 {
		_, err := Open(bounded(t), Endpoint{URL: "ws://127.0.0.1:1"}, func(context.Context) (Credentials, error) { return Credentials{}, none }, nil)
		if !errors.Is(err, none) {
			t.Fatal(err)
		}
	}
}

func TestEveryWaitEndsWithContext(t *testing.T) {
	ended := TimedOut(7 * time.Second)
	for name, script := range map[string]func(p *peer, over func()){
		"before the greeting": func(p *peer, over func()) { over(); p.recv() },
		"before the login":    func(p *peer, over func()) { p.greet(); p.recv(); over(); p.recv() },
		"before the reply": func(p *peer, over func()) {
			p.login()
			p.expect(proto.TypeGetContacts)
			over()
			p.recv()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(bounded(t))
			url := serve(t, func(p *peer) { script(p, func() { cancel(ended) }) })
			s, err := Open(ctx, Endpoint{URL: url}, withToken, nil)
			if err == nil {
				_, err = s.Contacts(ctx)
				s.Close()
			}
			if !isKind(err, KindTimeout) || !strings.Contains(err.Error(), "7s") {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

func TestSilentServerDoesNotDelayErrorOfCredentials(t *testing.T) {
	reached := make(chan struct{})
	address := speak(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		close(reached)
		_, _ = io.Copy(io.Discard, c)
	})
	none := errors.New("not logged in")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := Open(ctx, Endpoint{URL: "ws://" + address}, func(context.Context) (Credentials, error) {
		within(t, reached)
		return Credentials{}, none
	}, nil)
	if !errors.Is(err, none) {
		t.Fatalf("got %v", err)
	}
}

// What a login has may have a length, and no more: the SID is stored and sent again.
func TestLoginFieldsHaveBoundedLengths(t *testing.T) {
	for name, c := range map[string]struct {
		challenge, sid, login int
		err                   string
	}{
		"as long as possible": {proto.MaxChallenge, proto.MaxSID, proto.MaxLogin, ""},
		"challenge":           {proto.MaxChallenge + 1, 1, 1, "the challenge has 4097 bytes, and 4096 at most are expected"},
		"SID":                 {1, proto.MaxSID + 1, 1, "the SID has 4097 bytes, and 4096 at most are expected"},
		"login":               {1, 1, proto.MaxLogin + 1, "the login has 257 bytes, and 256 at most are expected"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(p *peer) {
				p.send(map[string]any{"type": proto.TypeGreeting, "token": strings.Repeat("T", c.challenge)})
				if f, ok := p.recv(); ok {
					p.reply(f, proto.StatusOK, map[string]any{"session_id": strings.Repeat("S", c.sid), "user": map[string]any{"login": strings.Repeat("L", c.login)}})
					p.recv()
				}
			})
			err := logIn(t, Endpoint{URL: url})
			if c.err == "" && err != nil || c.err != "" && (!isKind(err, KindProtocol) || !strings.HasSuffix(err.Error(), c.err)) {
				t.Errorf("%v, want %q", err, c.err)
			}
		})
	}
}

// A SID that no server gives is not sent: an earlier version may have stored it.
func TestTokenReplacesSIDThatIsTooLong(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet()
		p.welcome(p.expect(proto.TypeAuthorize))
		p.recv()
	})
	ctx, s := open(t, url, func(context.Context) (Credentials, error) {
		return Credentials{Login: "alice", Token: token, SID: strings.Repeat("S", proto.MaxSID+1)}, nil
	})
	if a, err := s.Account(ctx); err != nil || a.Restored || a.SID != "sid-1" {
		t.Errorf("%+v, %v", a, err)
	}
}
