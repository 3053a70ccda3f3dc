package session

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// This file has every sentence about a failed or lost connection. The words of libraries
// appear only in the trace.

// diagnosis is why a connection failed, in plain words.
type diagnosis struct {
	why   string
	hint  string // what the user can do, or ""
	final bool   // another attempt would end in the same way
	other bool   // another program answers instead of the server

	retryAfter time.Duration // how long the server or a proxy asks us to wait; zero if it does not say
}

// Hints that several diagnoses share.
const (
	hintTryAgain = "try again in a moment: the server may be restarting"
	hintNetwork  = "check the network of this machine, and the host and port in --server"
	hintProxy    = "check HTTPS_PROXY, or name the host in NO_PROXY"
	hintTLS      = "give the server TLS 1.2 or newer"
	hintUpgrade  = "check --server, and that every proxy on the way lets WebSocket pass"
	hintLog      = "look in the server's log, or ask its administrator"
)

// Diagnoses that need no details.
var (
	brokenOff     = diagnosis{why: "the server closed it without giving a reason", hint: hintTryAgain}
	closedByUs    = diagnosis{why: "we closed it"}
	speaksTLS     = diagnosis{why: "it speaks TLS, and the URL says ws://", hint: "use wss:// in --server", final: true, other: true}
	violatesWS    = diagnosis{why: "the server violated the WebSocket protocol", hint: hintUpgrade}
	sentTooMuch   = diagnosis{why: fmt.Sprintf("the server sent a frame of more than %d bytes", proto.MaxFrame), hint: "ask for less, with --limit or --since", final: true}
	tookTooLittle = diagnosis{why: fmt.Sprintf("the server closed it: a frame was too large for it (code %d)", websocket.StatusMessageTooBig), hint: "send less at once", final: true}
)

// diagnoseDial explains why no connection was made.
func diagnoseDial(err error) diagnosis {
	for _, diagnose := range []func(error) (diagnosis, bool){
		diagnoseProxy, diagnoseCertificate, diagnoseTLS, diagnoseName, diagnoseConnect, diagnoseNoAnswer,
	} {
		if d, ok := diagnose(err); ok {
			return d
		}
	}
	return diagnosis{why: proto.Excerpt(err.Error())}
}

// errProxy is a proxy in the environment that can't be used.
var errProxy = errors.New("the proxy in the environment is not a URL like http://proxy.example.org:3128 or socks5h://localhost:1080")

// proxyRefusal is a proxy that does not connect us.
type proxyRefusal struct {
	status     string
	retryAfter time.Duration
}

func (e *proxyRefusal) Error() string {
	return "the proxy answered with HTTP status " + proto.Excerpt(e.status)
}

// diagnoseProxy explains what went wrong between us and a proxy, or behind it.
func diagnoseProxy(err error) (diagnosis, bool) {
	var refusal *proxyRefusal
	var op *net.OpError
	switch {
	case errors.Is(err, errProxy):
		return diagnosis{why: errProxy.Error(), hint: hintProxy}, true
	case errors.As(err, &refusal):
		return diagnosis{why: refusal.Error(), hint: hintProxy, retryAfter: refusal.retryAfter}, true
	case !errors.As(err, &op):
		return diagnosis{}, false
	case op.Op == "socks connect", op.Op == "socks":
		return diagnosis{why: "the proxy could not connect: " + bareText(op.Err), hint: hintProxy}, true
	case op.Op == "proxyconnect":
		return diagnosis{why: "the proxy: " + diagnoseDial(op.Err).why, hint: hintProxy}, true
	}
	return diagnosis{}, false
}

