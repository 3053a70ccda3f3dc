package session

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// patience bounds what must happen, on however slow a machine.
const patience = 20 * time.Second

// nowhere is where nobody listens. A port that was free a moment ago, another test may
// have by now.
const nowhere = "127.0.0.1:1"

// peer is one connection as the server sees it, driven by a test's script.
type peer struct {
	t   *testing.T
	ws  *websocket.Conn
	nth int // the number of this connection, from 1
}

// serve runs script for every connection, and returns the URL.
func serve(t *testing.T, script func(p *peer)) string {
	t.Helper()
	var mu sync.Mutex
	var running sync.WaitGroup
	count := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1) // while the server still counts the connection
		defer running.Done()
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		mu.Lock()
		count++
		p := &peer{t: t, ws: ws, nth: count}
		mu.Unlock()
		script(p)
	}))
	t.Cleanup(func() {
		srv.Close()
		running.Wait()
	})
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/skaro_client/"
}

func (p *peer) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// send sends one frame.
func (p *peer) send(fields map[string]any) {
	frame, err := proto.Encode(fields)
	if err != nil {
		p.t.Errorf("peer: %v", err)
		return
	}
	ctx, cancel := p.context()
	defer cancel()
	_ = p.ws.Write(ctx, websocket.MessageBinary, frame) // the client may have gone
}

func (p *peer) greet(extensions ...string) {
	fields := map[string]any{"type": proto.TypeGreeting, "token": "T"}
	if extensions != nil {
		fields["server"], fields["extensions"] = "peer/1", extensions
	}
	p.send(fields)
}

// recv reads one frame; ok is false at the end of the connection.
func (p *peer) recv() (f proto.Frame, ok bool) {
	ctx, cancel := p.context()
	defer cancel()
	_, b, err := p.ws.Read(ctx)
	if err != nil || len(b) == 0 { // empty: the connection ended behind a frame's head
		return nil, false
	}
	f, err = proto.Decode(b)
	if err != nil {
		p.t.Errorf("peer: %v", err)
		return nil, false
	}
	return f, true
}

// expect reads one request of the given type.
func (p *peer) expect(typ string) proto.Frame {
	f, ok := p.recv()
	if !ok {
		p.t.Errorf("peer: the connection ended where %s was expected", typ)
		return proto.Frame{}
	}
	if f.Type() != typ {
		p.t.Errorf("peer: got %s, expected %s", f.Describe(), typ)
	}
	return f
}

// reply answers a request.
func (p *peer) reply(f proto.Frame, status string, fields map[string]any) {
	id, _ := f.Int("on_request")
	m := map[string]any{"type": proto.TypeReply, "for": f.Type(), "id": id, "status": status}
	for k, v := range fields {
		m[k] = v
	}
	p.send(m)
}

// welcome answers a request to log in as alice.
func (p *peer) welcome(f proto.Frame) {
	p.reply(f, proto.StatusOK, map[string]any{"session_id": "sid-1", "user": map[string]any{"login": "alice"}})
}

// login greets, and lets alice in.
func (p *peer) login(extensions ...string) {
	p.greet(extensions...)
	f, ok := p.recv()
	if !ok {
		return
	}
	p.welcome(f)
}

// message is a push.
func message(id int64, from, to, body string) map[string]any {
	m := proto.Message{ID: id, From: from, To: to, Body: body, Date: proto.Date{Time: time.Unix(1479394800+id, 0)}}.Fields()
	m["type"] = proto.TypeShowMessage
	return m
}

var token = proto.NewToken("correct horse")

func withToken(context.Context) (Credentials, error) {
	return Credentials{Login: "alice", Token: token}, nil
}

func withSID(context.Context) (Credentials, error) {
	return Credentials{Login: "alice", Token: token, SID: "old-sid"}, nil
}

// open opens a session that the test closes.
func open(t *testing.T, url string, credentials func(context.Context) (Credentials, error)) (context.Context, *Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := Open(ctx, Endpoint{URL: url}, credentials, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return ctx, s
}

// sendHi sends a message to bob and waits for its confirmation.
func sendHi(ctx context.Context, s *Session) (Sent, error) {
	reply, err := s.Do(ctx, proto.SendMessage("bob", "hi", ""))
	if err != nil {
		return Sent{}, err
	}
	return parseSent(reply, "bob"), nil
}

// isKind reports whether err, or a cause of it, is an error of a kind.
func isKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == kind || isKind(e.Err, kind))
}

// statusOf returns the status of a refusal, and "" of any other error.
func statusOf(err error) string {
	var e *Error
	errors.As(err, &e)
	if e == nil {
		return ""
	}
	return e.Status
}
