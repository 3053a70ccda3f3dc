package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

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

// temporary reports whether the same request may succeed later: the server is
// busy or in trouble.
func (e *RefusedError) temporary() bool {
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

// RewoundError is a server whose message ids went back: an older copy of its
// database was put in place, say. What it has sent since can't be told from what
// was delivered before.
type RewoundError struct {
	ID       int64 // of a new message
	Position int64 // the id that every new message should be above
}

func (e *RewoundError) Error() string {
	return fmt.Sprintf("the server's message ids went back: a new message has the id %d, and everything up to %d came before", e.ID, e.Position)
}

// Hint says what to do about it.
func (e *RewoundError) Hint() string {
	return fmt.Sprintf("listen once with --since %d or a time, without --resume; then remove the saved position", e.ID-1)
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
		record  tls.RecordHeaderError
		dns     *net.DNSError
		op      *net.OpError
	)
	switch {
	case errors.Is(err, errProxy):
		return proxyAdvice, err
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
		return "the server needs another certificate", fmt.Errorf("its TLS certificate can't be used: %w", invalid)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "if the server has no TLS, use ws:// in --server", errors.New("it does not speak TLS")
	case errors.As(err, &dns) && dns.IsNotFound:
		return "check the name in --server", fmt.Errorf("there is no host named %q", dns.Name)
	case errors.As(err, &op) && op.Op == "dial" && op.Addr != nil:
		advice := ""
		if errors.Is(err, syscall.ECONNREFUSED) {
			advice = "check that the server runs, and the host and port in --server"
		}
		return advice, fmt.Errorf("%s: %w", op.Addr, op.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "", errors.New("it closed the connection without an answer")
	}
	return "", err
}

func selfSigned(c *x509.Certificate) bool {
	return c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
