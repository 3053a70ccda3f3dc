package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// oneWay is how long the long line takes in each direction.
	oneWay          = 50 * time.Millisecond
	roundTripRounds = 9
)

// roundTrips counts the round trips of a one-shot send: how much longer it takes through
// a long line than through the same line made short, divided by the round trip of the
// line.
func roundTrips(ctx context.Context, l *lab, r *report) error {
	cert, key := filepath.Join(l.dir, "cert.pem"), filepath.Join(l.dir, "key.pem")
	if err := certificate(cert, key); err != nil {
		return err
	}
	for _, c := range []struct {
		name   string
		target float64
		serve  []string
		login  []string
	}{
		{"ws, token", 3.2, nil, nil},
		{"ws, SID", 3.2, nil, []string{"--session-only"}},
		{"wss, token", 4.2, []string{"--tls-cert", cert, "--tls-key", key}, []string{"--ca-file", cert}},
	} {
		name := strings.ReplaceAll(c.name, ", ", "-")
		url, err := l.serve(ctx, "skarod-"+name, c.serve...)
		if err != nil {
			return err
		}
		p, err := newProxy(url)
		if err != nil {
			return err
		}
		defer p.listener.Close()
		env, err := l.logIn(ctx, name, p.url, "file", nil, c.login...)
		if err != nil {
			return err
		}
		send := func(delay time.Duration) (float64, error) {
			p.delay.Store(int64(delay))
			return l.timed(l.command(ctx, env, l.skaroctl, "send", "bob", text))
		}
		var long, short []float64
		for range roundTripRounds {
			a, err := send(oneWay)
			if err != nil {
				return err
			}
			b, err := send(0)
			if err != nil {
				return err
			}
			long, short = append(long, a), append(short, b)
		}
		r.atMost("round trips: "+c.name, pairs(long, short, difference)/milliseconds(2*oneWay), c.target, "%.2f")
	}
	return nil
}

// proxy is a TCP proxy that stands for a long line: what enters at one end leaves
// at the other after a delay. The kernel at this end answers a connect at once, so
// the round trip that it would take is added before the first byte.
type proxy struct {
	listener net.Listener
	server   string       // host and port
	url      string       // of the server, through the proxy
	delay    atomic.Int64 // one way, nanoseconds; for connections from now on
}

// newProxy starts a proxy in front of the server with a URL.
func newProxy(server string) (*proxy, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: listener, server: u.Host}
	u.Host = listener.Addr().String()
	p.url = u.String()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p, nil
}

func (p *proxy) carry(client net.Conn) {
	defer client.Close()
	delay := time.Duration(p.delay.Load())
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return // the client sees its end
	}
	defer server.Close()
	time.Sleep(2 * delay)
	back := make(chan struct{})
	go func() {
		defer close(back)
		carryOneWay(client, server, delay)
	}()
	carryOneWay(server, client, delay)
	<-back
}

// carryOneWay carries one direction until it ends.
func carryOneWay(to, from net.Conn, delay time.Duration) {
	type piece struct {
		due  time.Time
		data []byte
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				pieces <- piece{time.Now().Add(delay), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			from.Close()
		}
	}
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// certificate writes a certificate for 127.0.0.1 that is its own root.
func certificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path, kind string
		content    []byte
	}{{certFile, "CERTIFICATE", der}, {keyFile, "PRIVATE KEY", secret}} {
		if err := os.WriteFile(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.content}), 0o600); err != nil {
			return err
		}
	}
	return nil
}
