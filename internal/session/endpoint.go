package session

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Endpoint says where a connection goes, and how.
type Endpoint struct {
	URL            string // ws:// or wss://, path included; or unix: and the path of a socket
	CAFile         string // PEM file with additional root certificates, or ""
	AllowPlaintext bool   // ws:// may go to another machine

	// ReadCA reads CAFile before each connection that needs it. It must return when ctx ends,
	// because the file may be a pipe. A nil ReadCA is ReadCertificates.
	ReadCA func(ctx context.Context) ([]byte, error)

	UserAgent string

	// Trace, if it is not nil, receives a line about every frame and state change, without
	// secrets. Any goroutine may call it.
	Trace func(line string)
}

func (e Endpoint) trace(format string, args ...any) {
	if e.Trace != nil {
		e.Trace(fmt.Sprintf(format, args...))
	}
}

// usualPath is where Skaro servers have their WebSocket.
const usualPath = "/skaro_client/"

// CompleteURL returns the URL with the usual path if it is a Skaro URL without a path.
// Every other URL stays as it is; Check says what is wrong with it.
func CompleteURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" || u.Path != "" {
		return raw
	}
	end := len(raw)
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		end = i
	}
	return raw[:end] + usualPath + raw[end:]
}

// socket returns the path of the Unix socket that the URL names, or "".
func (e Endpoint) socket() string {
	path, _ := strings.CutPrefix(e.URL, "unix:")
	if path == e.URL {
		return ""
	}
	return path
}

const (
	hintSocket = "give the whole path of the server's socket, like unix:/run/skarod/skarod.sock"
	hintURL    = "give a server URL like wss://chat.example.org/skaro_client/"
	hintCAFile = "check --ca-file, SSL_CERT_FILE and the profile's ca_file"
)

// badEndpoint returns the error for an endpoint that can't be used.
func badEndpoint(hint, format string, args ...any) *Error {
	return &Error{Kind: KindEndpoint, Msg: fmt.Sprintf(format, args...), Hint: hint}
}

// Check returns an error of KindEndpoint if the URL can't be used. It looks nothing up and
// sends nothing.
func (e Endpoint) Check() error {
	if strings.HasPrefix(e.URL, "unix:") {
		return e.checkSocket()
	}
	shown := e.shown()
	if strings.ContainsFunc(e.URL, unicode.IsSpace) {
		return badEndpoint(hintURL, "%s contains white space", shown)
	}
	if !strings.Contains(e.URL, "://") {
		return badEndpoint(e.schemeHint(), "%s does not start with ws:// or wss://", shown)
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return badEndpoint(hintURL, "the server URL can't be read")
	}
	if err := e.checkScheme(u); err != nil {
		return err
	}
	if u.Hostname() == "" {
		return badEndpoint(hintURL, "%s names no host", shown)
	}
	if port := u.Port(); port != "" && !validPort(port) {
		return badEndpoint(hintURL, "the server URL %q has the port %s: ports go from 1 to 65535", u.Redacted(), port)
	}
	if u.User != nil {
		return badEndpoint("give the login to `skaroctl login`, and only the address to --server",
			"the server URL contains a user name or password, which Skaro does not use")
	}
	if u.Scheme == "ws" && !e.AllowPlaintext && !loopback(u.Hostname()) {
		return badEndpoint("use wss://, or --allow-plaintext if you trust every network on the way",
			"%s is not encrypted, and %s is another machine", e.URL, u.Hostname())
	}
	return nil
}

// checkSocket is Check for the path of a socket. A profile outlasts the current folder.
func (e Endpoint) checkSocket() error {
	if path := e.socket(); !filepath.IsAbs(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return badEndpoint(hintSocket, "the server URL %q has no absolute path", e.URL)
	}
	return nil
}

// shown names the URL in an error, without what may be a password.
func (e Endpoint) shown() string {
	if e.mayHoldPassword() {
		return "the server URL"
	}
	return fmt.Sprintf("the server URL %q", e.URL)
}

// mayHoldPassword reports whether the URL has an @ anywhere.
func (e Endpoint) mayHoldPassword() bool { return strings.Contains(e.URL, "@") }

// checkScheme is Check for the scheme of a URL that can be read.
func (e Endpoint) checkScheme(u *url.URL) error {
	switch u.Scheme {
	case "ws", "wss":
		return nil
	case "http", "https":
		hint := hintURL
		if u.Hostname() != "" && !e.mayHoldPassword() {
			hint = didYouMean(u, u.Scheme == "http" && loopback(u.Hostname())) // ws:// to another machine is the next error
		}
		return badEndpoint(hint, "%s starts with %s://, not ws:// or wss://", e.shown(), u.Scheme)
	}
	return badEndpoint(hintURL, "%s does not start with ws:// or wss://", e.shown())
}

// schemeHint returns a hint for a URL without "://".
func (e Endpoint) schemeHint() string {
	address := e.URL
	if scheme, rest, ok := strings.Cut(e.URL, ":"); ok && slices.Contains([]string{"ws", "wss", "http", "https"}, strings.ToLower(scheme)) {
		address = strings.TrimLeft(rest, "/") // of ws:/host and ws:host
	}
	u, err := url.Parse("wss://" + address)
	if err != nil || u.Hostname() == "" || e.mayHoldPassword() {
		return hintURL
	}
	return didYouMean(u, loopback(u.Hostname()))
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// didYouMean returns a hint with the URL that is likely right.
func didYouMean(u *url.URL, plaintext bool) string {
	likely := *u
	likely.Scheme = "wss"
	if plaintext {
		likely.Scheme = "ws"
	}
	if likely.Path == "" || likely.Path == "/" {
		likely.Path = usualPath
	}
	return "did you mean " + likely.String() + " ?"
}

// pathHint returns a hint for a server that answers HTTP at this path without Skaro.
func (e Endpoint) pathHint() string {
	u, err := url.Parse(e.URL)
	if err != nil || e.socket() != "" {
		return ""
	}
	usual := *u
	usual.Path = usualPath
	switch u.Path {
	case usualPath:
		return ""
	case "", "/":
		return "did you mean " + usual.String() + " ?"
	}
	return "try the usual path " + usualPath + ": " + usual.String()
}

// hasScheme reports whether the URL has a scheme, in letters of any case (RFC 3986, 3.1).
func (e Endpoint) hasScheme(name string) bool {
	scheme, _, _ := strings.Cut(e.URL, ":")
	return strings.EqualFold(scheme, name)
}

// loopback reports whether a host is this machine, without looking it up.
func loopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
