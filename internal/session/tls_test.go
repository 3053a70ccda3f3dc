package session

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// authority signs the certificates of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// template is a certificate for loopback that is valid now.
func template() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "skaro test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},

		BasicConstraintsValid: true,
	}
}

// sign makes a certificate; without an authority it signs itself.
func (a *authority) sign(t *testing.T, cert *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := cert, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	c := template()
	c.Subject.CommonName, c.IsCA, c.KeyUsage, c.ExtKeyUsage = "skaro test authority", true, x509.KeyUsageCertSign, nil
	pair := (*authority)(nil).sign(t, c)
	return &authority{t: t, cert: pair.Leaf, key: pair.PrivateKey.(*ecdsa.PrivateKey)}
}

// pemFile writes a certificate to a file.
func pemFile(t *testing.T, cert *x509.Certificate) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveTLS is a Skaro server with a certificate, that lets everybody in. It
// returns its host and port.
func serveTLS(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveTLSOn(t, l, config)
}

func serveTLSOn(t *testing.T, l net.Listener, config *tls.Config) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer ws.CloseNow()
		p := &peer{t: t, ws: ws}
		p.login()
		p.recv() // the end
	}))
	srv.Listener.Close()
	srv.Listener, srv.TLS = l, config
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// speak is a server that is no Skaro server: do is given each connection.
func speak(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				do(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr().String()
}

func pair(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }

// logIn opens a session and waits for the end of its login.
func logIn(t *testing.T, e Endpoint) error {
	t.Helper()
	ctx, cancel := WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := Open(ctx, e, withToken, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Account(ctx)
	return err
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	caFile := pemFile(t, ca.cert)
	good := ca.sign(t, template())
	with := func(change func(*x509.Certificate)) *x509.Certificate {
		c := template()
		change(c)
		return c
	}
	self := (*authority)(nil).sign(t, template())
	selfCA := (*authority)(nil).sign(t, with(func(c *x509.Certificate) { c.IsCA = true }))
	expired := time.Date(2020, 1, 31, 0, 0, 0, 0, time.UTC)
	future := time.Date(2120, 1, 31, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		cert   tls.Certificate
		scheme string // "" for wss
		host   string // "" for 127.0.0.1
		caFile string
		why    string // "" where it must work
		advice string
	}{
		{name: "--ca-file", cert: good, caFile: caFile},
		{name: "self-signed, and in --ca-file", cert: self, caFile: pemFile(t, self.Leaf)},
		{name: "a URL in capitals", cert: good, scheme: "WSS", caFile: caFile},
		{name: "localhost", cert: good, host: "localhost", caFile: caFile},
		{
			name: "unknown authority", cert: good,
			why: "signed by an authority that this machine does not trust", advice: "--ca-file",
		},
		{
			name: "unknown authority that is sent along",
			cert: tls.Certificate{Certificate: [][]byte{good.Certificate[0], ca.cert.Raw}, PrivateKey: good.PrivateKey},
			why:  "signed by an authority that this machine does not trust", advice: "--ca-file",
		},
		{
			name: "another authority", cert: good, caFile: pemFile(t, newAuthority(t).cert),
			why: "signed by an authority that this machine does not trust", advice: "--ca-file",
		},
		{
			name: "self-signed", cert: self,
			why: "its TLS certificate is self-signed", advice: "--ca-file",
		},
		{
			name: "self-signed authority", cert: selfCA,
			why: "its TLS certificate is self-signed", advice: "--ca-file",
		},
		{
			name: "expired", caFile: caFile,
			cert: ca.sign(t, with(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = expired.AddDate(-1, 0, 0), expired })),
			why:  "its TLS certificate expired on 2020-01-31", advice: "renew",
		},
		{
			name: "not yet valid", caFile: caFile,
			cert: ca.sign(t, with(func(c *x509.Certificate) { c.NotBefore, c.NotAfter = future, future.AddDate(1, 0, 0) })),
			why:  "its TLS certificate is not valid before 2120-01-31", advice: "clock",
		},
		{
			name: "wrong name", caFile: caFile,
			cert: ca.sign(t, with(func(c *x509.Certificate) {
				c.DNSNames, c.IPAddresses = []string{"chat.example.org", "example.org"}, nil
			})),
			why: `is for chat.example.org, example.org, not for "127.0.0.1"`, advice: "--server",
		},
		{
			name: "no name", caFile: caFile,
			cert: ca.sign(t, with(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil })),
			why:  "its TLS certificate is for no host", advice: "--server",
		},
		{
			name: "not for servers", caFile: caFile,
			cert: ca.sign(t, with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })),
			why:  "its TLS certificate can't be used", advice: "another certificate",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			scheme := test.scheme
			if scheme == "" {
				scheme = "wss"
			}
			address := serveTLS(t, pair(test.cert))
			if test.host != "" {
				_, port, _ := net.SplitHostPort(address)
				address = net.JoinHostPort(test.host, port)
			}
			err := logIn(t, Endpoint{URL: scheme + "://" + address + "/skaro_client/", CAFile: test.caFile})
			if test.why == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			checkUnreachable(t, err, test.why, test.advice)
		})
	}
}

