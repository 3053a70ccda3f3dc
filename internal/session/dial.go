package session

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/cork"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// Endpoint is where a connection goes and how.
type Endpoint struct {
	URL            string // ws:// or wss://, path included; never rewritten
	CAFile         string // PEM file with further root certificates, or ""
	AllowPlaintext bool   // ws:// may go to a host that is not this one

	// ReadCA reads CAFile, before each connection that needs it; nil is os.ReadFile. What
	// ends ctx is to end it too: the file may be a pipe.
	ReadCA func(ctx context.Context) ([]byte, error)

	UserAgent string

	// Trace, where it is not nil, is told of every frame and state change, with
	// secrets replaced. It may be called from any goroutine.
	Trace func(line string)
}

func (e Endpoint) trace(format string, args ...any) {
	if e.Trace != nil {
		e.Trace(fmt.Sprintf(format, args...))
	}
}

// Check returns a *EndpointError when the endpoint can't be used. It looks nothing up
// and sends nothing.
func (e Endpoint) Check() error {
	const example = "a server URL looks like wss://chat.example.org/skaro_client/"
	shown, secret := fmt.Sprintf("the server URL %q", e.URL), strings.Contains(e.URL, "@")
	if secret { // what is before it may be a password, wherever it stands
		shown = "the server URL"
	}
	if strings.ContainsFunc(e.URL, unicode.IsSpace) {
		return &EndpointError{Why: shown + " has white space in it", Advice: example}
	}
	if !strings.Contains(e.URL, "://") {
		advice, place := example, e.URL
		if scheme, rest, ok := strings.Cut(e.URL, ":"); ok && slices.Contains([]string{"ws", "wss", "http", "https"}, strings.ToLower(scheme)) {
			place = strings.TrimLeft(rest, "/") // ws:/host and ws:host
		}
		if u, err := url.Parse("wss://" + place); err == nil && u.Hostname() != "" && !secret {
			advice = didYouMean(u, loopback(u.Hostname()))
		}
		return &EndpointError{Why: shown + " does not start with ws:// or wss://", Advice: advice}
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return &EndpointError{Why: "the server URL can't be read", Advice: example}
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http", "https":
		advice := example
		if u.Hostname() != "" && !secret {
			advice = didYouMean(u, u.Scheme == "http" && loopback(u.Hostname())) // ws:// elsewhere is the next error
		}
		return &EndpointError{Why: fmt.Sprintf("%s starts with %s://, not ws:// or wss://", shown, u.Scheme), Advice: advice}
	default:
		return &EndpointError{Why: shown + " does not start with ws:// or wss://", Advice: example}
	}
	if u.Hostname() == "" {
		return &EndpointError{Why: shown + " names no host", Advice: example}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return &EndpointError{Why: fmt.Sprintf("the server URL %q has the port %s: ports go from 1 to 65535", u.Redacted(), port), Advice: example}
		}
	}
	if u.User != nil {
		return &EndpointError{Why: "the server URL holds a user name or password, which Skaro does not use", Advice: "give the login to `skaroctl login`, and only the address to --server"}
	}
	if u.Scheme == "ws" && !e.AllowPlaintext && !loopback(u.Hostname()) {
		return &EndpointError{
			Why:    fmt.Sprintf("%s is not encrypted, and %s is another machine", e.URL, u.Hostname()),
			Advice: "use wss://, or --allow-plaintext if you trust every network on the way",
		}
	}
	return nil
}

// didYouMean is advice with the likely right URL.
func didYouMean(u *url.URL, plaintext bool) string {
	likely := *u
	likely.Scheme = "wss"
	if plaintext {
		likely.Scheme = "ws"
	}
	if likely.Path == "" || likely.Path == "/" {
		likely.Path = "/skaro_client/"
	}
	return "did you mean " + likely.String() + " ?"
}

// scheme reports whether the URL has that scheme, whose letters may be of any case
// (RFC 3986, 3.1).
func (e Endpoint) scheme(name string) bool {
	s, _, _ := strings.Cut(e.URL, ":")
	return strings.EqualFold(s, name)
}

// loopback reports whether a host is this machine, without looking it up.
func loopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// pathHint is advice for a server that answers HTTP at a path without Skaro.
func (e Endpoint) pathHint() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	usual := *u
	usual.Path = "/skaro_client/"
	switch u.Path {
	case usual.Path:
		return ""
	case "", "/":
		return "did you mean " + usual.String() + " ?"
	}
	return "the usual path is /skaro_client/: " + usual.String()
}

