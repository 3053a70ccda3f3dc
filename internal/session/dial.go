package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/cork"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// netConn is the network connection below a WebSocket. It can be corked, and it can be
// closed right after its last write: a close frame, whose answer is not awaited.
type netConn struct {
	cork.Conn
	last atomic.Bool // the next write is the last one
}

func (c *netConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.last.Load() {
		c.Close()
	}
	return n, err
}

// dialer makes one WebSocket connection. Its functions are called by net/http, in
// goroutines of its own, and have returned before the connection is used.
type dialer struct {
	ctx   context.Context // ends when dial returns: net/http goes on with abandoned dials
	proxy *url.URL
	conn  *netConn
	keep  func() bool // keeps conn open when ctx ends
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
	d := &dialer{ctx: dialing}
	ws, resp, err := websocket.Dial(ctx, e.URL, &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport: d.transport(roots),
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

func (d *dialer) findProxy(r *http.Request) (_ *url.URL, err error) {
	d.proxy, err = proxyFor(r)
	return d.proxy, err
}

func checkProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return &proxyRefusal{strings.TrimSpace(answer.Status)}
	}
	return nil
}

// connect makes the network connection. It is closed if dial returns without keeping it.
func (d *dialer) connect(_ context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	c, err := dialer.DialContext(d.ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.conn = &netConn{Conn: cork.Conn{Conn: c}}
	d.keep = context.AfterFunc(d.ctx, func() { c.Close() })
	return d.conn, nil
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
	why := diagnoseDial(err)
	if d.proxy != nil && why.hint == "" {
		why.hint = hintProxy
	}
	return cantReach(server, why)
}

// proxyFor returns the proxy of the environment. A proxy that is not a URL is an error:
// net/http would silently go around it.
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

// roots returns the system's root certificates and those of the CA file. Nil means the
// system's alone: reading them costs more than a whole message does.
func (e Endpoint) roots(ctx context.Context) (*x509.CertPool, error) {
	if e.CAFile == "" || !e.hasScheme("wss") {
		return nil, nil
	}
	read := e.ReadCA
	if read == nil {
		read = func(context.Context) ([]byte, error) { return os.ReadFile(e.CAFile) }
	}
	pem, err := read(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("reading the root certificates from %s: %w", e.CAFile, context.Cause(ctx))
	case err != nil:
		return nil, badEndpoint(hintCAFile, "can't read the root certificates: %v", err)
	}
	pool, err := systemRoots(ctx)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, badEndpoint(hintCAFile, "%s contains no certificate in PEM form", e.CAFile)
	}
	return pool, nil
}

// systemRoots returns a copy of the system's root certificates. On Unix crypto/x509 reads
// SSL_CERT_FILE, which may be a pipe that nothing is written to: then the goroutine that
// reads it outlives ctx, and ends with the process.
func systemRoots(ctx context.Context) (*x509.CertPool, error) {
	pool, err := terminal.Await(ctx, func() (*x509.CertPool, error) {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return x509.NewCertPool(), nil
		}
		return pool, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the root certificates of the system: %w", err)
	}
	return pool, nil
}
