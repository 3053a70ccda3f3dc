package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestRequests(t *testing.T) {
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
		if f.Text("login") != "bob" || f["limit"] != nil {
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
	if h, err := s.History(ctx, "bob", HistoryRange{}); err != nil || len(h) != 2 || h[1].Body != "2" {
		t.Errorf("history: %+v, %v", h, err)
	}
	sent, err := sendHi(ctx, s)
	want := Sent{ID: 7, Date: proto.Date{Time: time.Unix(1479394800, 0).UTC()}, To: "bob", Extra: map[string]any{"more": "x"}}
	if err != nil || !reflect.DeepEqual(sent, want) {
		t.Errorf("sent: %+v, %v", sent, err)
	}
	// Whatever else the server says is there, but for a SID.
	sent, err = sendHi(ctx, s)
	if want := map[string]any{"message_id": "7th", "info": "queued"}; err != nil || !reflect.DeepEqual(sent.Extra, want) {
		t.Errorf("sent: %+v, %v", sent, err)
	}
	if policy, err := s.RegisterType(ctx); err != nil || policy != "invite" {
		t.Errorf("register_type: %q, %v", policy, err)
	}
	if _, err := s.Do(ctx, proto.Request{Type: "get_user_data"}); KindOf(err) != KindRefused || !strings.HasSuffix(err.Error(), ": no") || statusOf(err) == "" {
		t.Errorf("refused: %v", err)
	}
}

// TestRepliesInAnyOrder: replies come in the opposite order of the requests.
func TestRepliesInAnyOrder(t *testing.T) {
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

// TestOneRoundTrip: the request leaves with the authentication, before its answer.
func TestOneRoundTrip(t *testing.T) {
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

// TestRefusedSID: the token takes over on the same connection, and a request that
// was refused meanwhile is sent again.
func TestRefusedSID(t *testing.T) {
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

// TestRefusals: which error comes of what the server refuses. A refused login
// makes a message that left with it "not delivered", never "unknown".
func TestRefusals(t *testing.T) {
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
			// A 403 may mean "not yet logged in": it is asked once more, and no more.
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

// TestNotSkaro: what is not a Skaro server, and what the error says was seen.
func TestNotSkaro(t *testing.T) {
	for name, c := range map[string]struct {
		script func(p *peer)
		saw    string
	}{
		"text":     {func(p *peer) { _ = p.ws.Write(context.Background(), websocket.MessageText, []byte("hello there")) }, `text message, "hello there"`},
		"garbage":  {func(p *peer) { _ = p.ws.Write(context.Background(), websocket.MessageBinary, []byte{0xff}) }, "byte 0xff"},
		"no map":   {func(p *peer) { _ = p.ws.Write(context.Background(), websocket.MessageBinary, []byte{0x81, 0x01}) }, "a CBOR map"},
		"push":     {func(p *peer) { p.send(map[string]any{"type": "info", "info": "hi"}) }, `its type is "info"`},
		"no token": {func(p *peer) { p.send(map[string]any{"type": proto.TypeGreeting}) }, "no challenge"},
		"bad reply": {func(p *peer) {
			p.login()
			p.send(map[string]any{"type": proto.TypeReply})
			p.recv()
		}, "a reply has no id"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, c.script)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			s, err := Open(ctx, Endpoint{URL: url}, withToken, nil)
			if err == nil {
				_, err = s.Contacts(ctx)
				s.Close()
			}
			if !isKind(err, KindProtocol) || !strings.Contains(err.Error(), c.saw) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

// TestNotWebSocket: servers that answer the handshake with something else.
func TestNotWebSocket(t *testing.T) {
	answer := func(status int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set("Location", header)
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, c := range map[string]struct {
		handler  http.HandlerFunc
		protocol bool
		says     string
	}{
		"not found":       {answer(404, "", "<h1>nothing\nhere"), true, `404 Not Found and "<h1>nothing"`},
		"plain page":      {answer(200, "", ""), true, "200 OK"},
		"redirect":        {answer(302, "wss://elsewhere.invalid/", ""), false, `redirects to "wss://elsewhere.invalid/"`},
		"gateway is down": {answer(502, "", ""), false, "502 Bad Gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			_, err := Open(context.Background(), Endpoint{URL: "ws" + srv.URL[4:]}, withToken, nil)
			if isKind(err, KindProtocol) != c.protocol || isKind(err, KindUnreachable) == c.protocol || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
	for name, first := range map[string]bool{"no HTTP": false, "no HTTP, speaks first": true} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				if !first {
					_, _ = c.Read(make([]byte, 1))
				}
				_, _ = c.Write([]byte("SSH-2.0-x\r\n"))
				_, _ = io.Copy(io.Discard, c)
			}()
			_, err = Open(context.Background(), Endpoint{URL: "ws://" + l.Addr().String()}, withToken, nil)
			if !isKind(err, KindProtocol) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	_, err := Open(context.Background(), Endpoint{URL: "ws://" + nowhere}, withToken, nil)
	if KindOf(err) != KindUnreachable || !strings.Contains(err.Error(), "can't reach") || !Temporary(err) || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("%T: %v", err, err)
	}
	_, err = Open(context.Background(), Endpoint{URL: "wss://name.invalid/"}, withToken, nil)
	if !isKind(err, KindUnreachable) || !strings.Contains(err.Error(), "name.invalid") {
		t.Errorf("%T: %v", err, err)
	}
}

// TestCredentialsFirst: an error of the credentials counts more than one of the
// connection, whichever comes first.
func TestCredentialsFirst(t *testing.T) {
	none := errors.New("not logged in")
	for range 20 {
		_, err := Open(context.Background(), Endpoint{URL: "ws://127.0.0.1:1"}, func(context.Context) (Credentials, error) { return Credentials{}, none }, nil)
		if !errors.Is(err, none) {
			t.Fatal(err)
		}
	}
}

// TestTimeout: every wait ends with the context, and says why.
func TestTimeout(t *testing.T) {
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
			ctx, cancel := context.WithCancelCause(context.Background())
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

// TestClose: the peer gets a close frame, and Close does not wait for its answer.
func TestClose(t *testing.T) {
	closed := make(chan error, 1)
	release := make(chan struct{})
	url := serve(t, func(p *peer) {
		p.login()
		<-release // it reads, and so answers the close frame, only after Close has returned
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

// TestLargeReply: a reply larger than the library's own limit comes through.
func TestLargeReply(t *testing.T) {
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

func TestEndpointCheck(t *testing.T) {
	for url, c := range map[string]struct{ says, hint string }{
		"ws://127.0.0.1:8765/skaro_client/": {}, "ws://localhost/": {}, "ws://[::1]:1/x": {}, "ws://LOCALHOST./": {}, "wss://chat.example.org/x": {},
		"ws://127.1.2.3/":                        {},
		"ws://chat.example.org/x":                {"not encrypted", "--allow-plaintext"},
		"ws://localhost.example.org/":            {"not encrypted", "wss://"},
		"http://chat.example.org":                {"http://", "wss://chat.example.org/skaro_client/"},
		"http://localhost:8765":                  {"http://", " ws://localhost:8765/skaro_client/"},
		"https://chat.example.org/x/":            {"https://", "wss://chat.example.org/x/"},
		"chat.example.org":                       {"does not start with", "wss://chat.example.org/skaro_client/"},
		"localhost:8765":                         {"does not start with", "ws://localhost:8765/skaro_client/"},
		"127.0.0.1:8765/x/":                      {"does not start with", "ws://127.0.0.1:8765/x/"},
		"alice:secret@chat.example.org":          {"does not start with", "give a server URL like"},
		"wss://chat.example.org/skaro_client/ ":  {"contains white space", "give a server URL like"},
		"wss://chat.example.org/skaro client/":   {"contains white space", "give a server URL like"},
		"ws:/127.0.0.1:8765/skaro_client/":       {"does not start with", "did you mean ws://127.0.0.1:8765/skaro_client/ ?"},
		"wss:chat.example.org":                   {"does not start with", "did you mean wss://chat.example.org/skaro_client/ ?"},
		"https:/chat.example.org/x/":             {"does not start with", "did you mean wss://chat.example.org/x/ ?"},
		"ftp://x/":                               {"does not start with", "give a server URL like"},
		"wss:///x":                               {"no host", "give a server URL like"},
		"wss://alice:secret@chat.example.org/x":  {"user name", "--server"},
		"https://alice:secret@chat.example.org/": {"https://", "wss://"},
		"":                                       {"does not start", "give a server URL like"},
		"ws://bad host/":                         {"contains white space", "give a server URL like"},
	} {
		err := Endpoint{URL: url}.Check()
		if c.hint == "" {
			if err != nil {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindEndpoint || !strings.Contains(e.Msg, c.says) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %v", url, err)
		} else if strings.Contains(e.Msg+e.Hint, "secret") && strings.Contains(url, "://") {
			t.Errorf("%s: the error shows the password: %v", url, e)
		}
	}
	if err := (Endpoint{URL: "ws://chat.example.org/", AllowPlaintext: true}).Check(); err != nil {
		t.Error(err)
	}
}

func TestCAFile(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{bad: "no certificate", bad + ".missing": "can't read"} {
		_, err := Open(context.Background(), Endpoint{URL: "wss://127.0.0.1:1/", CAFile: file}, withToken, nil)
		if !isKind(err, KindEndpoint) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestHistoryPages: a server with the extension is asked page by page.
func TestHistoryPages(t *testing.T) {
	const total = 2500
	url := serve(t, func(p *peer) {
		p.login(proto.ExtHistoryPage)
		for {
			f, ok := p.recv()
			if !ok {
				return
			}
			limit, _ := f.Int("limit")
			before, ok := f.Int("before")
			if !ok {
				before = total + 1
			}
			after, _ := f.Int("after")
			var page []any
			first := max(after+1, before-limit)
			for id := first; id < before; id++ {
				page = append(page, message(id, "bob", "alice", fmt.Sprint(id)))
			}
			p.reply(f, proto.StatusOK, map[string]any{"history": page, "more": first > after+1})
		}
	})
	when := func(id int64) Bound { return Bound{Time: time.Unix(1479394800+id, 0)} }
	for name, c := range map[string]struct {
		r           HistoryRange
		first, last int64
	}{
		"all":                   {HistoryRange{}, 1, total},
		"newest":                {HistoryRange{Limit: 3}, total - 2, total},
		"newest of many":        {HistoryRange{Limit: 1700}, total - 1699, total},
		"since an id":           {HistoryRange{Since: Bound{ID: 2400}}, 2401, total},
		"since a time":          {HistoryRange{Since: when(1100)}, 1100, total},
		"until an id":           {HistoryRange{Until: Bound{ID: 50}}, 1, 49},
		"until a time":          {HistoryRange{Until: when(1200)}, 1, 1199},
		"limit until a time":    {HistoryRange{Limit: 5, Until: when(1200)}, 1195, 1199},
		"between":               {HistoryRange{Since: when(1000), Until: Bound{ID: 2000}}, 1000, 1999},
		"limit is out of range": {HistoryRange{Limit: 10, Since: Bound{ID: total - 2}}, total - 1, total},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, s := open(t, url, withToken)
			h, err := s.History(ctx, "bob", c.r)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(h)) != c.last-c.first+1 || h[0].ID != c.first || h[len(h)-1].ID != c.last {
				t.Fatalf("%d messages, want %d to %d", len(h), c.first, c.last)
			}
			for i := range h {
				if h[i].ID != c.first+int64(i) {
					t.Fatalf("message %d is %d", i, h[i].ID)
				}
			}
		})
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

// TestHistoryPlain: on a plain server the range is cut out of what it sends.
func TestHistoryPlain(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login()
		f := p.expect(proto.TypeGetHistory)
		if len(f) != 3 { // type, on_request, login
			t.Errorf("asked a plain server %s", f.Describe())
		}
		var all []any
		for i := range 10 {
			m := proto.Message{From: "bob", To: "alice", Body: fmt.Sprint(i), Date: proto.Date{Time: time.Unix(int64(1000+i), 0)}}.Fields()
			m["date"] = time.Unix(int64(1000+i), 0).UTC().Format(time.RFC3339)
			all = append(all, m)
		}
		p.reply(f, proto.StatusOK, map[string]any{"history": all, "more": true}) // more means nothing here
	})
	at := func(n int64) Bound { return Bound{Time: time.Unix(1000+n, 0)} }
	for name, c := range map[string]struct {
		r    HistoryRange
		want string
	}{
		"all":     {HistoryRange{}, "0123456789"},
		"limit":   {HistoryRange{Limit: 2}, "89"},
		"since":   {HistoryRange{Since: at(7)}, "789"},
		"until":   {HistoryRange{Until: at(3)}, "012"},
		"between": {HistoryRange{Since: at(2), Until: at(8), Limit: 3}, "567"},
	} {
		ctx, s := open(t, url, withToken)
		h, err := s.History(ctx, "bob", c.r)
		got := ""
		for _, m := range h {
			got += m.Body
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestReplyBeforeTheEnd: a confirmation that has come counts, also when who waits for it
// has been interrupted meanwhile: nobody should send such a message again.
func TestReplyBeforeTheEnd(t *testing.T) {
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
		calls = append(calls, s.Start(ctx, proto.SendMessage("bob", "hi", "")))
	}
	if _, err := s.Contacts(ctx); err != nil { // answered in order: the others have their replies
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