// checkUnreachable asserts what kind of error it is, what it says, and its hint.
func checkUnreachable(t *testing.T, err error, why, advice string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindUnreachable {
		t.Fatalf("got %v (%T), no error of KindUnreachable", err, err)
	}
	if !strings.Contains(err.Error(), why) {
		t.Errorf("the error is %q, without %q", err, why)
	}
	if !strings.Contains(e.Hint, advice) {
		t.Errorf("the hint of %q is %q, without %q", err, e.Hint, advice)
	}
}

// TestTLSMismatch connects with TLS to what has none, and the other way round.
func TestTLSMismatch(t *testing.T) {
	ca := newAuthority(t)
	caFile := pemFile(t, ca.cert)
	good := ca.sign(t, template())
	plain := strings.TrimSuffix(strings.TrimPrefix(serve(t, func(*peer) {}), "ws://"), "/skaro_client/")
	old := pair(good)
	old.MaxVersion = tls.VersionTLS11
	client := pair(good)
	client.ClientAuth = tls.RequireAnyClientCert
	for _, test := range []struct {
		name, scheme, address, why, advice string
	}{
		{"wss to HTTP", "wss", plain, "it does not speak TLS", "use ws:// in --server"},
		{"wss to a mail server", "wss", speak(t, func(c net.Conn) {
			_, _ = c.Write([]byte("220 mail.example.org ESMTP\r\n"))
			_, _ = io.Copy(io.Discard, c)
		}), "it does not speak TLS", "use ws:// in --server"},
		{"wss to who hangs up", "wss", speak(t, func(net.Conn) {}), "it closed the connection", ""},
		{"ws to HTTPS", "ws", serveTLS(t, pair(good)), "it speaks TLS", "use wss:// in --server"},
		{"ws to TLS that is no HTTPS", "ws", speak(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte("\x15\x03\x01\x00\x02\x02\x46")) // an alert: no TLS was offered
		}), "it speaks TLS", "use wss:// in --server"},
		{"ws to nginx with TLS", "ws", speak(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"+
				"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n")
		}), "it speaks TLS", "use wss:// in --server"},
		{"TLS 1.1", "wss", serveTLS(t, old), "protocol version", ""},
		{"a client certificate is required", "wss", serveTLS(t, client), "certificate required", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := Endpoint{URL: test.scheme + "://" + test.address + "/skaro_client/", CAFile: caFile}
			err := logIn(t, e)
			checkUnreachable(t, err, test.why, test.advice)
			if wrongScheme := test.advice != ""; Temporary(err) == wrongScheme {
				t.Errorf("temporary: %v, of %v", Temporary(err), err)
			}
		})
	}
}

// TestSilentServers checks that whatever stage a server is silent at, the time
// that the caller gives is kept.
func TestSilentServers(t *testing.T) {
	hold := func(first string) string {
		return speak(t, func(c net.Conn) {
			if first != "" {
				_, _ = c.Read(make([]byte, 4096)) // what comes before the request is no answer
				_, _ = io.WriteString(c, first)
			}
			_, _ = io.Copy(io.Discard, c) // until the client is gone
		})
	}
	for _, test := range []struct{ name, scheme, address string }{
		{"TLS", "wss", hold("")},
		{"half a TLS record", "wss", hold("\x16\x03\x03\x01\x00\x02")},
		{"HTTP", "ws", hold("")},
		{"half an HTTP answer", "ws", hold("HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")},
		{"HTTP refusal without its body", "ws", hold("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nnot")},
	} {
		t.Run(test.name, func(t *testing.T) {
			const bound = 50 * time.Millisecond
			ctx, cancel := WithTimeout(context.Background(), bound)
			defer cancel()
			_, err := Open(ctx, Endpoint{URL: test.scheme + "://" + test.address + "/skaro_client/"}, withToken, nil)
			if !isKind(err, KindTimeout) {
				t.Fatalf("got %v (%T), no error of KindTimeout", err, err)
			}
		})
	}
}