// diagnoseCertificate explains why the certificate of a server was not accepted. That is final,
// unless the clock of this machine is not set yet.
func diagnoseCertificate(err error) (diagnosis, bool) {
	var (
		unknown x509.UnknownAuthorityError
		verify  *tls.CertificateVerificationError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		// unknown.Cert may be the certificate of an authority, which is always self-signed.
		if errors.As(err, &verify) && selfSigned(verify.UnverifiedCertificates[0]) {
			return diagnosis{why: "its TLS certificate is self-signed and not trusted", hint: "if the server is yours, give its certificate to --ca-file", final: true}, true
		}
		return diagnosis{why: "its TLS certificate is signed by an authority that this machine does not trust", hint: "if you trust the authority, give its certificate to --ca-file; if it is an intermediate one, the server must send its certificate", final: true}, true
	case errors.As(err, &host) && namesNoHost(host.Certificate):
		return diagnosis{why: "its TLS certificate names no host: it needs a subjectAltName", hint: "make the server a certificate with a subjectAltName, like DNS:chat.example.org or IP:192.0.2.1: the common name does not count", final: true}, true
	case errors.As(err, &host):
		return diagnosis{why: fmt.Sprintf("its TLS certificate is for %s, not for %q", certificateNames(host.Certificate), host.Host), hint: "use a name from the certificate in --server", final: true}, true
	case errors.As(err, &invalid):
		return diagnoseInvalid(invalid), true
	case errors.As(err, &verify):
		return diagnosis{why: "its TLS certificate can't be verified: " + bareText(verify.Err), hint: "give the certificate of the authority to --ca-file", final: true}, true
	}
	return diagnosis{}, false
}

// diagnoseInvalid explains why a certificate is not valid.
func diagnoseInvalid(invalid x509.CertificateInvalidError) diagnosis {
	switch cert := invalid.Cert; {
	case invalid.Reason != x509.Expired || cert == nil:
		return diagnosis{why: "its TLS certificate can't be used: " + bareText(invalid), hint: "give the server another certificate", final: true}
	case time.Now().Before(cert.NotBefore):
		return diagnosis{why: "its TLS certificate is not valid before " + cert.NotBefore.UTC().Format(time.DateOnly), hint: "check the clock of this machine (date)"}
	default:
		return diagnosis{why: "its TLS certificate expired on " + cert.NotAfter.UTC().Format(time.DateOnly), hint: "renew the server's certificate, or check the clock of this machine (date)", final: true}
	}
}

// namesNoHost reports whether a certificate has no name that a host can have.
func namesNoHost(c *x509.Certificate) bool {
	return c != nil && len(c.DNSNames) == 0 && len(c.IPAddresses) == 0
}

// certificateNames lists the hosts that a certificate is for.
func certificateNames(c *x509.Certificate) string {
	if c == nil {
		return "no host"
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return cmp.Or(proto.Excerpt(strings.Join(names, ", ")), "no host")
}

func selfSigned(c *x509.Certificate) bool {
	return c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// diagnoseTLS explains why a TLS handshake failed for another reason than the certificate.
func diagnoseTLS(err error) (diagnosis, bool) {
	var record tls.RecordHeaderError
	var op *net.OpError
	isOp := errors.As(err, &op)
	switch {
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return diagnosis{why: "it does not speak TLS", hint: "if the server has no TLS, use ws:// in --server", final: true, other: true}, true
	case isOp && op.Op == "remote error": // a TLS alert (RFC 8446, 6)
		return diagnosis{why: "it ended the TLS handshake: " + bareText(op.Err), hint: alertHint(op.Err.Error())}, true
	case isOp && op.Op == "local error", strings.HasPrefix(err.Error(), "tls: "):
		return diagnosis{why: "its TLS can't be understood: " + bareText(err), hint: hintTLS}, true
	}
	return diagnosis{}, false
}

// alertHint returns what to do about a TLS alert, for which there is no type.
func alertHint(alert string) string {
	switch {
	case strings.Contains(alert, "protocol version"):
		return hintTLS
	case strings.Contains(alert, "certificate required"):
		return "use a server that asks for no client certificate: skaroctl has none"
	case strings.Contains(alert, "unrecognized name"):
		return "check the name in --server"
	}
	return "check the host and port in --server; the server's log says more"
}

// diagnoseName explains why a host name was not resolved.
func diagnoseName(err error) (diagnosis, bool) {
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns):
		return diagnosis{}, false
	case dns.IsNotFound:
		return diagnosis{why: fmt.Sprintf("there is no host named %q", dns.Name), hint: "check the name in --server"}, true
	}
	return diagnosis{why: fmt.Sprintf("the name %q can't be looked up: the name server does not answer or has failed", dns.Name), hint: "check the network of this machine, and its DNS"}, true
}

