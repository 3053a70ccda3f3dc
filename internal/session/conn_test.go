package session

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestCloseSendsCloseFrameAndDoesNotWait(t *testing.T) {
	closed := make(chan error, 1)
	release := make(chan struct{})
	url := serve(t, func(p *peer) {
		p.login()
		within(t, release) // it answers the close frame only after Close has returned
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
	if err := within(t, closed); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the server saw %v", err)
	}
}

// Close does not wait for a peer, whatever that has left undone. Here the library has sent a
// close frame already, as it does after a protocol error, and then waits for the rest of a
// frame that never comes.
func TestCloseReturnsThoughPeerNeverAnswers(t *testing.T) {
	said := make(chan struct{})
	address := speak(t, func(c net.Conn) {
		in := handshake(c)
		_, _ = io.WriteString(c, wsFrame(0x82, cbor(t, map[string]any{"type": proto.TypeGreeting, "token": "T"})))
		_, _ = io.WriteString(c, wsFrame(0x82, cbor(t, map[string]any{"type": proto.TypeInfo, "info": "x"})))
		readFrames(in, 1) // the close frame of the library
		_, _ = io.WriteString(c, "\x82\x7fan unfinished frame")
		close(said)
		_, _ = io.Copy(io.Discard, in)
	})
	reading := make(chan struct{})
	s, err := Open(bounded(t), Endpoint{URL: "ws://" + address}, nil, func(_ proto.Frame, closing <-chan struct{}) {
		close(reading)
		<-closing
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, reading)
	closed := make(chan struct{})
	go func() { _ = s.conn.ws.Close(websocket.StatusProtocolError, "") }()
	within(t, said)
	go func() {
		defer close(closed)
		s.Close()
	}()
	within(t, closed)
}

// A request that can't be written ends, though the reader waits for room in the inbox.
func TestSendFailsThoughInboxIsFull(t *testing.T) {
	reading := make(chan struct{})
	s, err := Open(bounded(t), Endpoint{URL: serve(t, func(p *peer) {
		p.greet()
		p.send(map[string]any{"type": proto.TypeInfo, "info": "x"})
		p.recv()
	})}, nil, func(_ proto.Frame, closing <-chan struct{}) {
		close(reading)
		<-closing
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	within(t, reading)
	_ = s.conn.net.SetWriteDeadline(time.Now())
	failed := make(chan error)
	go func() { failed <- s.Start(bounded(t), proto.GetContacts()).Err() }()
	if err := within(t, failed); KindOf(err) != KindUnreachable {
		t.Error(err)
	}
}

// A connection that ends in a message, wherever that is, is lost: what came of the message
// does not count as something that is not Skaro.
func TestTornMessageIsLostConnection(t *testing.T) {
	greeting := cbor(t, map[string]any{"type": proto.TypeGreeting, "token": "T"})
	half := greeting[:len(greeting)/2]
	for name, sent := range map[string]string{
		"in a fragment":            wsFrame(0x02, greeting)[:10],
		"after a fragment":         wsFrame(0x02, half),
		"after two":                wsFrame(0x02, half) + wsFrame(0x00, "x"),
		"after a ping":             wsFrame(0x02, half) + wsFrame(0x89, ""),
		"in the head of the next":  wsFrame(0x02, half) + "\x80",
		"in the length of a large": wsFrame(0x02, half) + "\x80\x7f\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			err := logIn(t, Endpoint{URL: "ws://" + speak(t, func(c net.Conn) {
				handshake(c)
				_, _ = io.WriteString(c, sent)
			})})
			if KindOf(err) != KindUnreachable || !Temporary(err) {
				t.Error(err)
			}
		})
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
	if h, err := historyOf(ctx, s, HistoryRange{}); err != nil || len(h) != 1 || h[0].Body != body {
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
