package session

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestCloseSendsCloseFrameAndDoesNotWait(t *testing.T) {
	closed := make(chan error, 1)
	release := make(chan struct{})
	url := serve(t, func(p *peer) {
		p.login()
		<-release // it answers the close frame only after Close has returned
		ctx, cancel := p.context()
		defer cancel()
		_, _, err := p.ws.Read(ctx)
		closed <- err
	})
	ctx, s := open(t, url, withToken)
	if _, err := s.Account(ctx); err != nil {
		t.Fatal(err)
	}
	s.Close()
	close(release)
	if err := <-closed; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the server saw %v", err)
	}
}

// A reply may be larger than the library's own limit.
func TestLargeReplyComesThrough(t *testing.T) {
	body := strings.Repeat("ж", 1<<20)
	url := serve(t, func(p *peer) {
		p.login()
		p.reply(p.expect(proto.TypeGetHistory), proto.StatusOK, map[string]any{"history": []any{message(0, "bob", "alice", body)}})
	})
	ctx, s := open(t, url, withToken)
	if h, err := s.History(ctx, "bob", HistoryRange{}); err != nil || len(h) != 1 || h[0].Body != body {
		t.Errorf("%d messages, %v", len(h), err)
	}
}

func TestTraceHidesSecrets(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet()
		p.reply(p.expect(proto.TypeSessionRestore), proto.StatusGone, nil)
		p.welcome(p.expect(proto.TypeAuthorize))
		p.reply(p.expect(proto.TypeGetContacts), proto.StatusOK, map[string]any{"data": []any{}})
	})
	var mu sync.Mutex
	var trace strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := Open(ctx, Endpoint{URL: url, Trace: func(line string) {
		mu.Lock()
		defer mu.Unlock()
		trace.WriteString(line + "\n")
	}}, withSID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Account(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Contacts(ctx); err != nil {
		t.Error(err)
	}
	s.Close()
	for _, secret := range []string{"old-sid", "sid-1", token.Answer("T"), token.Text()} {
		if strings.Contains(trace.String(), secret) {
			t.Errorf("the trace shows %q:\n%s", secret, &trace)
		}
	}
	for _, want := range []string{"> {\"type\": \"authorize\"", "< {\"type\": \"request\"", "connected to", "logged in as alice with the token"} {
		if !strings.Contains(trace.String(), want) {
			t.Errorf("the trace lacks %q:\n%s", want, &trace)
		}
	}
}