// roots is the system's root certificates and those of the CA file; nil is the
// system's alone.
func (e Endpoint) roots(ctx context.Context) (*x509.CertPool, error) {
	if e.CAFile == "" || !e.scheme("wss") {
		return nil, nil // reading them costs more than a whole message does
	}
	read := e.ReadCA
	if read == nil {
		read = func(context.Context) ([]byte, error) { return os.ReadFile(e.CAFile) }
	}
	pem, err := read(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("reading the root certificates from %s: %w", e.CAFile, ended(ctx))
	case err != nil:
		return nil, &EndpointError{Why: fmt.Sprintf("can't read the root certificates: %v", err), Advice: "check --ca-file, SSL_CERT_FILE and the profile's ca_file"}
	}
	pool, err := systemRoots(ctx)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &EndpointError{Why: fmt.Sprintf("%s holds no certificate in PEM form", e.CAFile), Advice: "check --ca-file, SSL_CERT_FILE and the profile's ca_file"}
	}
	return pool, nil
}

// systemRoots is a copy of the system's root certificates. On Unix crypto/x509 reads
// SSL_CERT_FILE, which may be a pipe too: what ends ctx ends the wait.
func systemRoots(ctx context.Context) (*x509.CertPool, error) {
	read := make(chan *x509.CertPool, 1)
	go func() {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		read <- pool
	}()
	select {
	case pool := <-read:
		return pool, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("reading the root certificates of the system: %w", ended(ctx))
	}
}

// tap is the network connection below a WebSocket. It can hold back writes, and
// it can be dropped right after its last one: a close frame, whose answer nobody
// waits for.
type tap struct {
	cork.Conn
	last atomic.Bool // the next write is the last one
}

func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	if t.last.Load() {
		t.Close()
	}
	return n, err
}

