package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/cork"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// netConn is the network connection below a WebSocket. It can be corked, and it can close
// itself after its last write, a close frame, without waiting for the answer.
type netConn struct {
	cork.Conn
	last   atomic.Bool // the next write is the last one
	frames *frameHeads // of what the server sends
}

func (c *netConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.last.Load() {
		c.Close()
	}
	return n, err
}

// dialer makes one WebSocket connection. net/http calls its functions in goroutines of its
// own; they return before the connection is used.
type dialer struct {
	ctx    context.Context // ends when dial returns: net/http keeps abandoned dials running
	socket string          // path of the Unix socket to connect to, or ""
	proxy  *url.URL
	body   *handshakeBody // of the server's answer, if that is a WebSocket handshake
	conn   *netConn
	keep   func() bool // keeps conn open when ctx ends
}

// dial makes the WebSocket connection.
func (e Endpoint) dial(ctx context.Context) (*websocket.Conn, *netConn, error) {
	if err := e.Check(); err != nil {
		return nil, nil, err
	}
	roots, err := e.roots(ctx)
	if err != nil {
		return nil, nil, err
	}
	dialing, stop := context.WithCancel(ctx)
	defer stop()
	d := &dialer{ctx: dialing, socket: e.socket()}
	ws, resp, err := websocket.Dial(ctx, d.url(e.URL), &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport: d.checkBody(d.transport(roots)),
			// A redirect would send the credentials to a server that the user did not name.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:      http.Header{"User-Agent": {e.UserAgent}},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		e.trace("the connection failed: %v", err)
		return nil, nil, e.dialError(ctx, d, resp, err)
	}
	d.keep()
	d.body.accept()
	d.conn.frames = &d.body.frames
	ws.SetReadLimit(proto.MaxFrame)
	e.trace("connected to %s%s", e.URL, d.through())
	return ws, d.conn, nil
}

func (d *dialer) transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  d.findProxy,
		OnProxyConnectResponse: checkProxyAnswer,
		DialContext:            d.connect,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
}

// url returns the URL of the handshake. The server's URL has no host if it names a socket.
func (d *dialer) url(endpoint string) string {
	if d.socket != "" {
		return "ws://localhost" + usualPath
	}
	return endpoint
}

func (d *dialer) findProxy(r *http.Request) (_ *url.URL, err error) {
	if d.socket != "" {
		return nil, nil
	}
	d.proxy, err = proxyFor(r)
	return d.proxy, err
}

func checkProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return &proxyRefusal{strings.TrimSpace(answer.Status), retryAfter(answer.Header)}
	}
	return nil
}

// connect makes the network connection. It is closed if dial returns without keeping it.
func (d *dialer) connect(_ context.Context, network, addr string) (net.Conn, error) {
	if d.socket != "" {
		network, addr = "unix", d.socket
	}
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	c, err := dialer.DialContext(d.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.conn = &netConn{Conn: cork.Conn{Conn: c}}
	d.keep = context.AfterFunc(d.ctx, func() { c.Close() })
	return d.conn, nil
}

// handshakeBody is a connection that an HTTP answer has turned into a WebSocket. It has
// nothing to read until the handshake is accepted: the WebSocket library would wait three
// seconds for the body of an answer that it refuses.
type handshakeBody struct {
	io.ReadWriteCloser
	accepted atomic.Bool
	frames   frameHeads
}

func (b *handshakeBody) accept() { b.accepted.Store(true) }

func (b *handshakeBody) Read(p []byte) (int, error) {
	if !b.accepted.Load() {
		return 0, io.EOF
	}
	n, err := b.ReadWriteCloser.Read(p)
	if masked := b.frames.read(p[:n], err); masked != nil {
		return 0, masked
	}
	return n, err
}

// frameHeads follows the headers of the frames that a server sends. The WebSocket library
// accepts masked frames, which a client must refuse (RFC 6455, 5.1), and reports a message
// as complete if the connection ends in the middle of it.
type frameHeads struct {
	mu    sync.Mutex // the library reads too, when it closes a connection
	head  []byte     // the part of a header that has arrived
	left  uint64     // bytes of the payload that have not arrived
	more  bool       // the message has further frames
	ended bool       // the connection has ended
}

// torn reports whether the connection has ended in the middle of a message.
func (f *frameHeads) torn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended && (f.more || f.left > 0 || len(f.head) > 0)
}

