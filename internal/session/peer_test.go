package session

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
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

	"github.com/skaroctl/skaroctl/internal/proto"
)

// patience bounds the wait for an event that must happen, also on a slow machine.
const patience = 5 * time.Minute

// nowhere is an address where nothing listens. A free port would not do: another test may
// take it.
const nowhere = "127.0.0.1:1"

// peer is the server's side of one connection, driven by the script of a test.
type peer struct {
	t   *testing.T
	ws  *websocket.Conn
	nth int // the number of this connection, from 1
}

// serve runs a server with a script for every connection, and returns its URL.
func serve(t *testing.T, script func(p *peer)) string {
	t.Helper()
	var mu sync.Mutex
	var running sync.WaitGroup
	count := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1) // while the server still counts the connection
		defer running.Done()
		if r.UserAgent() != "" { // a skaroctl of another test, whose server had this port before
			http.NotFound(w, r)
			return
		}
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		mu.Lock()
		count++
		p := &peer{t: t, ws: ws, nth: count}
		mu.Unlock()
		script(p)
	}))
	t.Cleanup(func() {
		srv.Close()
		running.Wait()
	})
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/skaro_client/"
}

func (p *peer) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// send sends one frame.
func (p *peer) send(fields map[string]any) {
	frame, err := proto.Encode(fields)
	if err != nil {
		p.t.Errorf("peer: %v", err)
		return
	}
	ctx, cancel := p.context()
	defer cancel()
	_ = p.ws.Write(ctx, websocket.MessageBinary, frame) // the client may have gone
}

func (p *peer) greet(extensions ...string) {
	fields := map[string]any{"type": proto.TypeGreeting, "token": "T"}
	if extensions != nil {
		fields["server"], fields["extensions"] = "peer/1", extensions
	}
	p.send(fields)
}

// recv reads one frame; ok is false at the end of the connection.
func (p *peer) recv() (f proto.Frame, ok bool) {
	ctx, cancel := p.context()
	defer cancel()
	_, b, err := p.ws.Read(ctx)
	if err != nil || len(b) == 0 { // empty: the connection ended after the head of a frame
		return proto.Frame{}, false
	}
	f, err = proto.Decode(b)
	if err != nil {
		p.t.Errorf("peer: %v", err)
		return proto.Frame{}, false
	}
	return f, true
}

// expect reads one request of the given type.
func (p *peer) expect(typ string) proto.Frame {
	f, ok := p.recv()
	if !ok {
		p.t.Errorf("peer: the connection ended where %s was expected", typ)
		return proto.Frame{}
	}
	if f.Type() != typ {
		p.t.Errorf("peer: got %s, expected %s", f.Describe(), typ)
	}
	return f
}

// reply answers a request.
func (p *peer) reply(f proto.Frame, status string, fields map[string]any) {
	id, _ := f.Int("on_request")
	m := map[string]any{"type": proto.TypeReply, "for": f.Type(), "id": id, "status": status}
	for k, v := range fields {
		m[k] = v
	}
	p.send(m)
}

// welcome answers a login as alice.
func (p *peer) welcome(f proto.Frame) {
	p.reply(f, proto.StatusOK, map[string]any{"session_id": "sid-1", "user": map[string]any{"login": "alice"}})
}

// login greets, and answers the login as alice.
func (p *peer) login(extensions ...string) {
	p.greet(extensions...)
	f, ok := p.recv()
	if !ok {
		return
	}
	p.welcome(f)
}

// message returns the fields of a pushed message.
func message(id int64, from, to, body string) map[string]any {
	m := proto.Message{ID: id, From: from, To: to, Body: body, Date: proto.Date{Time: time.Unix(1479394800+id, 0)}}.Map()
	m["type"] = proto.TypeShowMessage
	return m
}

var token = newToken("correct horse")

func withToken(context.Context) (Credentials, error) {
	return Credentials{Login: "alice", Token: token}, nil
}

func withSID(context.Context) (Credentials, error) {
	return Credentials{Login: "alice", Token: token, SID: "old-sid"}, nil
}

// open opens a session that the test closes.
func open(t *testing.T, url string, credentials func(context.Context) (Credentials, error)) (context.Context, *Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := Open(ctx, Endpoint{URL: url}, credentials, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return ctx, s
}

// sendHi sends a message to bob and waits for its confirmation.
func sendHi(ctx context.Context, s *Session) (Sent, error) {
	reply, err := s.Do(ctx, proto.SendMessage("bob", "hi", "", ""))
	if err != nil {
		return Sent{}, err
	}
	return parseSent(reply, "bob"), nil
}

// isKind reports whether err, or a cause of it, is an error of a kind.
func isKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == kind || isKind(e.Err, kind))
}