// diagnoseConnect explains why no connection to an address was made.
func diagnoseConnect(err error) (diagnosis, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" || op.Addr == nil {
		return diagnosis{}, false
	}
	address := op.Addr.String()
	switch {
	case op.Net == "unix" && isErrno(op, syscall.ENOENT):
		return diagnosis{why: "there is no socket " + address, hint: "check that the server runs, and the path in --server"}, true
	case op.Net == "unix" && isErrno(op, syscall.EINVAL):
		return diagnosis{why: "this system has no socket with so long a path: " + address, hint: "give --server a path of at most 100 bytes"}, true
	case op.Net == "unix" && isErrno(op, syscall.EACCES):
		return diagnosis{why: "this user may not use the socket " + address, hint: "ask the administrator of the server to add this user to the socket's group"}, true
	case isErrno(op, syscall.ECONNREFUSED):
		return diagnosis{why: fmt.Sprintf("nothing listens at %s (connection refused)", address), hint: "check that the server runs, and the address in --server"}, true
	case isErrno(op, syscall.EHOSTUNREACH, syscall.ENETUNREACH):
		return diagnosis{why: fmt.Sprintf("there is no route to %s (%s)", address, bareText(op.Err)), hint: hintNetwork}, true
	case isErrno(op, syscall.ETIMEDOUT):
		return diagnosis{why: address + " does not answer (connection timed out)", hint: hintNetwork}, true
	case isErrno(op, syscall.ECONNRESET):
		return diagnosis{why: address + " closed the connection at once", hint: hintTryAgain}, true
	}
	return diagnosis{why: address + ": " + bareText(op.Err), hint: hintNetwork}, true
}

// diagnoseNoAnswer explains a server that took the connection and did not answer the
// WebSocket handshake.
func diagnoseNoAnswer(err error) (diagnosis, bool) {
	// net/http has no type for a server that hangs up while the request is being written.
	if _, ok := diagnoseNetwork(err); ok || strings.Contains(err.Error(), "server closed idle connection") {
		return diagnosis{why: "it closed the connection without an answer", hint: hintTryAgain}, true
	}
	if strings.Contains(err.Error(), "malformed") {
		return diagnosis{why: "its answer was cut off or is not HTTP", hint: "try again; if that does not help, check the host and port in --server"}, true
	}
	return diagnosis{}, false
}

// diagnoseLoss explains why a connection that had been made was lost.
func diagnoseLoss(err error) diagnosis {
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		return diagnoseClose(closed)
	case errors.Is(err, websocket.ErrMessageTooBig):
		return sentTooMuch
	}
	if d, ok := diagnoseNetwork(err); ok {
		return d
	}
	return violatesWS
}

// diagnoseNetwork explains a read or write that failed because of the network. ok is
// false if it failed for another reason.
func diagnoseNetwork(err error) (d diagnosis, ok bool) {
	var op *net.OpError
	isOp := errors.As(err, &op)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isErrno(err, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE):
		return brokenOff, true
	case isErrno(err, syscall.ETIMEDOUT):
		return diagnosis{why: "the server no longer answers (connection timed out)", hint: hintTryAgain}, true
	case errors.Is(err, net.ErrClosed):
		return closedByUs, true
	case isOp && op.Op == "remote error":
		return diagnosis{why: "the server ended the TLS connection: " + bareText(op.Err), hint: hintTryAgain}, true
	case isOp:
		return diagnosis{why: bareText(op.Err), hint: hintTryAgain}, true // no route to host, for example
	}
	return diagnosis{}, false
}

