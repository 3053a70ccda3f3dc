package session

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestOpenSaysWhatIsNotSkaro(t *testing.T) {
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

// However long a peer's words are, an error has the beginning of them and says how long
// they were.
func TestPeersWordsAreCutInErrors(t *testing.T) {
	long := strings.Repeat("é", 5000)
	refuse := func(status, info string) func(p *peer) {
		return func(p *peer) {
			p.greet()
			p.reply(p.expect(proto.TypeAuthorize), status, map[string]any{"info": info})
			p.recv()
		}
	}
	for name, c := range map[string]struct {
		script func(p *peer)
		cut    string
	}{
		"info":         {refuse("401 Unauthorized", long), "answered 401 Unauthorized: " + strings.Repeat("é", 300) + "… (5000 characters)"},
		"status":       {refuse("401"+long, long), "answered 401" + strings.Repeat("é", 297) + "… (5003 characters)"},
		"busy":         {refuse("503 "+long, "x"), "answered 503 " + strings.Repeat("é", 296) + "… (5004 characters)"},
		"first type":   {func(p *peer) { p.send(map[string]any{"type": long}) }, "… (5000 characters)"},
		"text message": {func(p *peer) { _ = p.ws.Write(context.Background(), websocket.MessageText, []byte(long)) }, "… (5000 characters)"},
		"a key twice":  {func(p *peer) { _ = p.ws.Write(context.Background(), websocket.MessageBinary, twice(long)) }, "… (5002 characters)"},
		"for": {func(p *peer) {
			p.greet()
			p.reply(p.expect(proto.TypeAuthorize), "200", map[string]any{"for": long})
			p.recv()
		}, "… (5000 characters)"},
	} {
		t.Run(name, func(t *testing.T) {
			checkCut(t, logIn(t, Endpoint{URL: serve(t, c.script)}), c.cut)
		})
	}
	for name, c := range map[string]struct{ answer, cut string }{
		"Location":           {"302 Found\r\nLocation: http://x/" + strings.Repeat("a", 5000), "… (5009 characters)"},
		"reason phrase":      {"404 " + strings.Repeat("a", 5000), "… (5004 characters)"},
		"busy reason phrase": {"503 " + strings.Repeat("a", 5000), "… (5004 characters)"},
	} {
		t.Run(name, func(t *testing.T) {
			address := speak(t, func(conn net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, "HTTP/1.1 "+c.answer+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			})
			checkCut(t, logIn(t, Endpoint{URL: "ws://" + address + "/"}), c.cut)
		})
	}
}

// twice is a frame that has a key twice.
func twice(key string) []byte {
	item := append([]byte{0x79, byte(len(key) >> 8), byte(len(key))}, key+"\x00"...)
	return append(append([]byte{0xa2}, item...), item...)
}

func checkCut(t *testing.T, err error, cut string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), cut) || len(err.Error()) > 1000 {
		t.Errorf("%.2000v, without %q", err, cut)
	}
}

func TestOpenSaysWhatIsNotWebSocket(t *testing.T) {
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
			_, err := Open(bounded(t), Endpoint{URL: "ws" + srv.URL[4:]}, withToken, nil)
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
			_, err = Open(bounded(t), Endpoint{URL: "ws://" + l.Addr().String()}, withToken, nil)
			if !isKind(err, KindProtocol) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

func TestOpenSaysThatNothingListens(t *testing.T) {
	_, err := Open(bounded(t), Endpoint{URL: "ws://" + nowhere}, withToken, nil)
	if KindOf(err) != KindUnreachable || !strings.Contains(err.Error(), "can't reach") || !Temporary(err) || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("%T: %v", err, err)
	}
	_, err = Open(bounded(t), Endpoint{URL: "wss://name.invalid/"}, withToken, nil)
	if !isKind(err, KindUnreachable) || !strings.Contains(err.Error(), "name.invalid") {
		t.Errorf("%T: %v", err, err)
	}
}

