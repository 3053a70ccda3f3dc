package session

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestCredentialsFail: a server that says nothing does not hold up the reason why
// there are no credentials.
func TestCredentialsFail(t *testing.T) {
	reached := make(chan struct{})
	address := speak(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		close(reached)
		_, _ = io.Copy(io.Discard, c)
	})
	none := errors.New("not logged in")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := Open(ctx, Endpoint{URL: "ws://" + address}, func(context.Context) (Credentials, error) {
		<-reached
		return Credentials{}, none
	}, nil)
	if !errors.Is(err, none) {
		t.Fatalf("got %v", err)
	}
}

// names makes the resolver of this process answer every question with the same
// addresses, of either family.
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
		return net.DialUDP("udp", nil, conn.LocalAddr().(*net.UDPAddr)) // looks nothing up itself
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
		answer = append(answer, 0, 1, 0, 0, 0, 0) // Internet, not to be kept
		answer = binary.BigEndian.AppendUint16(answer, uint16(len(data)))
		answer = append(answer, data...)
	}
	copy(answer[2:], []byte{0x81, 0x80, 0, 1}) // an answer without error, one question
	binary.BigEndian.PutUint16(answer[6:], count)
	copy(answer[8:], []byte{0, 0, 0, 0}) // and nothing else
	return answer, true
}

// TestAddresses: a host with several addresses is reached by the one that works.
func TestAddresses(t *testing.T) {
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

// TestSilentDNS: the time that the caller gives bounds the look-up too.
func TestSilentDNS(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	old := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = old })
	ctx, cancel := context.WithCancelCause(context.Background())
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

// TestIPv6 connects to an IPv6 literal.
func TestIPv6(t *testing.T) {
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

// TestNamesNothing: what is refused for its URL looks up no name.
func TestNamesNothing(t *testing.T) {
	old := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = old })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a name was looked up")
		return nil, errors.New("no look-ups here")
	}}
	err := logIn(t, Endpoint{URL: "ws://chat.invalid/skaro_client/"})
	if !isKind(err, KindEndpoint) {
		t.Fatalf("got %v (%T), no error of KindEndpoint", err, err)
	}
}

// TestNoPasswordShown: a password that somebody put into the URL is in no error.
func TestNoPasswordShown(t *testing.T) {
	for _, url := range []string{
		"alice:secret@chat.example.org", "//alice:secret@chat.example.org/x", "wss:alice:secret@chat.example.org",
		"wss//alice:secret@chat.example.org", "wss://alice:secret%zz@chat.example.org/", "wss://alice:secret@bad host/",
		"ws://alice:secret@/x", "ws://alice:secret@:80/", "ws:///alice:secret@chat.example.org/", "http:///alice:secret@chat.example.org/",
		"http://alice:secret@chat.example.org/", "ws://alice:secret@chat.example.org/", "ftp://alice:secret@chat.example.org/", "wss://chat.example.org:secret/",
	} {
		err := Endpoint{URL: url}.Check()
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindEndpoint || e.Hint == "" {
			t.Errorf("%s: got %v (%T)", url, err, err)
		} else if strings.Contains(e.Error()+e.Hint, "secret") {
			t.Errorf("%s: the error is %q, the hint %q", url, e, e.Hint)
		}
	}
}

// TestDiagnoseDial: what a system says of a connection, with the numbers that Windows
// has for it too.
func TestDiagnoseDial(t *testing.T) {
	for code, want := range map[syscall.Errno]string{
		syscall.ECONNREFUSED: "nothing listens at 127.0.0.1:1", 10061: "nothing listens at 127.0.0.1:1",
		syscall.EHOSTUNREACH: "there is no route to 127.0.0.1:1", 10065: "there is no route to 127.0.0.1:1",
		syscall.ENETUNREACH: "there is no route to 127.0.0.1:1", 10051: "there is no route to 127.0.0.1:1",
		syscall.ETIMEDOUT: "127.0.0.1:1 does not answer", 10060: "127.0.0.1:1 does not answer",
		syscall.ECONNRESET: "127.0.0.1:1 closed the connection at once", 10054: "127.0.0.1:1 closed the connection at once",
	} {
		op := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, Err: os.NewSyscallError("connect", code)}
		if d := diagnoseDial(op); !strings.HasPrefix(d.why, want) || d.hint == "" {
			t.Errorf("dial, %d: %+v", code, d)
		}
	}
	for _, code := range []syscall.Errno{syscall.ECONNRESET, 10054, syscall.ECONNABORTED, 10053} {
		cut := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", code)}
		if d := diagnoseDial(cut); d.why != "it closed the connection without an answer" {
			t.Errorf("cut with %d: %+v", code, d)
		}
		if d := diagnoseLoss(cut); d != brokenOff {
			t.Errorf("lost with %d: %+v", code, d)
		}
	}
}

// TestCorrected: a redirect that shows a slip in our own URL says what was meant, and
// ends the attempts; another one does not.
func TestCorrected(t *testing.T) {
	for _, c := range []struct{ url, location, want string }{
		{"ws://h:1/skaro_client", "/skaro_client/", "ws://h:1/skaro_client/"},
		{"ws://h:1/chat", "/chat/", "ws://h:1/chat/"},
		{"ws://h:1/", "skaro_client/", "ws://h:1/skaro_client/"},
		{"ws://h/skaro_client/", "https://H/skaro_client/", "wss://H/skaro_client/"},
		{"ws://h:8080/skaro_client/", "https://h/skaro_client/", "wss://h/skaro_client/"},
		{"wss://h/skaro_client", "http://h/skaro_client/", "wss://h/skaro_client/"},
		{"wss://h/skaro_client/", "http://h/skaro_client/", ""},
		{"ws://h/skaro_client/", "/skaro_client/", ""},
		{"ws://h/skaro_client/", "/login", ""},
		{"ws://h/skaro_client", "/skaro_client/?next=x", "ws://h/skaro_client/"},
		{"ws://h/skaro_client", "ws://other/skaro_client/", ""},
		{"ws://h/skaro_client", "ws://a@h/skaro_client/", ""},
		{"ws://h/skaro_client", "", ""},
		{"ws://h/skaro_client", "://", ""},
	} {
		if got := (Endpoint{URL: c.url}).corrected(c.location); got != c.want {
			t.Errorf("%s, sent to %q: %q, not %q", c.url, c.location, got, c.want)
		}
		err := Endpoint{URL: c.url}.diagnoseAnswer(&http.Response{StatusCode: 301, Header: http.Header{"Location": {c.location}}})
		if Temporary(err) != (c.want == "") {
			t.Errorf("%s, sent to %q: temporary %v", c.url, c.location, Temporary(err))
		}
	}
}