// closeCodes says what a server means by a close frame without a reason (RFC 6455, 7.4.1,
// and later registrations).
var closeCodes = map[websocket.StatusCode]string{
	websocket.StatusNormalClosure:           "it has finished",
	websocket.StatusGoingAway:               "it is shutting down",
	websocket.StatusProtocolError:           "it says that skaroctl violated the WebSocket protocol",
	websocket.StatusUnsupportedData:         "it can't process what skaroctl sent",
	websocket.StatusInvalidFramePayloadData: "it can't read what skaroctl sent",
	websocket.StatusPolicyViolation:         "it does not allow what skaroctl did",
	websocket.StatusInternalError:           "it has failed",
	websocket.StatusServiceRestart:          "it is restarting",
	websocket.StatusTryAgainLater:           "it is busy",
}

// diagnoseClose explains a close frame.
func diagnoseClose(closed websocket.CloseError) diagnosis {
	d := diagnosis{hint: hintLog}
	switch closed.Code {
	case websocket.StatusMessageTooBig:
		return tookTooLittle
	case websocket.StatusNoStatusRcvd:
		return brokenOff
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusServiceRestart, websocket.StatusTryAgainLater:
		d.hint = hintTryAgain
	}
	d.why = fmt.Sprintf("the server closed it (code %d)", closed.Code)
	if reason := cmp.Or(closed.Reason, closeCodes[closed.Code]); reason != "" {
		d.why = fmt.Sprintf("the server closed it: %s (code %d)", proto.Excerpt(reason), closed.Code)
	}
	return d
}

// windowsErrno has the numbers of socket errors on Windows (WSAECONNREFUSED and so on).
// No other system has errors of these numbers.
var windowsErrno = map[syscall.Errno]syscall.Errno{
	syscall.ECONNREFUSED: 10061, syscall.ECONNRESET: 10054, syscall.ECONNABORTED: 10053,
	syscall.EHOSTUNREACH: 10065, syscall.ENETUNREACH: 10051, syscall.ETIMEDOUT: 10060,
}

// isErrno reports whether an error is one of the system's errors, on any system.
func isErrno(err error, codes ...syscall.Errno) bool {
	return slices.ContainsFunc(codes, func(code syscall.Errno) bool {
		onWindows, known := windowsErrno[code]
		return errors.Is(err, code) || known && errors.Is(err, onWindows)
	})
}

// bareText returns an error's text without the names of packages and system calls.
func bareText(err error) string {
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	text := err.Error()
	for _, name := range []string{"tls: ", "x509: ", "unknown error "} {
		text = strings.TrimPrefix(text, name)
	}
	return proto.Excerpt(text) // it may quote the peer
}

// diagnoseAnswer returns the error for an HTTP answer that is not a WebSocket handshake.
func (e Endpoint) diagnoseAnswer(resp *http.Response) *Error {
	status := "HTTP status " + proto.Excerpt(strings.TrimSpace(resp.Status))
	switch code := resp.StatusCode; {
	case code == http.StatusSwitchingProtocols:
		return notSkaro(e.URL, "its WebSocket handshake is invalid", hintUpgrade)
	case code >= 300 && code < 400:
		return cantReach(e.URL, e.diagnoseRedirect(resp.Header.Get("Location")))
	case code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout,
		code == http.StatusTooManyRequests, code == http.StatusProxyAuthRequired:
		return cantReach(e.URL, diagnoseBusy(resp, status))
	}
	var body []byte
	if resp.Body != nil {
		body, _ = io.ReadAll(resp.Body) // the library keeps the first 1,024 bytes
	}
	if resp.StatusCode == http.StatusBadRequest && e.hasScheme("ws") && strings.Contains(string(body), "HTTPS") {
		return cantReach(e.URL, speaksTLS) // in the words of the HTTP servers of Go, nginx and Apache
	}
	saw := "it answered the WebSocket handshake with " + status
	if line := firstLine(body); line != "" {
		saw += fmt.Sprintf(" and %q", line)
	}
	return notSkaro(e.URL, saw, cmp.Or(e.pathHint(), "check the host and port in --server: another program may answer there"))
}