// The errors of the system are explained on every platform: Windows has numbers of its own.
func TestDiagnoseSystemErrors(t *testing.T) {
	for code, want := range map[syscall.Errno]string{
		syscall.ECONNREFUSED: "nothing listens at 127.0.0.1:1", 10061: "nothing listens at 127.0.0.1:1",
		syscall.EHOSTUNREACH: "there is no route to 127.0.0.1:1", 10065: "there is no route to 127.0.0.1:1",
		syscall.ENETUNREACH: "there is no route to 127.0.0.1:1", 10051: "there is no route to 127.0.0.1:1",
		syscall.ETIMEDOUT: "127.0.0.1:1 does not answer", 10060: "127.0.0.1:1 does not answer",
		syscall.ECONNRESET: "127.0.0.1:1 closed the connection at once", 10054: "127.0.0.1:1 closed the connection at once",
	} {
		op := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, Err: os.NewSyscallError("connect", code)}
		if d := diagnoseDial(op); !strings.HasPrefix(d.why, want) || d.hint == "" {
			t.Errorf("dial, %d: %+v", code, d)
		}
	}
	for _, code := range []syscall.Errno{syscall.ECONNRESET, 10054, syscall.ECONNABORTED, 10053} {
		cut := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", code)}
		if d := diagnoseDial(cut); d.why != "it closed the connection without an answer" {
			t.Errorf("cut with %d: %+v", code, d)
		}
		if d := diagnoseLoss(cut); d != brokenOff {
			t.Errorf("lost with %d: %+v", code, d)
		}
	}
}

// net/http has no type for this: the server hung up while the request was being written.
func TestDiagnoseHangUpBeforeTheRequest(t *testing.T) {
	err := &url.Error{Op: "Get", URL: "http://localhost/", Err: errors.New("http: server closed idle connection")}
	if d := diagnoseDial(err); d.why != "it closed the connection without an answer" || d.hint != hintTryAgain {
		t.Errorf("%+v", d)
	}
}

// A redirect that shows a slip in our URL gives a hint and is final; any other redirect may
// be temporary.
func TestRedirectShowsSlipInURL(t *testing.T) {
	for _, c := range []struct{ url, location, want string }{
		{"ws://h:1/skaro_client", "/skaro_client/", "ws://h:1/skaro_client/"},
		{"ws://h:1/chat", "/chat/", "ws://h:1/chat/"},
		{"ws://h:1/", "skaro_client/", "ws://h:1/skaro_client/"},
		{"ws://h/skaro_client/", "https://H/skaro_client/", "wss://H/skaro_client/"},
		{"ws://h:8080/skaro_client/", "https://h/skaro_client/", "wss://h/skaro_client/"},
		{"wss://h/skaro_client", "http://h/skaro_client/", "wss://h/skaro_client/"},
		{"wss://h/skaro_client/", "http://h/skaro_client/", ""},
		{"ws://h/skaro_client/", "/skaro_client/", ""},
		{"ws://h/skaro_client/", "/login", ""},
		{"ws://h/skaro_client", "/skaro_client/?next=x", "ws://h/skaro_client/"},
		{"ws://h/skaro_client", "ws://other/skaro_client/", ""},
		{"ws://h/skaro_client", "ws://a@h/skaro_client/", ""},
		{"ws://h/skaro_client", "", ""},
		{"ws://h/skaro_client", "://", ""},
	} {
		if got := (Endpoint{URL: c.url}).corrected(c.location); got != c.want {
			t.Errorf("%s, sent to %q: %q, not %q", c.url, c.location, got, c.want)
		}
		err := Endpoint{URL: c.url}.diagnoseAnswer(&http.Response{StatusCode: 301, Header: http.Header{"Location": {c.location}}})
		if Temporary(err) != (c.want == "") {
			t.Errorf("%s, sent to %q: temporary %v", c.url, c.location, Temporary(err))
		}
	}
}

// A connection with TLS to a server without TLS is explained, and the other way round.
func TestOpenTellsTLSMismatch(t *testing.T) {
	ca := newAuthority(t)
	caFile := pemFile(t, ca.cert)
	good := ca.sign(t, template())
	plain := strings.TrimSuffix(strings.TrimPrefix(serve(t, func(*peer) {}), "ws://"), "/skaro_client/")
	old := pair(good)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 // it would take us
	client := pair(good)
	client.ClientAuth = tls.RequireAnyClientCert
	for _, test := range []struct {
		name, scheme, address, why, advice string
	}{
		{"wss to HTTP", "wss", plain, "it does not speak TLS", "use ws:// in --server"},
		{"wss to a mail server", "wss", speak(t, func(c net.Conn) {
			_, _ = c.Write([]byte("220 mail.example.org ESMTP\r\n"))
			_, _ = io.Copy(io.Discard, c)
		}), "it does not speak TLS", "use ws:// in --server"},
		{"wss to a server that hangs up", "wss", speak(t, func(net.Conn) {}), "it closed the connection", ""},
		{"ws to HTTPS", "ws", serveTLS(t, pair(good)), "it speaks TLS", "use wss:// in --server"},
		{"ws to TLS that is no HTTPS", "ws", speak(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte("\x15\x03\x01\x00\x02\x02\x46")) // an alert: no TLS was offered
		}), "it speaks TLS", "use wss:// in --server"},
		{"ws to nginx with TLS", "ws", speak(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"+
				"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n")
		}), "it speaks TLS", "use wss:// in --server"},
		{"TLS 1.1", "wss", serveTLS(t, old), "protocol version", ""},
		{"a client certificate is required", "wss", serveTLS(t, client), "certificate required", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := Endpoint{URL: test.scheme + "://" + test.address + "/skaro_client/", CAFile: caFile}
			err := logIn(t, e)
			checkUnreachable(t, err, test.why, test.advice)
			if wrongScheme := test.advice != ""; Temporary(err) == wrongScheme {
				t.Errorf("temporary: %v, of %v", Temporary(err), err)
			}
		})
	}
}

