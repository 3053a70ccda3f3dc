package session

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// EndpointError is a server URL or CA file that can't be used; nothing was looked up or sent.
type EndpointError struct {
	Why    string
	Advice string // what to do about it
}

func (e *EndpointError) Error() string { return e.Why }

// Hint says what to do about it.
func (e *EndpointError) Hint() string { return e.Advice }

// UnreachableError is a connection that could not be made, or that was lost
// before the request could take effect.
type UnreachableError struct {
	Server string // the URL
	Lost   bool   // the connection had been made
	Final  bool   // the same would happen again
	Err    error
	Advice string
}

func (e *UnreachableError) Error() string {
	if e.Lost {
		return fmt.Sprintf("lost the connection to %s: %v", e.Server, e.Err)
	}
	return fmt.Sprintf("can't reach %s: %v", e.Server, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *UnreachableError) Hint() string { return e.Advice }

// RefusedError is a reply with a status other than 200.
type RefusedError struct {
	Request string // the request's type
	Status  string
	Info    string // the server's reason
}

func (e *RefusedError) Error() string {
	if e.Info == "" || e.Info == e.Status {
		return "the server answered " + e.Status
	}
	return fmt.Sprintf("the server answered %s: %s", e.Status, e.Info)
}

// Temporary reports whether the same request may succeed later: the server is
// busy or in trouble.
func (e *RefusedError) Temporary() bool {
	code := proto.StatusCode(e.Status)
	return code == "429" || len(code) == 3 && code[0] == '5' && code != "501"
}

// AuthError is a login, token or SID that the server refused. It is final: the
// same credentials are not tried again.
type AuthError struct {
	Login string // "" where only a SID was known
	RefusedError
}

func (e *AuthError) Error() string {
	if e.Login == "" {
		return "the session can't be restored: " + e.RefusedError.Error()
	}
	return fmt.Sprintf("login as %s was refused: %s", e.Login, e.RefusedError.Error())
}

// ProtocolError is a server that does not speak Skaro.
type ProtocolError struct {
	Server string
	Saw    string // what was seen instead
	Err    error  // nil where Saw says it all
	Advice string
}

func (e *ProtocolError) Error() string {
	s := fmt.Sprintf("%s does not speak Skaro: %s", e.Server, e.Saw)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *ProtocolError) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *ProtocolError) Hint() string { return e.Advice }

// TimeoutError is the cause of a context whose time ran out.
type TimeoutError struct{ After time.Duration }

func (e *TimeoutError) Error() string { return fmt.Sprintf("no answer within %v", e.After) }

// Timeout makes errors.As on net.Error see a time-out.
func (e *TimeoutError) Timeout() bool { return true }

// UnknownError is a message, or another request that changes something, that was
// sent and not confirmed: it may or may not have taken effect.
type UnknownError struct {
	Err     error
	Request string // what was asked; "" for a message
}

func (e *UnknownError) Error() string {
	if e.Request != "" {
		return "sent, but not answered by the server: it may or may not have been done: " + e.Err.Error()
	}
	return "sent, but not confirmed by the server: it may or may not have been delivered: " + e.Err.Error()
}

func (e *UnknownError) Unwrap() error { return e.Err }

// Hint is none: to try again, which may be good advice after what Err is, may do it twice.
func (e *UnknownError) Hint() string { return "" }

// RewoundError is a server whose message ids went back: an older copy of its
// database was put in place, say. What it has sent since can't be told from what
// was delivered before.
type RewoundError struct {
	ID       int64     // of the newest message there
	Position int64     // the id that it should not be below
	Date     time.Time // of the last message that was delivered; zero where that is not known
	Start    bool      // the position is only where the listener was told to begin
}

func (e *RewoundError) Error() string {
	if e.Start {
		return fmt.Sprintf("there is no message with the id %d: the server's newest has the id %d", e.Position, e.ID)
	}
	return fmt.Sprintf("the server's message ids went back: its newest message has the id %d, and everything up to %d came before", e.ID, e.Position)
}

// ended is what ended a context: its cause where one was given.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

