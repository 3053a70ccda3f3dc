package session

import (
	"bufio"
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// handshake answers the WebSocket handshake of a client (RFC 6455, 4.2.2).
func handshake(c net.Conn) *bufio.Reader {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		return in
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	return in
}

// wsFrame is an unmasked WebSocket frame (RFC 6455, 5.2) with a short payload.
func wsFrame(head byte, payload string) string {
	switch n := len(payload); {
	case n < 126:
		return string([]byte{head, byte(n)}) + payload
	default:
		return string([]byte{head, 126, byte(n >> 8), byte(n)}) + payload
	}
}

// cbor is a frame of Skaro.
func cbor(t *testing.T, fields map[string]any) string {
	b, err := proto.Encode(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// reset makes the end of a connection a reset one.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

// readFrames reads n frames of a client.
func readFrames(in *bufio.Reader, n int) {
	for range n {
		var head [2]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		size := int64(head[1] & 0x7f)
		if size == 126 {
			var more [2]byte
			_, _ = io.ReadFull(in, more[:])
			size = int64(more[0])<<8 | int64(more[1])
		}
		_, _ = io.CopyN(io.Discard, in, 4+size)
	}
}

// TestSentences: whatever ends a connection is told in plain words, with what to do, and
// in no library's.
func TestSentences(t *testing.T) {
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
	// URL stands for the URL of the server, ADDRESS for its host and port.
	for _, c := range []struct {
		name      string
		url       string // or the scheme, "" for ws
		do        func(net.Conn)
		says, tip string
	}{
		{"no such path", "", status("404 Not Found"), "URL does not speak Skaro: it answered the WebSocket handshake with HTTP status 404 Not Found", another},
		{"a login of its own", "", status("401 Unauthorized"), "URL does not speak Skaro: it answered the WebSocket handshake with HTTP status 401 Unauthorized", another},
		{"a web page", "", answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), `URL does not speak Skaro: it answered the WebSocket handshake with HTTP status 200 OK and "hello"`, another},
		{"a gateway", "", status("502 Bad Gateway"), "can't reach URL: it answered with HTTP status 502 Bad Gateway", hintTryAgain},
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
		{"not let in", "", first(closing(1008, "go away")), "lost the connection to URL: the server closed it: go away (code 1008)", hintLog},
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
			"URL does not speak Skaro: it sent a frame of 104 bytes: not a Skaro frame: exceeded max nested level 32", "",
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

			var got []Outcome
			letters := make(chan Letter, 1)
			letters <- Letter{To: "bob", Body: "x"}
			close(letters)
			_ = outbox(url, &got).Run(ctx, letters) // an error where it would be the same again
			if len(got) != 1 {
				t.Fatalf("%d outcomes", len(got))
			}
			checkSentence(t, got[0].Err, url, "sent, but not confirmed by the server: it may or may not have been delivered: "+c.says, "")

			l := listener(url)
			l.Retry = RetryPolicy{}
			checkSentence(t, l.Run(ctx, func(Event) error { return nil }), url, c.says, c.tip)
		})
	}
}

// checkSentence asserts what an error says, and its hint.
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

// TestHungUp: a server that has gone is not taken for a reader of our output that has.
func TestHungUp(t *testing.T) {
	cut := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	if err := lostConnection("ws://x/", diagnoseLoss(cut)); errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
}