// Every failure of a connection is explained in plain words, not in those of a library.
func TestDiagnosesInPlainWords(t *testing.T) {
	greeting := wsFrame(0x82, cbor(t, map[string]any{"type": proto.TypeGreeting, "token": "T", "extensions": []string{proto.ExtUpdates}}))
	welcome := wsFrame(0x82, cbor(t, map[string]any{
		"type": proto.TypeReply, "for": proto.TypeAuthorize, "id": 1, "status": proto.StatusOK, "session_id": "s", "user": map[string]any{"login": "alice"},
	}))
	answer := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, text)
		}
	}
	status := func(text string) func(net.Conn) {
		return answer("HTTP/1.1 " + text + "\r\nContent-Length: 0\r\n\r\n")
	}
	hello := func(text string) func(net.Conn) { // to a ClientHello
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, text)
		}
	}
	first := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			handshake(c)
			_, _ = io.WriteString(c, text)
		}
	}
	closing := func(code int, reason string) string {
		return wsFrame(0x88, string([]byte{byte(code >> 8), byte(code)})+reason)
	}
	const (
		another  = "check the host and port in --server: another program may answer there"
		upgraded = "HTTP/1.1 101 Switching Protocols\r\n"
	)
	// URL stands for the URL of the server.
	for _, c := range []struct {
		name      string
		url       string // or the scheme; "" means ws
		do        func(net.Conn)
		says, tip string
	}{
		{"no such path", "", status("404 Not Found"), "URL does not speak Skaro: it answered the WebSocket handshake with HTTP status 404 Not Found", another},
		{"a login of its own", "", status("401 Unauthorized"), "URL does not speak Skaro: it answered the WebSocket handshake with HTTP status 401 Unauthorized", another},
		{"a web page", "", answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), `URL does not speak Skaro: it answered the WebSocket handshake with HTTP status 200 OK and "hello"`, another},
		{"a gateway", "", status("502 Bad Gateway"), "can't reach URL: it answered with HTTP status 502 Bad Gateway", hintTryAgain},
		{"a busy gateway", "", status("503 Service Unavailable"), "can't reach URL: it answered with HTTP status 503 Service Unavailable", hintTryAgain},
		{
			"one that says until when", "", status("503 Service Unavailable\r\nRetry-After: 90"),
			"can't reach URL: it answered with HTTP status 503 Service Unavailable", "try again in 1m30s: the server is busy or restarting",
		},
		{
			"a limit", "", status("429 Too Many Requests"),
			"can't reach URL: it answered with HTTP status 429 Too Many Requests", "try again in a minute: the server is asked for too much at once",
		},
		{
			"a limit that ends", "", status("429 Too Many Requests\r\nRetry-After: 7"),
			"can't reach URL: it answered with HTTP status 429 Too Many Requests", "try again in 7s: the server is asked for too much at once",
		},
		{
			"a redirect", "", answer("HTTP/1.1 301 Moved Permanently\r\nLocation: https://other.invalid/x\r\nContent-Length: 0\r\n\r\n"),
			`can't reach URL: it redirects to "https://other.invalid/x", which is not followed`, "if that is the right server, give its ws:// or wss:// URL to --server",
		},
		{"no upgrade", "", answer(upgraded + "\r\n"), "URL does not speak Skaro: its WebSocket handshake is invalid", hintUpgrade},
		{
			"a wrong key", "", answer(upgraded + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"),
			"URL does not speak Skaro: its WebSocket handshake is invalid", hintUpgrade,
		},
		{"half a status", "", answer("HTTP/1.1 10"), "can't reach URL: its answer was cut off or is not HTTP", "try again; if that does not help, check the host and port in --server"},
		{"half a header", "", answer(upgraded + "Upgra"), "can't reach URL: its answer was cut off or is not HTTP", "try again; if that does not help, check the host and port in --server"},
		{"SSH", "", answer("SSH-2.0-x\r\n"), "URL does not speak Skaro: it does not answer in HTTP", ""},
		{"hangs up", "", answer(""), "can't reach URL: it closed the connection without an answer", hintTryAgain},
		{"resets", "", func(c net.Conn) { answer("")(c); reset(c) }, "can't reach URL: it closed the connection without an answer", hintTryAgain},
		{"hangs up on TLS", "wss", hello(""), "can't reach URL: it closed the connection without an answer", hintTryAgain},
		{"no TLS", "wss", hello("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), "can't reach URL: it does not speak TLS", "if the server has no TLS, use ws:// in --server"},
		{"TLS only", "", hello("\x15\x03\x01\x00\x02\x02\x46"), "can't reach URL: it speaks TLS, and the URL says ws://", "use wss:// in --server"},
		{
			"TLS that fails", "wss", hello("\x15\x03\x01\x00\x02\x02\x28"),
			"can't reach URL: it ended the TLS handshake: handshake failure", "check the host and port in --server; the server's log says more",
		},
		{"another name", "wss", hello("\x15\x03\x01\x00\x02\x02\x70"), "can't reach URL: it ended the TLS handshake: unrecognized name", "check the name in --server"},
		{"TLS 1.1", "wss", hello("\x15\x03\x01\x00\x02\x02\x46"), "can't reach URL: it ended the TLS handshake: protocol version not supported", hintTLS},
		{"TLS nonsense", "wss", hello("\x16\x03\x03\x00\x04\x02\x00\x00\x00"), "can't reach URL: its TLS can't be understood: error decoding message", hintTLS},
		{"no such name", "wss://name.invalid/skaro_client/", nil, `can't reach URL: there is no host named "name.invalid"`, "check the name in --server"},
		{
			"no such port", "ws://127.0.0.1:99999/", nil, `the server URL "URL" has the port 99999: ports go from 1 to 65535`,
			hintURL,
		},

		{"no greeting", "", first(""), "lost the connection to URL: the server closed it without giving a reason", hintTryAgain},
		{"a reset for a greeting", "", func(c net.Conn) { handshake(c); reset(c) }, "lost the connection to URL: the server closed it without giving a reason", hintTryAgain},
		{"refused by a close frame", "", first(closing(1008, "go away")), "lost the connection to URL: the server closed it: go away (code 1008)", hintLog},
		{"half a head", "", first("\x82"), "lost the connection to URL: the server closed it without giving a reason", hintTryAgain},
		{"half a greeting", "", first(greeting[:10]), "lost the connection to URL: the server closed it without giving a reason", hintTryAgain},
		{"a text greeting", "", first(wsFrame(0x81, "hello there")), `URL does not speak Skaro: it sent a text message, "hello there", instead of a binary one`, ""},
		{
			"another greeting", "", first(wsFrame(0x82, cbor(t, map[string]any{"type": "info"}))),
			`URL does not speak Skaro: the first frame is not a greeting: its type is "info", not "check_connection"`, "",
		},
		{"half a map", "", first(wsFrame(0x82, "\xbf\x61")), "URL does not speak Skaro: it sent a frame of 2 bytes: not a Skaro frame: it ends in the middle", ""},
		{
			"a deep map", "", first(wsFrame(0x82, "\xa1\x61a"+strings.Repeat("\x81", 100)+"\x01")),
			"URL does not speak Skaro: it sent a frame of 104 bytes: not a Skaro frame: it is nested in more than 32 levels", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := c.url
			if c.do != nil {
				url = cmp.Or(c.url, "ws") + "://" + speak(t, c.do) + "/skaro_client/"
			}
			checkSentence(t, logIn(t, Endpoint{URL: url}), url, c.says, c.tip)
		})
	}

	const lost = "lost the connection to URL: "
	for _, c := range []struct {
		name, text string
		says, tip  string
	}{
		{"end", "", lost + "the server closed it without giving a reason", hintTryAgain},
		{"half a frame", greeting[:10], lost + "the server closed it without giving a reason", hintTryAgain},
		{"it shuts down", closing(1001, "the server is shutting down"), lost + "the server closed it: the server is shutting down (code 1001)", hintTryAgain},
		{"it has failed", closing(1011, ""), lost + "the server closed it: it has failed (code 1011)", hintLog},
		{"a code of its own", closing(4000, ""), lost + "the server closed it (code 4000)", hintLog},
		{"no code", "\x88\x00", lost + "the server closed it without giving a reason", hintTryAgain},
		{"half a code", "\x88\x01x", lost + "the server violated the WebSocket protocol", hintUpgrade},
		{"a code that can't be", closing(1006, ""), lost + "the server violated the WebSocket protocol", hintUpgrade},
		{"too much for it", closing(1009, ""), lost + "the server closed it: a frame was too large for it (code 1009)", "send less at once"},
		{"too much for us", "\x82\x7f\x00\x00\x00\x00\x7f\x00\x00\x00" + strings.Repeat("x", proto.MaxFrame+1), lost + "the server sent a frame of more than 16777216 bytes", "ask for less, with --limit or --since"},
		{"text", wsFrame(0x81, "hello there"), `URL does not speak Skaro: it sent a text message, "hello there", instead of a binary one`, ""},
		{"an extension", "\xf2\x01x", lost + "the server violated the WebSocket protocol", hintUpgrade},
		{"an unknown frame", "\x83\x01x", lost + "the server violated the WebSocket protocol", hintUpgrade},
		{"the middle of a message", "\x80\x01x", lost + "the server violated the WebSocket protocol", hintUpgrade},
		{"a message in a message", "\x02\x01a\x82\x01b", lost + "the server violated the WebSocket protocol", hintUpgrade},
		{"a long ping", wsFrame(0x89, strings.Repeat("x", 200)), lost + "the server violated the WebSocket protocol", hintUpgrade},
		{"a negative length", "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", lost + "the server violated the WebSocket protocol", hintUpgrade},
	} {
		t.Run("then "+c.name, func(t *testing.T) {
			t.Parallel()
			url := "ws://" + speak(t, func(conn net.Conn) {
				in := handshake(conn)
				_, _ = io.WriteString(conn, greeting)
				readFrames(in, 1)
				_, _ = io.WriteString(conn, welcome)
				readFrames(in, 1)
				_, _ = io.WriteString(conn, c.text)
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, in)
			}) + "/skaro_client/"
			ctx, s := open(t, url, withToken)
			_, err := s.Contacts(ctx)
			checkSentence(t, err, url, c.says, c.tip)
			_, err = s.Do(ctx, proto.GetContacts())
			checkSentence(t, err, url, c.says, c.tip)
			_, err = s.RoundTrip(ctx)
			checkSentence(t, err, url, c.says, c.tip)

			_, ch := input(1)
			got, _ := run(ctx, outbox(url), ch) // it returns an error if another attempt would end in the same way
			if len(got) != 1 {
				t.Fatalf("%d results", len(got))
			}
			checkSentence(t, got[0].Err, url, "sent, but not confirmed by the server: it may or may not have been delivered: "+c.says, "")

			l := listener(url)
			l.Retry = RetryPolicy{}
			checkSentence(t, l.Run(ctx, func(Event) error { return nil }), url, c.says, c.tip)
		})
	}
}

