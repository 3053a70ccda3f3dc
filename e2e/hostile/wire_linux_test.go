package hostile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// How every command ends if …
const (
	//         send, send --lines, listen, contacts, history, status, login, request, contacts -o text
	fine     = "000000000"
	noLink   = "4-44-44--" // there is no connection, or it is lost before the login
	notSkaro = "8-88-88--" // something else answers
	silent   = "t-tt-tt--"

	// The next ones are for what comes instead of the reply to the login.
	wrongLogin = "pp88888--"

	// And these for what comes instead of any other reply: status and login make no request.
	wrongReply  = "77888--88"
	silentReply = "TTttt--tt"
)

// transportCases are about what is below HTTP.
var transportCases = []peerCase{
	{"closes at once", onConnect(hangUp), noLink, ""},
	{"resets at once", onConnect(reset), noLink, ""},
	{"never answers", onConnect(stall), silent, ""},
	{"ends its half at once", onConnect(halfClose, stall), noLink, ""},
	{"closes after the request", onHTTP(hangUp), noLink, ""},
	{"resets after the request", onHTTP(reset), noLink, ""},
	{"never answers the request", onHTTP(stall), silent, ""},
	{"one byte", onHTTP(say("H"), hangUp), noLink, ""},
	{"one byte, then silence", onHTTP(say("H"), stall), silent, ""},
	{"an SSH server", onConnect(say("SSH-2.0-OpenSSH_9.2p1\r\n"), stall), notSkaro, ""},
	{"a mail server", onConnect(say("220 mail.example.org ESMTP\r\n"), stall), notSkaro, ""},
	{"a database", onConnect(say("J\x00\x00\x00\x0a8.0.36\x00"+strings.Repeat("\x00", 60)+"\r\n"), stall), notSkaro, ""},
	{"zeros", onHTTP(say(strings.Repeat("\x00", 100)), hangUp), notSkaro, ""},
	{"zeros without end", onHTTP(flood("\x00")), noLink, ""},
	{"lines without end", onHTTP(flood("x\r\n")), notSkaro, ""},
	{"a TLS alert", onHTTP(say("\x15\x03\x01\x00\x02\x02\x46"), hangUp), noLink, ""},
	{"a TLS handshake", onHTTP(say("\x16\x03\x03\x00\x7a\x02"), hangUp), notSkaro, ""},
	{"a byte at a time", trick{at: connected, acts: []act{slowly}, before: true}, fine, ""},

	{"TLS: closes at once", onTLS(hangUp), noLink, ""},
	{"TLS: resets at once", onTLS(reset), noLink, ""},
	{"TLS: never answers", onTLS(stall), silent, ""},
	{"TLS: answers in HTTP", onTLS(say("HTTP/1.1 400 Bad Request\r\n\r\n"), stall), noLink, ""},
	{"TLS: answers in something else", onTLS(say("hello, hello, hello\r\n"), stall), noLink, ""},
	{"TLS: an alert", onTLS(say("\x15\x03\x03\x00\x02\x02\x28"), stall), noLink, ""},
	{"TLS: an alert of no kind", onTLS(say("\x15\x03\x03\x00\x02\xff\xff"), stall), noLink, ""},
	{"TLS: warnings without end", onTLS(flood("\x15\x03\x03\x00\x02\x01\x5a")), noLink, ""},
	{"TLS: a record of 64 KiB", onTLS(say("\x16\x03\x03\xff\xff"), stall), noLink, ""},
	{"TLS: half a record", onTLS(say("\x16\x03\x03\x00\x7a\x02\x00"), stall), silent, ""},
	{"TLS: half a record, then closes", onTLS(say("\x16\x03\x03\x00\x7a\x02\x00"), hangUp), noLink, ""},
	{"TLS: data before the handshake", onTLS(say("\x17\x03\x03\x00\x05hello"), stall), noLink, ""},
	{"TLS: a good certificate", overTLS(certificate(nil)), fine, ""},
	{"TLS: an unknown authority", overTLS(certificate(func(c *x509.Certificate) { c.Issuer.CommonName = "" })), noLink, ""},
	{"TLS: a certificate for another host", overTLS(certificate(func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = []string{"other.example.org"} })), noLink, ""},
	{"TLS: a certificate without a host", overTLS(certificate(func(c *x509.Certificate) { c.IPAddresses = nil })), noLink, ""},
	{"TLS: an expired certificate", overTLS(certificate(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), noLink, ""},
	{"TLS: a certificate of tomorrow", overTLS(certificate(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(24 * time.Hour) })), noLink, ""},
	{"TLS: a certificate for a client", overTLS(certificate(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), noLink, ""},
	{"TLS: a certificate with 3,000 names", overTLS(certificate(func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = manyNames(3000) })), noLink, ""},
	{"TLS: version 1.1", overTLS(oldTLS()), noLink, ""},
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = strings.Repeat("a", 40) + ".example.org"
	}
	return names
}