// statusOf returns the status of a refusal, and "" of any other error.
func statusOf(err error) string {
	var e *Error
	errors.As(err, &e)
	if e == nil {
		return ""
	}
	return e.Status
}

// names makes the resolver of this process answer every question with the same addresses.
func names(t *testing.T, addresses ...string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		question := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			if answer, ok := answerDNS(question[:n], addresses); ok {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	old := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return net.DialUDP("udp", nil, conn.LocalAddr().(*net.UDPAddr)) // needs no look-up itself
	}}
	t.Cleanup(func() {
		net.DefaultResolver = old
		conn.Close()
		<-done
	})
}

// answerDNS answers one question (RFC 1035, 4.1) about an A or AAAA record.
func answerDNS(question []byte, addresses []string) (answer []byte, ok bool) {
	end := 12 // of the header
	for end < len(question) && question[end] != 0 {
		end += 1 + int(question[end])
	}
	if end += 5; end > len(question) { // the root label, type, class
		return nil, false
	}
	kind := binary.BigEndian.Uint16(question[end-4:])
	answer = append([]byte{}, question[:end]...)
	count := uint16(0)
	for _, a := range addresses {
		ip := net.ParseIP(a)
		data := []byte(ip.To16())
		own := uint16(28)
		if v4 := ip.To4(); v4 != nil {
			data, own = v4, 1
		}
		if own != kind {
			continue
		}
		count++
		answer = append(answer, 0xc0, 12) // the name of the question
		answer = binary.BigEndian.AppendUint16(answer, kind)
		answer = append(answer, 0, 1, 0, 0, 0, 0) // class Internet, time to live zero
		answer = binary.BigEndian.AppendUint16(answer, uint16(len(data)))
		answer = append(answer, data...)
	}
	copy(answer[2:], []byte{0x81, 0x80, 0, 1}) // a response without an error, with one question
	binary.BigEndian.PutUint16(answer[6:], count)
	copy(answer[8:], []byte{0, 0, 0, 0}) // no authority and no additional records
	return answer, true
}

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

// sign makes a certificate. A nil authority makes a self-signed one.
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

// intermediate makes an authority that a has signed.
func (a *authority) intermediate(t *testing.T) *authority {
	t.Helper()
	c := template()
	c.Subject.CommonName, c.IsCA, c.KeyUsage, c.ExtKeyUsage = "skaro test intermediate", true, x509.KeyUsageCertSign, nil
	pair := a.sign(t, c)
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

// serveTLS runs a Skaro server with TLS that accepts every login. It returns its host and
// port.
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
		p.recv() // the end of the connection
	}))
	srv.Listener.Close()
	srv.Listener, srv.TLS = l, config
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are expected
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// speak runs a server that gives each connection to do. It returns its host and port.
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
			_ = c.SetDeadline(time.Now().Add(2 * patience)) // a client that never ends is found before
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

// checkUnreachable checks the kind of an error, and a part of its text and of its hint.
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

// handshake answers the WebSocket handshake of a client (RFC 6455, 4.2.2).
func handshake(c net.Conn) *bufio.Reader {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		return in
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	return in
}

// wsFrame is an unmasked WebSocket frame (RFC 6455, 5.2) with a short payload.
func wsFrame(head byte, payload string) string {
	switch n := len(payload); {
	case n < 126:
		return string([]byte{head, byte(n)}) + payload
	default:
		return string([]byte{head, 126, byte(n >> 8), byte(n)}) + payload
	}
}

// cbor returns an encoded Skaro frame.
func cbor(t *testing.T, fields map[string]any) string {
	b, err := proto.Encode(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// reset makes the close of a connection a TCP reset.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

// readFrames reads n WebSocket frames of a client.
func readFrames(in *bufio.Reader, n int) {
	for range n {
		var head [2]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		size := int64(head[1] & 0x7f)
		if size == 126 {
			var more [2]byte
			_, _ = io.ReadFull(in, more[:])
			size = int64(more[0])<<8 | int64(more[1])
		}
		_, _ = io.CopyN(io.Discard, in, 4+size)
	}
}

// newToken makes the token of a password.
func newToken(password string) proto.Token {
	token, err := proto.NewToken(password)
	if err != nil {
		panic(err)
	}
	return token
}