// explainDial says in plain words why a connection was not made, with advice
// where there is something the user can do.
func explainDial(err error) (advice string, why error) {
	var (
		unknown x509.UnknownAuthorityError
		verify  *tls.CertificateVerificationError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		dns     *net.DNSError
		op      *net.OpError
		refusal *proxyRefusal
	)
	switch {
	case errors.Is(err, errProxy):
		return proxyAdvice, err
	case errors.As(err, &refusal):
		return proxyAdvice, refusal
	case errors.As(err, &op) && op.Op == "socks connect", errors.As(err, &op) && op.Op == "socks":
		return proxyAdvice, fmt.Errorf("the proxy could not connect: %s", bare(op.Err))
	case errors.As(err, &op) && op.Op == "proxyconnect":
		_, why := explainDial(op.Err)
		return proxyAdvice, fmt.Errorf("the proxy: %w", why)
	case errors.As(err, &unknown):
		// unknown.Cert may be that of an authority, which is always self-signed.
		if errors.As(err, &verify) && selfSigned(verify.UnverifiedCertificates[0]) {
			return "if it is yours, give the certificate to --ca-file", errors.New("its TLS certificate is self-signed, and nobody we trust vouches for it")
		}
		return "if you know the authority, give its certificate to --ca-file", errors.New("its TLS certificate is signed by an authority that is not trusted here")
	case errors.As(err, &host):
		names := "no name at all"
		if host.Certificate != nil {
			list := append([]string{}, host.Certificate.DNSNames...)
			for _, ip := range host.Certificate.IPAddresses {
				list = append(list, ip.String())
			}
			if len(list) > 0 {
				names = strings.Join(list, ", ")
			}
		}
		return "use the name that the certificate is for in --server", fmt.Errorf("its TLS certificate is not for the name %q but for %s", host.Host, names)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		if time.Now().Before(invalid.Cert.NotBefore) {
			return "check this machine's clock (date)", fmt.Errorf("its TLS certificate is not valid before %s", invalid.Cert.NotBefore.UTC().Format(time.DateOnly))
		}
		return "the server's certificate must be renewed; check this machine's clock too (date)", fmt.Errorf("its TLS certificate expired on %s", invalid.Cert.NotAfter.UTC().Format(time.DateOnly))
	case errors.As(err, &invalid):
		return "the server needs another certificate", fmt.Errorf("its TLS certificate can't be used: %s", bare(invalid))
	case errors.As(err, &verify):
		return "give the certificate of the authority to --ca-file", fmt.Errorf("its TLS certificate can't be verified: %s", bare(verify.Err))
	case withoutTLS(err):
		return "if the server has no TLS, use ws:// in --server", errors.New("it does not speak TLS")
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert (RFC 8446, 6)
		return alertAdvice(op.Err), fmt.Errorf("it ended the TLS handshake: %s", bare(op.Err))
	case errors.As(err, &op) && op.Op == "local error", strings.HasPrefix(err.Error(), "tls: "):
		return "the server must speak TLS 1.2 or newer", fmt.Errorf("its TLS can't be understood: %s", bare(err))
	case errors.As(err, &dns) && dns.IsNotFound:
		return "check the name in --server", fmt.Errorf("there is no host named %q", dns.Name)
	case errors.As(err, &dns):
		return "check the network of this machine, and its DNS", fmt.Errorf("the name %q can't be looked up: the name server does not answer, or has trouble", dns.Name)
	case errors.As(err, &op) && op.Op == "dial" && op.Addr != nil:
		return explainConnect(op)
	case lostWhy(err) != nil:
		return tryAgain, errors.New("it closed the connection without an answer")
	case strings.Contains(err.Error(), "malformed"):
		return "try again; if that does not help, check the host and port in --server", errors.New("its answer was cut off, or is no HTTP")
	}
	return "", err
}

// withoutTLS reports whether the other side of a TLS handshake does not know TLS.
func withoutTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch)
}

// windowsErrno are the numbers that sockets have on Windows (WSAECONNREFUSED and so
// on) for what they are called elsewhere. No other system has errors of these numbers.
var windowsErrno = map[syscall.Errno]syscall.Errno{
	syscall.ECONNREFUSED: 10061, syscall.ECONNRESET: 10054, syscall.ECONNABORTED: 10053,
	syscall.EHOSTUNREACH: 10065, syscall.ENETUNREACH: 10051, syscall.ETIMEDOUT: 10060,
}

