package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// certificate HOST… makes an authority and a certificate of it for the hosts:
// ca.pem, cert.pem and key.pem.
func cmdCertificate(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 1, "certificate HOST...")
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		return key
	}
	write := func(file, kind string, der []byte) {
		ts.Check(os.WriteFile(ts.MkAbs(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	ca, caKey := template("skaro test authority"), newKey()
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	ts.Check(err)
	write("ca.pem", "CERTIFICATE", der)

	leaf, key := template("skaro test server"), newKey()
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range args {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	ts.Check(err)
	write("cert.pem", "CERTIFICATE", der)
	der, err = x509.MarshalECPrivateKey(key)
	ts.Check(err)
	write("key.pem", "EC PRIVATE KEY", der)
}

// proxy connects every request to the script's server, whatever host it names, and
// records the requested hosts.
type proxy struct {
	user string // the required authorization, as "Basic …"; "" means none

	mu      sync.Mutex
	address string // of the server: host and port, or the path of a Unix socket
	asked   []string
}

// serve changes the server.
func (p *proxy) serve(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.address = address
}

// serveOn gives each connection to serve until the script ends.
func serveOn(ts *testscript.TestScript, l net.Listener, serve func(net.Conn)) {
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	ts.Defer(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
}

func listenLoopback(ts *testscript.TestScript) net.Listener {
	l, err := net.Listen("tcp", freeAddress())
	ts.Check(err)
	return l
}

// proxy http|socks5h [AUTHORIZATION] starts a proxy on loopback and sets $PROXY
// to its URL and $PROXYADDRESS to its host and port.
func cmdProxy(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 1 && (args[0] == "http" || args[0] == "socks5h"), "proxy http|socks5h [AUTHORIZATION]")
	p := &proxy{address: ts.Getenv("ADDRESS")}
	serve := p.connect
	if args[0] == "socks5h" {
		serve = p.socks
	}
	if len(args) == 2 {
		p.user = args[1]
	}
	l := listenLoopback(ts)
	serveOn(ts, l, serve)
	processesOf(ts).proxy = p
	ts.Setenv("PROXY", args[0]+"://"+l.Addr().String())
	ts.Setenv("PROXYADDRESS", l.Addr().String())
}

// proxied N TARGET asserts how many connections the last proxy made, all of them
// for TARGET (host and port).
func cmdProxied(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "proxied N TARGET")
	p := processesOf(ts).proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := strconv.Itoa(len(p.asked)); got != args[0] {
		ts.Fatalf("the proxy was asked for %v, not %s times", p.asked, args[0])
	}
	for _, asked := range p.asked {
		if asked != args[1] {
			ts.Fatalf("the proxy was asked for %s, not %s", asked, args[1])
		}
	}
}

// connect serves an HTTP proxy's CONNECT (RFC 9110, 9.3.6).
func (p *proxy) connect(c net.Conn) {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	switch {
	case r.Method != http.MethodConnect:
		fmt.Fprint(c, "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
	case r.Header.Get("Proxy-Authorization") != p.user:
		fmt.Fprint(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
	default:
		p.pass(c, in, r.Host, "HTTP/1.1 200 OK\r\n\r\n")
	}
}

// socks serves SOCKS5 without authentication (RFC 1928).
func (p *proxy) socks(c net.Conn) {
	in := bufio.NewReader(c)
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	read(int(read(2)[1])) // the methods
	_, _ = c.Write([]byte{5, 0})
	var host string
	switch read(4)[3] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(int(read(1)[0])))
	case 4:
		host = net.IP(read(16)).String()
	}
	port := binary.BigEndian.Uint16(read(2))
	p.pass(c, in, net.JoinHostPort(host, strconv.Itoa(int(port))), "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
}

// pass connects a client to the server.
func (p *proxy) pass(c net.Conn, in io.Reader, target, ready string) {
	p.mu.Lock()
	p.asked = append(p.asked, target)
	address := p.address
	p.mu.Unlock()
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	_, _ = io.WriteString(c, ready)
	go func() {
		_, _ = io.Copy(server, in)
		server.Close()
	}()
	_, _ = io.Copy(c, server)
}

// silent starts a server on loopback that accepts and stays silent, and sets
// $SILENT to its host and port.
func cmdSilent(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 0, "silent")
	l := listenLoopback(ts)
	serveOn(ts, l, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ts.Setenv("SILENT", l.Addr().String())
}

// instead STATUS ADDRESS answers with an HTTP status at an address whose server is down;
// without arguments it stops.
func cmdInstead(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2 || len(args) == 0, "instead [STATUS ADDRESS]")
	ps := processesOf(ts)
	if len(args) == 0 {
		ts.Check(ps.instead.Close())
		return
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	l, err := net.Listen("tcp", args[1])
	ts.Check(err)
	ps.instead = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = ps.instead.Serve(l) // it always ends with an error
	}()
	ts.Defer(func() {
		ps.instead.Close()
		<-ended
	})
}

// within DURATION CODE PROGRAM [ARG…] asserts an exit status, as exitcode does,
// and a time limit.
func cmdWithin(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 3, "within DURATION CODE PROGRAM [ARG...]")
	most, err := time.ParseDuration(args[0])
	ts.Check(err)
	start := time.Now()
	cmdExitCode(ts, false, args[1:])
	if took := time.Since(start); took > most {
		ts.Fatalf("it took %v, more than %v", took, most)
	}
}

// servePrivate gives the connections of a Unix socket to serve; it is the
// address of a bus.
func servePrivate(ts *testscript.TestScript, path string, serve func(net.Conn)) string {
	l, err := net.Listen("unix", path)
	ts.Check(err)
	serveOn(ts, l, serve)
	return "unix:path=" + path
}
