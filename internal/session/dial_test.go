package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestOpenRefusesBadCAFile(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{bad: "no certificate", bad + ".missing": "can't read"} {
		_, err := Open(bounded(t), Endpoint{URL: "wss://127.0.0.1:1/", CAFile: file}, withToken, nil)
		if !isKind(err, KindEndpoint) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// A host with several addresses is reached at the one that works.
func TestOpenTriesEveryAddress(t *testing.T) {
	u, err := url.Parse(serve(t, func(p *peer) {
		p.login()
		p.recv()
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		addresses []string
		reached   bool
	}{
		{"one", []string{"127.0.0.1"}, true},
		{"a dead one first", []string{"127.0.0.2", "127.0.0.1"}, true},
		{"a dead one of IPv6", []string{"::1", "127.0.0.1"}, true},
		{"dead ones alone", []string{"127.0.0.2", "::1"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			names(t, test.addresses...)
			err := logIn(t, Endpoint{URL: "ws://two.invalid:" + u.Port() + u.Path, AllowPlaintext: true})
			if test.reached && err != nil {
				t.Fatal(err)
			}
			if !test.reached {
				checkUnreachable(t, err, "refused", "")
			}
		})
	}
}

func TestContextBoundsLookUp(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	old := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = old })
	ctx, cancel := context.WithCancelCause(bounded(t))
	defer cancel(nil)
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		cancel(TimedOut(time.Second))
		return net.DialUDP("udp", nil, conn.LocalAddr().(*net.UDPAddr))
	}}
	_, err = Open(ctx, Endpoint{URL: "wss://silent.invalid/skaro_client/"}, withToken, nil)
	if !isKind(err, KindTimeout) {
		t.Fatalf("got %v (%T), no error of KindTimeout", err, err)
	}
}

func TestOpenIPv6Literal(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("SKIPPED: this machine has no IPv6 (%v)", err)
	}
	ca := newAuthority(t)
	address := serveTLSOn(t, l, pair(ca.sign(t, template())))
	if err := logIn(t, Endpoint{URL: "wss://" + address + "/skaro_client/", CAFile: pemFile(t, ca.cert)}); err != nil {
		t.Fatal(err)
	}
}

func TestOpenChecksCertificate(t *testing.T) {
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
	intermediate := ca.intermediate(t)
	leaf := intermediate.sign(t, template())
	whole := tls.Certificate{Certificate: [][]byte{leaf.Certificate[0], intermediate.cert.Raw}, PrivateKey: leaf.PrivateKey}
	public := intermediate.sign(t, with(func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.invalid/intermediate.crt"} }))
	expired := time.Date(2020, 1, 31, 0, 0, 0, 0, time.UTC)
	future := time.Date(2120, 1, 31, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		cert   tls.Certificate
		scheme string // "" means wss
		host   string // "" means 127.0.0.1
		caFile string
		why    string // "" means that it must work
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
		{name: "an intermediate authority", cert: whole, caFile: caFile},
		{
			name: "an intermediate authority that is not sent", cert: leaf, caFile: caFile,
			why: `the server does not send the certificate of "skaro test intermediate", which signed its TLS certificate`, advice: "the whole chain",
		},
		{
			name: "an intermediate authority that is not sent, and is said to be elsewhere", cert: public,
			why: `the server does not send the certificate of "skaro test intermediate", which signed its TLS certificate`, advice: "the whole chain",
		},
		{
			name: "an intermediate authority of an unknown one", cert: whole,
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
			why:  "its TLS certificate names no host: it needs a subjectAltName", advice: "subjectAltName",
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
			if Temporary(err) != (test.name == "not yet valid") { // which a clock that is set may cure
				t.Errorf("temporary is %v", Temporary(err))
			}
		})
	}
}

// unread fails a test that reads the connection of a refused handshake.
type unread struct {
	io.ReadWriteCloser
	t *testing.T
}

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the connection of a refused handshake was read: that may wait for ever")
	return 0, io.EOF
}

func TestRefusedHandshakeIsNotReadOn(t *testing.T) {
	r, w := net.Pipe()
	defer r.Close()
	defer w.Close()
	b := &handshakeBody{ReadWriteCloser: unread{w, t}}
	if rest, err := io.ReadAll(b); len(rest) != 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	b = &handshakeBody{ReadWriteCloser: w}
	b.accept()
	go func() { _, _ = io.WriteString(r, "frame") }()
	got := make([]byte, 5)
	if _, err := io.ReadFull(b, got); err != nil || string(got) != "frame" {
		t.Errorf("%q, %v", got, err)
	}

	// The server keeps the connection open, and sends nothing more.
	address := speak(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	_, err := Open(bounded(t), Endpoint{URL: "ws://" + address + "/skaro_client/"}, withToken, nil)
	if !isKind(err, KindProtocol) || !strings.Contains(err.Error(), "its WebSocket handshake is invalid") {
		t.Errorf("%T: %v", err, err)
	}
}

// A server may fall silent at any stage: the context ends the attempt.
func TestContextBoundsEveryStageOfConnecting(t *testing.T) {
	hold := func(first string) string {
		return speak(t, func(c net.Conn) {
			if first != "" {
				_, _ = c.Read(make([]byte, 4096)) // an answer must not come before the request
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

// A client must refuse a masked frame (RFC 6455, 5.1), at every place where a frame begins.
func TestMaskedFramesAreRefused(t *testing.T) {
	greeting := cbor(t, map[string]any{"type": proto.TypeGreeting, "token": "T"})
	masked := string([]byte{0x82, 0x80 | byte(len(greeting)), 0, 0, 0, 0}) + greeting
	for name, sent := range map[string]string{
		"a greeting":           masked,
		"after a ping":         wsFrame(0x89, "ping") + masked,
		"a ping":               string([]byte{0x89, 0x80, 0, 0, 0, 0}) + wsFrame(0x82, greeting),
		"after a long message": wsFrame(0x02, strings.Repeat("x", 200)) + string([]byte{0x80, 0x80, 0, 0, 0, 0}),
	} {
		for _, piece := range []int{1, len(sent)} {
			address := speak(t, func(c net.Conn) {
				in := handshake(c)
				for at := 0; at < len(sent); at += piece {
					_, _ = io.WriteString(c, sent[at:min(at+piece, len(sent))])
				}
				_, _ = io.Copy(io.Discard, in)
			})
			err := logIn(t, Endpoint{URL: "ws://" + address})
			if !isKind(err, KindUnreachable) || !strings.Contains(err.Error(), "violated the WebSocket protocol") {
				t.Errorf("%s, %d bytes at once: %v", name, piece, err)
			}
		}
	}
}

func TestFrameHeadsAreFollowed(t *testing.T) {
	frames := wsFrame(0x82, "") + wsFrame(0x82, strings.Repeat("\xff", 125)) + wsFrame(0x82, strings.Repeat("\xff", 126)) +
		"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("\xff", 1<<16) + wsFrame(0x89, "\xff")
	for _, piece := range []int{1, 2, 3, 127, 4096, len(frames)} {
		var f frameHeads
		for at := 0; at < len(frames); at += piece {
			if err := f.check([]byte(frames[at:min(at+piece, len(frames))])); err != nil {
				t.Fatalf("%d bytes at once, at %d: %v", piece, at, err)
			}
		}
		if err := f.check([]byte{0x82, 0x80}); err == nil {
			t.Errorf("%d bytes at once: a masked frame after them is taken", piece)
		}
	}
}
