package session

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// standIns are what may answer at the URL of a server that is away for a while.
var standIns = map[string]http.HandlerFunc{
	"200": status(200), "400": status(400), "401": status(401), "403": status(403), "404": status(404), "410": status(410),
	"421": status(421), "500": status(500), "501": status(501), "502": status(502),
	"400 in the words of a TLS port": func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Client sent an HTTP request to an HTTPS server.", http.StatusBadRequest)
	},
	"a redirect to TLS": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
	},
	"no HTTP":      func(w http.ResponseWriter, _ *http.Request) { hijack(w, "SSH-2.0-OpenSSH_9.2\r\n") },
	"a TLS alert":  func(w http.ResponseWriter, _ *http.Request) { hijack(w, "\x15\x03\x01\x00\x02\x02\x46") },
	"another push": accepted(func(p *peer) { p.send(map[string]any{"type": "info", "info": "hello"}) }),
	"text":         accepted(func(p *peer) { _ = p.ws.Write(context.Background(), websocket.MessageText, []byte("Welcome!")) }),
	"garbage":      accepted(func(p *peer) { _ = p.ws.Write(context.Background(), websocket.MessageBinary, []byte("\xff")) }),
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// hijack answers a request with bytes, and ends the connection.
func hijack(w http.ResponseWriter, answer string) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_, _ = c.Write([]byte(answer))
		c.Close()
	}
}

// accepted accepts a WebSocket connection, and speaks until the client goes away.
func accepted(say func(*peer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		say(&peer{ws: ws})
		_, _, _ = ws.Read(context.WithoutCancel(r.Context()))
	}
}

// serveWith gives each connection to the handler of its number, from 1. It returns the URL.
func serveWith(t *testing.T, nth func(int32) http.HandlerFunc) string {
	t.Helper()
	var count atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { nth(count.Add(1))(w, r) }))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/skaro_client/"
}

// serveThenStandIn is a server for the first connection and from the fourth one on. In
// between, something else answers at its URL. serve gets the number of the connection.
func serveThenStandIn(t *testing.T, standIn http.HandlerFunc, serve func(p *peer)) string {
	return serveWith(t, func(nth int32) http.HandlerFunc {
		if nth == 2 || nth == 3 {
			return standIn
		}
		return accepted(func(p *peer) {
			p.t, p.nth = t, int(nth)
			p.login(proto.ExtUpdates, proto.ExtNonce)
			serve(p)
			p.ws.CloseNow()
		})
	})
}

// After the first login of a run, whatever answers instead of the server is a lost
// connection for a listener.
func TestListenTakesStandInForLostConnection(t *testing.T) {
	for name, standIn := range standIns {
		t.Run(name, func(t *testing.T) {
			l := listener(serveThenStandIn(t, standIn, func(p *peer) {
				f := p.expect(proto.TypeGetUpdates)
				after, _ := f.Int("after")
				p.updates(f, after+1, false, incoming(after+1))
			}))
			l.Start = &Bound{}
			var lost []error
			l.Lost = func(err error, _ time.Duration) { lost = append(lost, err) }
			if got := bodies(t, l, 2); len(got) != 2 || got[1] != "2" || len(lost) != 3 {
				t.Errorf("%q, lost: %v", got, lost)
			}
		})
	}
}

// The same holds for an outbox, which loses no message.
func TestOutboxTakesStandInForLostConnection(t *testing.T) {
	for name, standIn := range standIns {
		t.Run(name, func(t *testing.T) {
			o := outbox(serveThenStandIn(t, standIn, func(p *peer) {
				p.reply(p.expect(proto.TypeSendMessage), proto.StatusOK, nil)
			}))
			o.Retry, o.InFlight = retryFor(patience), 1
			_, ch := input(2)
			got, err := run(bounded(t), o, ch)
			if err != nil || len(got) != 2 || got[0].State != StateConfirmed || got[1].State != StateConfirmed {
				t.Errorf("%v, %+v", err, got)
			}
		})
	}
}

// Before the first login, the same answers are errors of their own.
func TestListenEndsAtStandInBeforeLogin(t *testing.T) {
	for name, standIn := range standIns {
		t.Run(name, func(t *testing.T) {
			l := listener(serveWith(t, func(int32) http.HandlerFunc { return standIn }))
			lost := 0
			l.Lost = func(error, time.Duration) { lost++ }
			ctx, cancel := context.WithCancelCause(bounded(t))
			defer cancel(nil)
			if name == "502" { // this one passes by itself
				l.Lost = func(error, time.Duration) { cancel(errDone) }
			}
			err := l.Run(ctx, func(Event) error { return nil })
			if name == "502" && !errors.Is(err, errDone) || name != "502" && (lost > 0 || !temporaryAfterLogin(err)) {
				t.Errorf("%v, and it was lost %d times", err, lost)
			}
		})
	}
}

// What can't be read on a connection that is logged in is a lost connection. What can be
// read, and is not an answer to what was asked for, is final.
func TestListenReconnectsAfterGarbage(t *testing.T) {
	for name, garbage := range map[string]struct {
		typ  websocket.MessageType
		text string
	}{"no CBOR": {websocket.MessageBinary, "\xff"}, "text": {websocket.MessageText, "hello"}, "an unusable reply": {websocket.MessageBinary, cbor(t, map[string]any{"type": "request"})}} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(p *peer) {
				p.login(proto.ExtUpdates)
				if p.nth == 1 {
					p.updates(p.expectUpdates(-1), 5, false)
					_ = p.ws.Write(bounded(t), garbage.typ, []byte(garbage.text))
					p.recv()
					return
				}
				p.updates(p.expectUpdates(5), 6, false, incoming(6))
				p.recv()
			})
			if got := bodies(t, listener(url), 1); !slices.Equal(got, []string{"6"}) {
				t.Errorf("%q", got)
			}
		})
	}
}

// A certificate that does not verify is final, before the first login and after it.
func TestListenEndsAtUntrustedCertificate(t *testing.T) {
	a := newAuthority(t)
	address := serveTLS(t, pair(a.sign(t, template())))
	l := listener("wss://" + address + "/skaro_client/")
	if err := l.Run(bounded(t), func(Event) error { return nil }); KindOf(err) != KindUnreachable || temporaryAfterLogin(err) {
		t.Error(err)
	}
}