// dial makes the WebSocket connection.
func (e Endpoint) dial(ctx context.Context) (*websocket.Conn, *tap, error) {
	if err := e.Check(); err != nil {
		return nil, nil, err
	}
	roots, err := e.roots(ctx)
	if err != nil {
		return nil, nil, err
	}
	// net/http goes on with a dial that nobody waits for any more, for ever where
	// the other side is silent: this context ends it.
	dialing, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var proxy *url.URL
	var conn *tap
	keep := func() bool { return true }
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	transport := &http.Transport{
		Proxy: func(r *http.Request) (_ *url.URL, err error) {
			proxy, err = proxyFor(r)
			return proxy, err
		},
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode != http.StatusOK {
				return &proxyRefusal{strings.TrimSpace(answer.Status)}
			}
			return nil
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(_ context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(dialing, network, addr)
			if err != nil {
				return nil, err
			}
			conn = &tap{Conn: cork.Conn{Conn: c}}
			keep = context.AfterFunc(dialing, func() { c.Close() })
			return conn, nil
		},
	}
	ws, resp, err := websocket.Dial(ctx, e.URL, &websocket.DialOptions{
		HTTPClient: &http.Client{
			Transport: transport,
			// A redirect would send the credentials somewhere the user did not name.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		HTTPHeader:      http.Header{"User-Agent": {e.UserAgent}},
		CompressionMode: websocket.CompressionDisabled,
	})
	through := ""
	if proxy != nil {
		through = fmt.Sprintf(" through the proxy %s://%s", proxy.Scheme, proxy.Host)
	}
	if err == nil {
		keep()
		ws.SetReadLimit(proto.MaxFrame)
		e.trace("connected to %s%s", e.URL, through)
		return ws, conn, nil
	}
	e.trace("the connection failed: %v", err)
	if end, ok := ctx.Deadline(); ok && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(end) {
		<-ctx.Done() // whoever watches the deadline may be faster than the context
	}
	down := &UnreachableError{Server: e.URL + through}
	switch {
	case ctx.Err() != nil:
		down.Err = ended(ctx)
		return nil, nil, down
	case resp != nil:
		return nil, nil, e.badHandshake(resp)
	case strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`): // RFC 8446, 5.1: an alert
		return nil, nil, e.speaksTLS()
	case notHTTP(err.Error()):
		return nil, nil, &ProtocolError{Server: e.URL, Saw: "it does not answer in HTTP"}
	}
	var parse *url.Error
	if errors.As(err, &parse) {
		err = parse.Err
	}
	down.Advice, down.Err = explainDial(err)
	down.Final = withoutTLS(err)
	if proxy != nil && down.Advice == "" {
		down.Advice = proxyAdvice
	}
	return nil, nil, down
}

const proxyAdvice = "check HTTPS_PROXY, or name the host in NO_PROXY"

// errProxy is a proxy in the environment that can't be used.
var errProxy = errors.New("the proxy in the environment is not a URL like http://proxy.example.org:3128 or socks5h://localhost:1080")

// proxyFor is the proxy of the environment. One that is not a URL is an error:
// net/http would go around it without a word.
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

// speaksTLS is the error for ws:// to a server with TLS.
func (e Endpoint) speaksTLS() error {
	return &UnreachableError{Server: e.URL, Final: true, Err: errors.New("it speaks TLS, and the URL says ws://"), Advice: "use wss:// in --server"}
}

// letPass is advice for a server that speaks WebSocket, but wrongly.
const letPass = "check --server; what is between it and us must let WebSocket pass"

// notHTTP reports whether a failed request met something that is no HTTP:
// net/http has no type for it. The start of a good answer is one that was cut; the
// second text is of a peer that speaks first.
func notHTTP(text string) bool {
	for what, good := range map[string]string{"malformed HTTP response ": "HTTP/1.1", "malformed HTTP status code ": "101"} {
		if _, quoted, ok := strings.Cut(text, what); ok {
			saw, err := strconv.Unquote(quoted)
			return err != nil || !strings.HasPrefix(good, saw)
		}
	}
	return strings.Contains(text, "malformed HTTP") || strings.Contains(text, "readLoopPeekFailLocked: %!w(<nil>)")
}

// corrected is the URL that a redirect says was meant, where it is ours with a slip: a
// slash left out, the usual path, TLS. Elsewhere it is "": a page that asks for a login
// and the one of another host are no Skaro server by all that is known.
func (e Endpoint) corrected(location string) string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	to, err := u.Parse(location)
	if err != nil || !strings.EqualFold(to.Hostname(), u.Hostname()) || to.User != nil {
		return ""
	}
	if to.Path != u.Path && to.Path != u.Path+"/" && to.Path != "/skaro_client/" {
		return ""
	}
	meant := url.URL{Scheme: "ws", Host: to.Host, Path: to.Path}
	if e.scheme("wss") || to.Scheme == "https" || to.Scheme == "wss" { // nobody talks us out of TLS
		meant.Scheme = "wss"
	}
	if meant.String() == e.URL {
		return ""
	}
	return meant.String()
}

// badHandshake is the error for an HTTP answer that is no WebSocket handshake.
func (e Endpoint) badHandshake(resp *http.Response) error {
	status := fmt.Sprintf("HTTP status %s", strings.TrimSpace(resp.Status))
	switch code := resp.StatusCode; {
	case code == http.StatusSwitchingProtocols:
		return &ProtocolError{Server: e.URL, Saw: "its WebSocket handshake is wrong", Advice: letPass}
	case code >= 300 && code < 400:
		to := resp.Header.Get("Location")
		redirect := &UnreachableError{
			Server: e.URL, Err: fmt.Errorf("it redirects to %q, which is not followed", to),
			Advice: "if that is the right server, give its ws:// or wss:// URL to --server",
		}
		if meant := e.corrected(to); meant != "" {
			redirect.Final, redirect.Advice = true, "did you mean "+meant+" ?"
		}
		return redirect
	case code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout,
		code == http.StatusTooManyRequests, code == http.StatusProxyAuthRequired:
		return &UnreachableError{Server: e.URL, Err: errors.New("it answered with " + status), Advice: tryAgain}
	}
	saw := status
	if resp.Body != nil {
		body, _ := io.ReadAll(resp.Body) // the library keeps the first 1,024 bytes
		if resp.StatusCode == http.StatusBadRequest && e.scheme("ws") && bytes.Contains(body, []byte("HTTPS")) {
			return e.speaksTLS() // as the HTTP servers of Go, nginx and Apache put it
		}
		if len(body) > 0 {
			line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(body), "")), "\n")
			if len(line) > 80 {
				line = strings.ToValidUTF8(line[:80], "") + "…"
			}
			saw += fmt.Sprintf(" and %q", line)
		}
	}
	return &ProtocolError{Server: e.URL, Saw: "it answered the WebSocket handshake with " + saw, Advice: cmp.Or(e.pathHint(), "check the host and port in --server: another program may answer there")}
}