// read takes what a read of the connection has returned, and returns an error as check does.
func (f *frameHeads) read(p []byte, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = err != nil
	return f.check(p)
}

var errMasked = errors.New("the server sent a masked frame")

// check returns an error if the next bytes of the server have the header of a masked frame.
// The caller holds mu.
func (f *frameHeads) check(p []byte) error {
	for len(p) > 0 {
		if f.left > 0 {
			skip := min(f.left, uint64(len(p)))
			f.left -= skip
			p = p[skip:]
			continue
		}
		f.head = append(f.head, p[0])
		p = p[1:]
		if len(f.head) < 2 {
			continue
		}
		if f.head[1]&0x80 != 0 {
			return errMasked
		}
		var length [8]byte
		size := map[byte]int{126: 2, 127: 8}[f.head[1]]
		switch {
		case len(f.head) < 2+size:
			continue
		case size == 0:
			f.left = uint64(f.head[1])
		default:
			copy(length[8-size:], f.head[2:])
			f.left = binary.BigEndian.Uint64(length[:])
		}
		if control := f.head[0]&8 != 0; !control {
			f.more = f.head[0]&0x80 == 0
		}
		f.head = f.head[:0]
	}
	return nil
}

// roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// checkBody makes the body of a handshake a handshakeBody.
func (d *dialer) checkBody(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
			if c, ok := resp.Body.(io.ReadWriteCloser); ok {
				d.body = &handshakeBody{ReadWriteCloser: c}
				resp.Body = d.body
			}
		}
		return resp, err
	})
}

// through names the proxy, if there is one.
func (d *dialer) through() string {
	if d.proxy == nil {
		return ""
	}
	return fmt.Sprintf(" through the proxy %s://%s", d.proxy.Scheme, d.proxy.Host)
}

// dialError returns the error for a WebSocket connection that was not made. resp is the
// HTTP answer, if there was one.
func (e Endpoint) dialError(ctx context.Context, d *dialer, resp *http.Response, err error) error {
	if end, ok := ctx.Deadline(); ok && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(end) {
		<-ctx.Done() // a connection may notice the deadline before the context does
	}
	server := e.URL + d.through()
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx, "can't reach "+server)
	case resp != nil:
		return e.diagnoseAnswer(resp)
	case isTLSAlert(err):
		return cantReach(e.URL, speaksTLS)
	case isNotHTTP(err):
		return notSkaro(e.URL, "it does not answer in HTTP", "")
	}
	var parse *url.Error
	if errors.As(err, &parse) {
		err = parse.Err
	}
	why, ok := e.diagnoseChain(err)
	if !ok {
		why = diagnoseDial(err)
	}
	if d.proxy != nil && why.hint == "" {
		why.hint = hintProxy
	}
	return cantReach(server, why)
}

// proxyFor returns the proxy of the environment. A proxy that is not a URL is an error:
// net/http would silently connect without it.
func proxyFor(r *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errProxy // the error quotes the URL, which may hold a password
	}
	if u != nil || loopback(r.URL.Hostname()) {
		return u, nil
	}
	name := strings.ToUpper(r.URL.Scheme) + "_PROXY"
	for _, text := range []string{os.Getenv(name), os.Getenv(strings.ToLower(name))} {
		_, err := url.Parse(text)
		_, withScheme := url.Parse("http://" + text)
		if text != "" && err != nil && withScheme != nil {
			return nil, errProxy
		}
	}
	return nil, nil
}