// checkSentence checks an error's text and hint.
func checkSentence(t *testing.T, err error, url, says, tip string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v (%T)", err, err)
	}
	if got := strings.ReplaceAll(err.Error(), url, "URL"); got != says {
		t.Errorf("the error is\n%s, not\n%s", got, says)
	}
	if got := e.Hint; got != tip {
		t.Errorf("the hint for %q is %q, not %q", says, got, tip)
	}
}

// A server that has gone is not mistaken for a reader of our output that has gone.
func TestLostServerIsNotLostReader(t *testing.T) {
	cut := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	if err := lostConnection("ws://x/", diagnoseLoss(cut)); errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
}

// Retry-After has seconds or a date; anything else counts as missing.
func TestRetryAfterIsReadInBothForms(t *testing.T) {
	const never = 30 * 24 * time.Hour
	for _, c := range []struct {
		date, text string
		want       time.Duration
	}{
		{"", "", 0}, {"", "7", 7 * time.Second}, {"", " 7 ", 7 * time.Second}, {"", "0", 0}, {"", "-7", 0}, {"", "soon", 0}, {"", "1.5", 0},
		{"", "9223372036854775807", never}, {"", "99999999999999999999", 0},
		{"Fri, 31 Dec 1999 23:59:58 GMT", "Fri, 31 Dec 1999 23:59:59 GMT", time.Second},
		{"Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:58 GMT", 0},
		{"", "Fri, 31 Dec 1999 23:59:59 GMT", 0}, {"", "Fri, 31 Dec 9999 23:59:59 GMT", never},
	} {
		if got := retryAfter(http.Header{"Retry-After": {c.text}, "Date": {c.date}}); got != c.want {
			t.Errorf("%q at %q: %v, not %v", c.text, c.date, got, c.want)
		}
	}
}