// authorityFile has the certificate that the program trusts.
var authorityFile string

var authority, authorityKey = newAuthority()

func newAuthority() (*x509.Certificate, *ecdsa.PrivateKey) {
	c := newTemplate()
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)))), key
}

func writeAuthority(path string) error {
	authorityFile = path
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}), 0o600)
}

func newTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hostile"}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

// certificate is a server with a certificate for loopback, changed. Without an issuer it is
// signed by itself.
func certificate(change func(*x509.Certificate)) *tls.Config {
	c := newTemplate()
	c.IPAddresses, c.ExtKeyUsage, c.Issuer = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, authority.Subject
	if change != nil {
		change(c)
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	parent, signer := authority, authorityKey
	if c.Issuer.CommonName == "" {
		parent, signer = c, key
	}
	der := must(x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func oldTLS() *tls.Config {
	c := certificate(nil)
	c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	return c
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// status is an HTTP answer with some headers.
func status(line string, headers ...string) string {
	return "HTTP/1.1 " + line + "\r\n" + strings.Join(append(headers, "", ""), "\r\n")
}

// httpCases are about the answer to the WebSocket handshake.
var httpCases = []peerCase{
	{"200", onHTTP(say(status("200 OK", "Content-Length: 5")+"hello"), stall), notSkaro, ""},
	{"204", onHTTP(say(status("204 No Content")), stall), notSkaro, ""},
	{"301", onHTTP(say(status("301 Moved", "Location: http://127.0.0.1:1/")), hangUp), noLink, ""},
	{"302 without a Location", onHTTP(say(status("302 Found")), hangUp), noLink, ""},
	{"302 to a Location of 100 KB", onHTTP(say(status("302 Found", "Location: http://"+strings.Repeat("a", 100_000)+"/")), hangUp), noLink, ""},
	{"302 to a file", onHTTP(say(status("302 Found", "Location: file:///etc/passwd")), hangUp), noLink, ""},
	{"304", onHTTP(say(status("304 Not Modified")), hangUp), noLink, ""},
	{"400", onHTTP(say(status("400 Bad Request")), hangUp), notSkaro, ""},
	{"401 with a control in a header", onHTTP(say(status("401 Unauthorized", "WWW-Authenticate: Basic realm=\"\x1b[31m\"")), hangUp), noLink, ""},
	{"403", onHTTP(say(status("403 Forbidden")), hangUp), notSkaro, ""},
	{"404", onHTTP(say(status("404 Not Found")), hangUp), notSkaro, ""},
	{"405", onHTTP(say(status("405 Method Not Allowed")), hangUp), notSkaro, ""},
	{"407", onHTTP(say(status("407 Proxy Authentication Required")), hangUp), noLink, ""},
	{"426", onHTTP(say(status("426 Upgrade Required")), hangUp), notSkaro, ""},
	{"429", onHTTP(say(status("429 Too Many Requests", "Retry-After: 99999999999999999999")), hangUp), noLink, ""},
	{"500", onHTTP(say(status("500 Internal Server Error")), hangUp), notSkaro, ""},
	{"502", onHTTP(say(status("502 Bad Gateway")), hangUp), noLink, ""},
	{"503", onHTTP(say(status("503 Service Unavailable", "Retry-After: -1")), hangUp), noLink, ""},
	{"504", onHTTP(say(status("504 Gateway Timeout", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT")), hangUp), noLink, ""},
	{"999", onHTTP(say(status("999 Denied")), hangUp), notSkaro, ""},
	{"000", onHTTP(say(status("000 Nothing")), hangUp), notSkaro, ""},
	{"a status of two digits", onHTTP(say(status("20 OK")), hangUp), notSkaro, ""},
	{"a status of four digits", onHTTP(say(status("2000 OK")), hangUp), notSkaro, ""},
	{"a negative status", onHTTP(say(status("-20 OK")), hangUp), notSkaro, ""},
	{"a reason of 1 MB", onHTTP(say(status("404 "+strings.Repeat("a", 1_000_000))), hangUp), notSkaro, ""},
	{"a reason of controls", onHTTP(say(status("404 \x1b[31m\x00\x9b\xe2\x80\xae")), hangUp), notSkaro, ""},
	{"HTTP/2.0", onHTTP(say("HTTP/2.0 200 OK\r\n\r\n"), hangUp), notSkaro, ""},
	{"HTTP/9.9", onHTTP(say("HTTP/9.9 101 OK\r\n\r\n"), hangUp), notSkaro, ""},
	{"HTTP/1.0 with 101", onHTTP(say("HTTP/1.0 101 Switching Protocols\r\n\r\n"), hangUp), notSkaro, ""},
	{"a frame of HTTP/2", onHTTP(say("\x00\x00\x12\x04\x00\x00\x00\x00\x00"+strings.Repeat("\x00", 18)), hangUp), notSkaro, ""},
	{"an answer without headers", onHTTP(say("HTTP/1.1 200 OK\r\n"), hangUp), noLink, ""},
	{"an answer that stops in a header", onHTTP(say("HTTP/1.1 200 OK\r\nServ"), stall), silent, ""},
	{"line feeds alone", onHTTP(say("HTTP/1.1 404 Not Found\nServer: x\n\n"), hangUp), notSkaro, ""},
	{"a header without a colon", onHTTP(say(status("404 Not Found", "Server")), hangUp), noLink, ""},
	{"a header with a NUL", onHTTP(say(status("404 Not Found", "Server: \x00")), hangUp), noLink, ""},
	{"a header of 1 MB", onHTTP(say(status("404 Not Found", "Server: "+strings.Repeat("a", 1_000_000))), hangUp), notSkaro, ""},
	{"a header without end", onHTTP(say("HTTP/1.1 404 Not Found\r\nServer: "), flood("a")), noLink, ""},
	{"headers without end", onHTTP(say("HTTP/1.1 404 Not Found\r\n"), flood("a: b\r\n")), noLink, ""},
	{"interim answers without end", onHTTP(flood("HTTP/1.1 103 Early Hints\r\n\r\n")), noLink, ""},
	{"100 without end", onHTTP(flood("HTTP/1.1 100 Continue\r\n\r\n")), noLink, ""},
	{"three interim answers", onHTTP(say(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 3)), func(p *peer) { p.upgrade(); p.greet() }, serveOn), fine, ""},
	{"two lengths", onHTTP(say(status("404 Not Found", "Content-Length: 1", "Content-Length: 2")+"ab"), hangUp), noLink, ""},
	{"a negative length", onHTTP(say(status("404 Not Found", "Content-Length: -1")), hangUp), noLink, ""},
	{"a body that never comes", onHTTP(say(status("404 Not Found", "Content-Length: 1000000000000")), stall), notSkaro, ""},
	{"a body without end", onHTTP(say(status("404 Not Found")), flood("a")), notSkaro, ""},
	{"chunks without end", onHTTP(say(status("404 Not Found", "Transfer-Encoding: chunked")), flood("1\r\na\r\n")), notSkaro, ""},
	{"a chunk of no size", onHTTP(say(status("404 Not Found", "Transfer-Encoding: chunked")+"zz\r\n"), hangUp), notSkaro, ""},
	{"a chunk of 2^64", onHTTP(say(status("404 Not Found", "Transfer-Encoding: chunked")+"ffffffffffffffff\r\na"), stall), notSkaro, ""},
	{"another transfer encoding", onHTTP(say(status("404 Not Found", "Transfer-Encoding: rot13")), hangUp), noLink, ""},
	{"a body that is not gzip", onHTTP(say(status("404 Not Found", "Content-Encoding: gzip")+"abc"), hangUp), notSkaro, ""},
	{"101 alone", onHTTP(handshake(""), stall), notSkaro, ""},
	{"101 without Upgrade", onHTTP(handshake("Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"), stall), notSkaro, ""},
	{"101 without Connection", onHTTP(handshake("Upgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n"), stall), notSkaro, ""},
	{"101 without the key", onHTTP(handshake("Upgrade: websocket\r\nConnection: Upgrade\r\n"), stall), notSkaro, ""},
	{"101 with another key", onHTTP(handshake("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"), stall), notSkaro, ""},
	{"101 with a key of 100 KB", onHTTP(handshake("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+strings.Repeat("a", 100_000)+"\r\n"), stall), notSkaro, ""},
	{"101 to h2c", onHTTP(handshake("Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"), stall), notSkaro, ""},
	{"101 with compression", onHTTP(handshake("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"), stall), notSkaro, ""},
	{"101 with a subprotocol", onHTTP(handshake("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: chat\r\n"), stall), notSkaro, ""},
	{"101 with a length", onHTTP(handshake("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nContent-Length: 3\r\n"), func(p *peer) { p.greet() }, serveOn), fine, ""},
	{"101 in other letters", onHTTP(handshake("uPGRADE: WebSocket\r\ncONNECTION: keep-alive, upgrade\r\nsec-websocket-accept: %s\r\n"), func(p *peer) { p.greet() }, serveOn), fine, ""},
	{"101 and then silence", onUpgrade(), silent, ""},
}

// serveOn serves what comes after a greeting that the trick has sent.
func serveOn(p *peer) {
	for p.read() {
		p.answer()
	}
}

// frame is something a peer sends below Skaro, in each place where a frame is expected.
type frame struct {
	name                  string
	acts                  []act
	first, onLogin, later string // how commands end if it comes instead of the greeting, of the reply to the login, and of another reply
}

// lostFrame is what ends a connection.
func lostFrame(name string, acts ...act) frame {
	return frame{name, acts, "4-4---4--", "c-4---4--", "7744-----"}
}

// wrongFrame is what is not Skaro.
func wrongFrame(name string, acts ...act) frame {
	return frame{name, acts, notSkaro, "p-88--8--", "7-88---8-"}
}

// stuckFrame is what never comes to an end.
func stuckFrame(name string, acts ...act) frame {
	return frame{name, acts, silent, "T-tt--t--", "T-tt-----"}
}

var frames = []frame{
	lostFrame("a close of TCP", hangUp),
	lostFrame("a reset", reset),
	lostFrame("the end of its half", halfClose, stall),
	lostFrame("reserved bit 1", say(ws(0xc2, "\xa0"))),
	lostFrame("reserved bit 2", say(ws(0xa2, "\xa0"))),
	lostFrame("reserved bit 3", say(ws(0x92, "\xa0"))),
	lostFrame("all reserved bits", say(ws(0xf2, "\xa0"))),
	lostFrame("a reserved bit of a ping", say(ws(0xc9, ""))),
	lostFrame("opcode 3", say(ws(0x83, "\xa0"))),
	lostFrame("opcode 4", say(ws(0x84, "\xa0"))),
	lostFrame("opcode 5", say(ws(0x85, "\xa0"))),
	lostFrame("opcode 6", say(ws(0x86, "\xa0"))),
	lostFrame("opcode 7", say(ws(0x87, "\xa0"))),
	lostFrame("opcode 11", say(ws(0x8b, ""))),
	lostFrame("opcode 12", say(ws(0x8c, ""))),
	lostFrame("opcode 13", say(ws(0x8d, ""))),
	lostFrame("opcode 14", say(ws(0x8e, ""))),
	lostFrame("opcode 15", say(ws(0x8f, ""))),
	lostFrame("a continuation of nothing", say(ws(0x80, "\xa0"))),
	lostFrame("a message inside a message", say(ws(0x02, "\xa0")+ws(0x82, "\xa0"))),
	lostFrame("a ping in parts", say(ws(0x09, "a")+ws(0x80, "b"))),
	lostFrame("a ping of 126 bytes", say(ws(0x89, strings.Repeat("a", 126)))),
	lostFrame("a pong of 126 bytes", say(ws(0x8a, strings.Repeat("a", 126)))),
	lostFrame("a close in parts", say(ws(0x08, "\x03\xe8"))),
	lostFrame("a close of one byte", say(ws(0x88, "\x03"))),
	lostFrame("a close of 126 bytes", say(ws(0x88, "\x03\xe8"+strings.Repeat("a", 124)))),
	lostFrame("a close without a code", say(ws(0x88, ""))),
	lostFrame("a close with code 0", say(ws(0x88, "\x00\x00"))),
	lostFrame("a close with code 999", say(ws(0x88, "\x03\xe7"))),
	lostFrame("a close with code 1000", say(ws(0x88, "\x03\xe8"))),
	lostFrame("a close with code 1001", say(ws(0x88, "\x03\xe9"))),
	lostFrame("a close with code 1002", say(ws(0x88, "\x03\xea"))),
	lostFrame("a close with code 1003", say(ws(0x88, "\x03\xeb"))),
	lostFrame("a close with code 1004", say(ws(0x88, "\x03\xec"))),
	lostFrame("a close with code 1005", say(ws(0x88, "\x03\xed"))),
	lostFrame("a close with code 1006", say(ws(0x88, "\x03\xee"))),
	lostFrame("a close with code 1007", say(ws(0x88, "\x03\xef"))),
	lostFrame("a close with code 1008", say(ws(0x88, "\x03\xf0"))),
	lostFrame("a close with code 1009", say(ws(0x88, "\x03\xf1"))),
	lostFrame("a close with code 1010", say(ws(0x88, "\x03\xf2"))),
	lostFrame("a close with code 1011", say(ws(0x88, "\x03\xf3"))),
	lostFrame("a close with code 1012", say(ws(0x88, "\x03\xf4"))),
	lostFrame("a close with code 1013", say(ws(0x88, "\x03\xf5"))),
	lostFrame("a close with code 1014", say(ws(0x88, "\x03\xf6"))),
	lostFrame("a close with code 1015", say(ws(0x88, "\x03\xf7"))),
	lostFrame("a close with code 2999", say(ws(0x88, "\x0b\xb7"))),
	lostFrame("a close with code 3000", say(ws(0x88, "\x0b\xb8"))),
	lostFrame("a close with code 4999", say(ws(0x88, "\x13\x87"))),
	lostFrame("a close with code 65535", say(ws(0x88, "\xff\xff"))),
	lostFrame("a close whose reason is not UTF-8", say(ws(0x88, "\x0f\xa0\xff\xfe"))),
	lostFrame("a close with controls in its reason", say(ws(0x88, "\x0f\xa0\x1b[31m\r\nskaroctl: all is well"))),
	lostFrame("a close with a long reason", say(ws(0x88, "\x0f\xa0"+strings.Repeat("a", 123)))),
	lostFrame("a close, and then more", say(ws(0x88, "\x0f\xa0")+ws(0x82, "\xa0"))),
	lostFrame("a close, and then a flood", say(ws(0x88, "\x0f\xa0")), flood(ws(0x82, "\xa0"))),
	lostFrame("a close inside a message", say(ws(0x02, "\xa0")+ws(0x88, "\x03\xe8"))),
	lostFrame("a mask", say("\x82\x81\x00\x00\x00\x00\xa0")),
	lostFrame("a masked ping", say("\x89\x80\x00\x00\x00\x00")),
	lostFrame("a length of 2^63", say("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), stall),
	lostFrame("a length of 2^64-1", say("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), stall),
	lostFrame("a length of 2^63-1", say("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), flood("\x00")),
	lostFrame("17 MiB", large(head(2, 17<<20), 17<<10, raw(strings.Repeat("a", 1<<10)))),
	lostFrame("half a header", say("\x82"), hangUp),
	lostFrame("half a length", say("\x82\x7f\x00\x00"), hangUp),
	lostFrame("half a payload", say("\x82\x7d\xa1"), hangUp),
	lostFrame("half a message", say(ws(0x02, "\xa1")), hangUp),
	lostFrame("a payload without end in a wrong frame", say("\xc2\x7f\x00\x00\x00\x00\x00\x10\x00\x00"), flood("\x00")),
	lostFrame("a wrong frame whose payload never comes", say("\xc2\x7f\x00\x00\x00\x00\x00\x10\x00\x00"), stall),
	lostFrame("HTTP", say("HTTP/1.1 408 Request Timeout\r\n\r\n")),
	stuckFrame("half a header, then silence", say("\x82"), stall),
	stuckFrame("half a length, then silence", say("\x82\x7f\x00\x00"), stall),
	stuckFrame("half a payload, then silence", say("\x82\x7d\xa1"), stall),
	stuckFrame("half a message, then silence", say(ws(0x02, "\xa1")), stall),
	stuckFrame("half a ping, then silence", say("\x89\x7d\x00"), stall),
	stuckFrame("pings without end", flood(ws(0x89, ""))),
	stuckFrame("pongs without end", flood(ws(0x8a, ""))),
	stuckFrame("empty parts without end", say(ws(0x02, "")), flood(ws(0x00, ""))),
	wrongFrame("text", say(ws(0x81, "hello"))),
	wrongFrame("text that is not UTF-8", say(ws(0x81, "\xff\x1b[31m"))),
	wrongFrame("1 MB of text", say(ws(0x81, strings.Repeat("a", 1_000_000)))),
	wrongFrame("an empty message", say(ws(0x82, "")), send("\xa0")),
	wrongFrame("an empty message in parts", say(ws(0x02, "")+ws(0x80, "")), send("\xa0")),
	wrongFrame("no CBOR", send("hello")),
	wrongFrame("half an item", send("\xa1\x61a")),
	wrongFrame("16 MiB of zeros", large("\x00", 16<<10-1, raw(strings.Repeat("\x00", 1<<10)))),
	wrongFrame("16 MiB of arrays", large("\x81", 16<<10-1, raw(strings.Repeat("\x81", 1<<10)))),
}

// framingCases are the frames in each place, and what is odd but allowed.
func framingCases() []peerCase {
	short := string(greeting("T"))
	short = string([]byte{byte(len(short))}) + short
	cases := []peerCase{
		{"100,000 pings before the greeting", beforeGreet(repeat(100_000, ws(0x89, "a"))), fine, ""},
		{"100,000 pongs before the reply", beforeReply(repeat(100_000, ws(0x8a, "a"))), fine, ""},
		{"a greeting in parts of a byte", onUpgrade(inParts(string(greeting("T")), "")), fine, ""},
		{"pings between the parts of a greeting", onUpgrade(inParts(string(greeting("T")), ws(0x89, "ping"))), fine, ""},
		{"a length with bytes to spare", trick{at: upgraded, acts: []act{say("\x82\x7e\x00" + short)}}, fine, ""},
		{"a length with many bytes to spare", trick{at: upgraded, acts: []act{say("\x82\x7f\x00\x00\x00\x00\x00\x00\x00" + short)}}, fine, ""},
		{"everything in one packet", onHTTP(func(p *peer) {
			p.write(switching + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + p.accept() + "\r\n\r\n" + ws(0x82, string(greeting("T"))))
		}, serveOn), fine, ""},
	}
	for _, f := range frames {
		cases = append(cases,
			peerCase{"instead of the greeting: " + f.name, onUpgrade(f.acts...), f.first, ""},
			peerCase{"instead of the login: " + f.name, onLogin(f.acts...), f.onLogin, ""},
			peerCase{"instead of a reply: " + f.name, onRequest(f.acts...), f.later, ""},
		)
	}
	return cases
}

// inParts sends a frame in parts of one byte, and something between them.
func inParts(frame, between string) act {
	var b strings.Builder
	for i := range len(frame) {
		opcode := byte(0)
		if i == 0 {
			opcode = 2
		}
		b.WriteString(ws(opcode, frame[i:i+1]) + between)
	}
	b.WriteString(ws(0x80, ""))
	return say(b.String())
}