// isErrno reports whether an error is one of those of the system, on any system.
func isErrno(err error, codes ...syscall.Errno) bool {
	return slices.ContainsFunc(codes, func(code syscall.Errno) bool {
		onWindows, known := windowsErrno[code]
		return errors.Is(err, code) || known && errors.Is(err, onWindows)
	})
}

// explainConnect is explainDial for a connection to one address.
func explainConnect(op *net.OpError) (advice string, why error) {
	where := op.Addr.String()
	const network = "check the network of this machine, and the host and port in --server"
	switch {
	case isErrno(op, syscall.ECONNREFUSED):
		return "check that the server runs, and the host and port in --server", fmt.Errorf("nobody listens at %s (connection refused)", where)
	case isErrno(op, syscall.EHOSTUNREACH, syscall.ENETUNREACH):
		return network, fmt.Errorf("there is no way to %s (%s)", where, bare(op.Err))
	case isErrno(op, syscall.ETIMEDOUT):
		return network, fmt.Errorf("%s does not answer (connection timed out)", where)
	case isErrno(op, syscall.ECONNRESET):
		return tryAgain, fmt.Errorf("%s closed the connection at once", where)
	}
	return network, fmt.Errorf("%s: %s", where, bare(op.Err))
}

// tryAgain is advice where a server goes away.
const tryAgain = "the server may be restarting: try again in a moment"

// alertAdvice is what to do about a TLS alert, for which there is no type.
func alertAdvice(alert error) string {
	switch text := alert.Error(); {
	case strings.Contains(text, "protocol version"):
		return "the server must speak TLS 1.2 or newer"
	case strings.Contains(text, "certificate required"):
		return "the server wants a certificate of the client, which skaroctl has not"
	case strings.Contains(text, "unrecognized name"):
		return "check the name in --server"
	}
	return "check the host and port in --server; its administrator finds more in its log"
}

// bare is an error without the names of what it went through: packages and system
// calls.
func bare(err error) string {
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
	return text
}

// lostWhy says in plain words why a connection that had been made was lost; nil where
// it is not the network's doing. What a library says goes no further than the trace.
func lostWhy(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isErrno(err, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE):
		return errHungUp
	case isErrno(err, syscall.ETIMEDOUT):
		return errors.New("the other side no longer answers (connection timed out)")
	case errors.Is(err, net.ErrClosed):
		return errClosed
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("the server ended the TLS connection: %s", bare(op.Err))
	case errors.As(err, &op):
		return errors.New(bare(op.Err)) // no route to host, say
	}
	return nil
}

// errHungUp is a connection that the server, or a machine on the way, has cut.
var errHungUp = errors.New("the server hung up without a word")

// closeCodes are what servers mean by a close frame without a reason (RFC 6455, 7.4.1,
// and what is registered for later ones).
var closeCodes = map[websocket.StatusCode]string{
	websocket.StatusNormalClosure:           "it is done",
	websocket.StatusGoingAway:               "it is going away",
	websocket.StatusProtocolError:           "it says that skaroctl broke the rules of WebSocket",
	websocket.StatusUnsupportedData:         "it can't take what skaroctl sent",
	websocket.StatusInvalidFramePayloadData: "it can't read what skaroctl sent",
	websocket.StatusPolicyViolation:         "it does not allow what skaroctl did",
	websocket.StatusInternalError:           "it has failed",
	websocket.StatusServiceRestart:          "it is restarting",
	websocket.StatusTryAgainLater:           "it is busy",
}

// explainClose says what a close frame says, with advice.
func explainClose(closed websocket.CloseError) (advice string, why error) {
	advice = "its administrator finds more in the log of the server"
	switch closed.Code {
	case websocket.StatusNoStatusRcvd:
		return tryAgain, errors.New("the server closed it, and gave no reason")
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusServiceRestart, websocket.StatusTryAgainLater:
		advice = tryAgain
	}
	if reason := cmp.Or(closed.Reason, closeCodes[closed.Code]); reason != "" {
		return advice, fmt.Errorf("the server closed it: %s (code %d)", reason, closed.Code)
	}
	return advice, fmt.Errorf("the server closed it (code %d)", closed.Code)
}

// proxyRefusal is a proxy that does not connect us.
type proxyRefusal struct{ status string }

func (e *proxyRefusal) Error() string { return "the proxy answered with HTTP status " + e.status }

func selfSigned(c *x509.Certificate) bool {
	return c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
