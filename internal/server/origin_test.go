package server

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// handshake sends the beginning of a WebSocket handshake and the given lines. It returns the
// status of the answer, and whether the connection ends after it.
func (w *testServer) handshake(path, lines string) (status int, ended bool) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", path, lines)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Close
}

// A request with an Origin is refused, whatever its Host is, unless the operator has named that
// origin.
func TestOriginNeedsPermission(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.AllowOrigins = []string{"https://chat.example.org"} })
	for lines, want := range map[string]int{
		"Host: x\r\n": http.StatusSwitchingProtocols,
		"Host: x\r\nOrigin: https://chat.example.org\r\n":                                     http.StatusSwitchingProtocols,
		"Host: x\r\nOrigin: https://x\r\n":                                                    http.StatusForbidden,
		"Host: evil.example:8765\r\nOrigin: http://evil.example:8765\r\n":                     http.StatusForbidden, // DNS rebinding
		"Host: chat.example.org\r\nOrigin: http://chat.example.org\r\n":                       http.StatusForbidden,
		"Host: x\r\nOrigin: null\r\n":                                                         http.StatusForbidden,
		"Host: x\r\nOrigin:\r\n":                                                              http.StatusForbidden,
		"Host: x\r\nOrigin: https://chat.example.org\r\nOrigin: https://chat.example.org\r\n": http.StatusForbidden,
		"Host: x\r\nOrigin: https://chat.example.org.evil.example\r\n":                        http.StatusForbidden,
	} {
		if got, _ := w.handshake(Path, lines); got != want {
			t.Errorf("%q: %d", lines, got)
		}
	}
}

func TestOriginIsOfTheFormThatBrowsersSend(t *testing.T) {
	for in, want := range map[string]string{
		"https://chat.example.org": "https://chat.example.org", "HTTPS://Chat.Example.org:443/": "https://chat.example.org", "http://x:80": "http://x", "http://[::1]:8000": "http://[::1]:8000",
		"https://x:80": "https://x:80", "chrome-extension://abc": "chrome-extension://abc",
		"chat.example.org": "", "": "", "null": "", "*": "", "https://x/page": "", "https://u@x": "", "https://x?a": "", "https://": "",
	} {
		if got, err := ParseOrigin(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// Only the exact path is a WebSocket.
func TestOnlyThePathUpgrades(t *testing.T) {
	w := newTestServer(t, nil)
	for path, want := range map[string]int{
		Path: http.StatusSwitchingProtocols, Path + "?x": http.StatusSwitchingProtocols, Path + "x": http.StatusNotFound, Path + "x/y": http.StatusNotFound, Path + "x/": http.StatusNotFound,
	} {
		if got, _ := w.handshake(path, "Host: x\r\n"); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
}

// A request with a body is refused, and its connection ends: a proxy could take the body for
// another request.
func TestRequestWithBodyIsRefused(t *testing.T) {
	w := newTestServer(t, nil)
	for _, lines := range []string{
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n",
	} {
		for _, path := range []string{Path, "/healthz"} {
			if status, ended := w.handshake(path, "Host: x\r\n"+lines); status != http.StatusBadRequest || !ended {
				t.Errorf("%s with %q: %d, ended %v", path, lines, status, ended)
			}
		}
	}
	if status, _ := w.handshake(Path, "Host: x\r\nContent-Length: 0\r\n"); status != http.StatusSwitchingProtocols {
		t.Errorf("with an empty body: %d", status)
	}
	if _, _, err := websocket.Dial(t.Context(), "ws://"+w.addr+Path, nil); err != nil {
		t.Error(err)
	}
}