// diagnoseBusy explains an answer that means "not now".
func diagnoseBusy(resp *http.Response, status string) diagnosis {
	d := diagnosis{why: "it answered with " + status, hint: hintTryAgain, retryAfter: retryAfter(resp.Header)}
	switch tooMany := resp.StatusCode == http.StatusTooManyRequests; {
	case tooMany && d.retryAfter > 0:
		d.hint = fmt.Sprintf("try again in %v: the server is asked for too much at once", d.retryAfter)
	case tooMany:
		d.hint = "try again in a minute: the server is asked for too much at once"
	case d.retryAfter > 0:
		d.hint = fmt.Sprintf("try again in %v: the server is busy or restarting", d.retryAfter)
	}
	return d
}

// retryAfter reads the field Retry-After of an HTTP answer, in seconds or as a date (RFC
// 9110, 10.2.3). A date counts from the server's own time, if the answer has that.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return proto.Wait(seconds)
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return proto.Wait(int64(math.Ceil(until.Sub(now).Seconds())))
}

// firstLine returns the first line of a body, cut to 80 bytes.
func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(body), "")), "\n")
	if len(line) > 80 {
		line = strings.ToValidUTF8(line[:80], "") + "…"
	}
	return line
}

// diagnoseRedirect explains a redirect. It is final if it shows a slip in our own URL.
func (e Endpoint) diagnoseRedirect(location string) diagnosis {
	d := diagnosis{
		why:  fmt.Sprintf("it redirects to %q, which is not followed", proto.Excerpt(location)),
		hint: "if that is the right server, give its ws:// or wss:// URL to --server",
	}
	if meant := e.corrected(location); meant != "" {
		d.final, d.other, d.hint = true, true, "did you mean "+meant+" ?"
	}
	return d
}

// corrected returns the URL that a redirect suggests, if it differs from ours only by a
// slip: a missing slash, the usual path, TLS. Otherwise it returns "": a login page or
// another host may not be a Skaro server.
func (e Endpoint) corrected(location string) string {
	u, err := url.Parse(e.URL)
	if err != nil || e.socket() != "" {
		return ""
	}
	to, err := u.Parse(location)
	if err != nil || !strings.EqualFold(to.Hostname(), u.Hostname()) || to.User != nil {
		return ""
	}
	if to.Path != u.Path && to.Path != u.Path+"/" && to.Path != usualPath {
		return ""
	}
	meant := url.URL{Scheme: "ws", Host: to.Host, Path: to.Path}
	if e.hasScheme("wss") || to.Scheme == "https" || to.Scheme == "wss" { // a redirect must not turn TLS off
		meant.Scheme = "wss"
	}
	if meant.String() == e.URL {
		return ""
	}
	return meant.String()
}

// isTLSAlert reports whether an HTTP client met a TLS alert (RFC 8446, 5.1) instead of an
// answer. net/http has no type for it.
func isTLSAlert(err error) bool {
	return strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`)
}

// isNotHTTP reports whether the peer did not answer in HTTP. The beginning of a good answer
// that was cut off counts as HTTP. net/http has no type for it.
func isNotHTTP(err error) bool {
	text := err.Error()
	for what, good := range map[string]string{"malformed HTTP response ": "HTTP/1.1", "malformed HTTP status code ": "101"} {
		if _, quoted, ok := strings.Cut(text, what); ok {
			saw, err := strconv.Unquote(quoted)
			return err != nil || !strings.HasPrefix(good, saw)
		}
	}
	// net/http gives the second text if the peer speaks first.
	return strings.Contains(text, "malformed HTTP") || strings.Contains(text, "readLoopPeekFailLocked: %!w(<nil>)")
}
