package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// hostileTexts are the texts of internal/output's tests, each between marks that show
// that it was printed.
func hostileTexts(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../internal/output/testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := strconv.Unquote(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, fmt.Sprintf("<%d:%s:%d>", len(list), s, len(list)))
	}
	return list
}

// hostileServer sends hostile texts in every place that can hold a text. The start of the
// URL's path selects the behaviour of the connection, the rest selects the text.
type hostileServer struct {
	t     *testing.T
	texts []string
	all   string // the texts in one
	parts []part // what has room in a login, and in the excerpt of an error
	body  string // a very long one

	part  atomic.Int64 // the part that is sent
	flaky atomic.Bool  // the next connection is lost
}

// part is some of the texts.
type part struct {
	text  string
	shown []string // what must be visible of it
}

// newParts cuts texts into parts, and leaves out what no login has room for.
func newParts(texts []string) []part {
	parts := []part{{}}
	for i, text := range texts {
		text = strings.ToValidUTF8(text, "\uFFFD") // as it is read
		if len(text) > proto.MaxLogin {
			continue
		}
		p := &parts[len(parts)-1]
		if len(p.text)+len(text) > proto.MaxLogin {
			parts = append(parts, part{})
			p = &parts[len(parts)-1]
		}
		p.text += text
		p.shown = append(p.shown, fmt.Sprintf("<%d:", i), fmt.Sprintf(":%d>", i))
	}
	return parts
}

func (h *hostileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	which, _, _ := strings.Cut(rest, "/")
	text := h.all
	if n, err := strconv.Atoi(which); err == nil {
		text = h.texts[n]
	}
	line := strings.NewReplacer("\r", "", "\n", "").Replace(text)
	value := strings.Map(func(r rune) rune { // what net/http takes for a header
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	raw := func(answer string) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			h.t.Error(err)
			return
		}
		_, _ = c.Write([]byte(answer)) // the client may have gone
		c.Close()
	}
	switch way {
	case "body":
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(text))
		return
	case "redirect":
		raw("HTTP/1.1 302 Found\r\nLocation: /" + strings.ReplaceAll(value, "%", "") + "\r\nContent-Length: 0\r\n\r\n")
		return
	case "reason":
		raw("HTTP/1.1 404 " + line + "\r\nContent-Length: 0\r\n\r\n")
		return
	case "busy":
		raw("HTTP/1.1 503 " + line + "\r\nContent-Length: 0\r\n\r\n")
		return
	case "header":
		raw("HTTP/1.1 101 Switching Protocols\r\n" + line + ": " + line + "\r\n\r\n")
		return
	case "handshake":
		raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + value + "\r\nConnection: " + value + "\r\n\r\n")
		return
	case "accept":
		raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + value + "\r\n\r\n")
		return
	case "noise":
		raw(text)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		h.t.Error(err)
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	part := h.parts[h.part.Load()].text
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	write := func(typ websocket.MessageType, b []byte) { _ = ws.Write(ctx, typ, b) } // the client may have gone
	send := func(fields map[string]any) {
		b, err := proto.Encode(fields)
		if err != nil {
			h.t.Error(err)
		}
		write(websocket.MessageBinary, b)
	}
	switch way {
	case "text":
		write(websocket.MessageText, []byte(text))
		return
	case "garbage":
		write(websocket.MessageBinary, []byte(text))
		return
	case "twice":
		write(websocket.MessageBinary, append([]byte{0xa2}, slices.Repeat(append(cborText(text), 0x01), 2)...))
		return
	case "greeting":
		send(map[string]any{"type": part, text: text})
		return
	}
	send(map[string]any{"type": "check_connection", "token": "T", "server": h.all, "extensions": h.texts, h.all: h.all})
	if way == "closed" {
		reason := text
		for len(reason) > 123 { // what a close frame has room for
			reason = reason[:123]
		}
		_ = ws.Close(4000, reason)
		return
	}
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			return
		}
		request, err := proto.Decode(b)
		if err != nil {
			h.t.Error(err)
			return
		}
		id, _ := request.Int("on_request")
		reply := map[string]any{"type": "request", "for": request.Type(), "id": id, "status": "200 OK", "info": h.all, h.all: h.all}
		switch typ := request.Type(); {
		case way == "unwelcome" && typ == "authorize", way == "refused" && typ != "authorize":
			reply["status"], reply["info"] = "418 I'm a teapot", part
		case way == "status" && typ != "authorize":
			reply["status"] = "418 " + part
		case way == "nameless" && typ != "authorize":
			delete(reply, "id")
			reply["for"] = h.all
		case way == "wrong" && typ != "authorize":
		case typ == "authorize", typ == "session_restore":
			reply["session_id"], reply["user"] = part, map[string]any{"login": part, h.all: h.all}
		case typ == "register_type":
			reply["register_type"] = h.all
		case typ == "register":
			reply["user"] = map[string]any{"login": part}
		case typ == "add_contact":
			reply["contact"] = map[string]any{"login": h.all, "name": h.all, h.all: h.all}
		case typ == "get_contacts", typ == "search_contacts":
			data := []any{}
			for _, s := range h.texts {
				data = append(data, map[string]any{"login": s, "name": s, "online": true, s: s, "list": []string{s}})
			}
			reply["data"] = data
		case typ == "get_history":
			messages := h.messages()
			if request.Text("login") != "bob" {
				messages = messages[1:] // the long one once is enough
			}
			reply["history"] = messages
		case typ == "send_message":
			reply["message_id"], reply["date"] = 7, h.all
		}
		send(reply)
		if request.Type() == "authorize" && way == "flaky" && h.flaky.CompareAndSwap(true, false) {
			_ = ws.Close(4000, h.texts[0])
			return
		}
		if request.Type() == "authorize" {
			for _, s := range h.texts {
				send(map[string]any{"type": "info", "info": s, s: s})
				send(map[string]any{"type": "error", "info": s, s: []string{s}})
				send(map[string]any{"type": s, s: map[string]string{s: s}})
			}
			for _, m := range h.messages() {
				m["type"] = "show_message"
				send(m)
			}
		}
	}
}

// messages are two for each text, in a conference and our own, and a very long one.
func (h *hostileServer) messages() []map[string]any {
	list := []map[string]any{{"from": map[string]any{"login": "bob"}, "to": "alice", "body": h.body}}
	for _, s := range h.texts {
		list = append(list,
			map[string]any{"from": map[string]any{"login": s, "in_conference": s, s: s}, "to": s, "body": s, "date": s, s: s, "list": []string{s}},
			map[string]any{"from": map[string]any{"login": h.all}, "to": s, "body": s, "date": 1463313600},
		)
	}
	return list
}

// cborText is a text of any bytes in CBOR.
func cborText(s string) []byte {
	return append([]byte{0x7a, byte(len(s) >> 24), byte(len(s) >> 16), byte(len(s) >> 8), byte(len(s))}, s...)
}

// screen runs a program with a terminal as its only stream, for output, errors and
// prompts. The answer to a prompt is typed in advance. It returns every byte that reached
// the terminal, and the exit status.
func screen(t *testing.T, env []string, typed string, args ...string) (string, int) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	keyboard, terminal := openPTY(check)
	defer keyboard.Close()
	mode, err := unix.IoctlGetTermios(int(keyboard.Fd()), unix.TCGETS)
	check(err)
	mode.Oflag &^= unix.OPOST // what is written comes as it is
	mode.Lflag &^= unix.ECHO
	check(unix.IoctlSetTermios(int(keyboard.Fd()), unix.TCSETS, mode))
	if typed != "" {
		_, err := keyboard.WriteString(typed)
		check(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, "skaroctl", args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 1}
	check(cmd.Start())
	terminal.Close()
	seen := make(chan string)
	go func() {
		var all strings.Builder
		b := make([]byte, 64<<10)
		for {
			n, err := keyboard.Read(b)
			all.Write(b[:n])
			if err != nil { // the last of the program's files is closed
				seen <- all.String()
				return
			}
		}
	}()
	_ = cmd.Wait() // its result is in cmd.ProcessState
	if ctx.Err() != nil {
		t.Fatalf("%q does not end", args)
	}
	return <-seen, cmd.ProcessState.ExitCode()
}

// oursOnly are the sequences that skaroctl itself sends to a terminal.
var oursOnly = regexp.MustCompile(`\x1b\[(0|1|2|1;31|38;5;\d+)m`)

// leak is the first character that must not reach a terminal, in quotes, or "".
func leak(text string) string {
	text = oursOnly.ReplaceAllString(text, "")
	if !utf8.ValidString(text) {
		return "something that is not UTF-8"
	}
	for _, r := range text {
		switch {
		case r == '\n', r == '\t', r == 0x200e, r == 0x200f, r == 0x61c:
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r), unicode.In(r, unicode.Zl, unicode.Zp), r>>8 == 0xe00:
			return strconv.QuoteRuneToASCII(r)
		}
	}
	return ""
}

// TestHostileServer: only text and our own colours reach the terminal, whatever text a
// server sends in whatever place.
func TestHostileServer(t *testing.T) {
	statSources(t)
	h := &hostileServer{t: t, texts: hostileTexts(t)}
	h.all, h.parts = strings.Join(h.texts, " "), newParts(h.texts)
	h.body = "<long:" + strings.Repeat("\x1b[31m\u202e", 1<<17) + ":long>"
	server := httptest.NewServer(h)
	defer server.Close()
	base := "ws" + strings.TrimPrefix(server.URL, "http") + "/"
	dir := t.TempDir()
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_STATE_HOME=" + dir, "XDG_CACHE_HOME=" + dir, "XDG_RUNTIME_DIR=" + dir,
		"TERM=xterm-256color", "TZ=UTC", "DBUS_SESSION_BUS_ADDRESS=disabled:", "SKAROCTL_TIMEOUT=60s", "GORACE=" + gorace,
	}
	tokenEnv := append(env[:len(env):len(env)], "SKAROCTL_LOGIN=alice", "SKAROCTL_TOKEN="+newToken("pw").Text())

	// every is the part of each text that must be visible.
	every := make([]string, 0, len(h.texts))
	for i := range h.texts {
		every = append(every, fmt.Sprintf("<%d:", i), fmt.Sprintf(":%d>", i))
	}
	look := func(what string, env []string, typed string, exit int, wanted []string, args ...string) {
		t.Helper()
		seen, code := screen(t, env, typed, args...)
		if code != exit {
			t.Errorf("%s: %q: exit status %d, not %d: %.600q", what, args, code, exit, seen)
		}
		if got := leak(seen); got != "" {
			i := max(0, strings.Index(strconv.QuoteToASCII(seen), strings.Trim(got, "'"))-80)
			t.Errorf("%s: %q lets %s through: …%.300s", what, args, got, strconv.QuoteToASCII(seen)[i:])
		}
		for _, text := range wanted {
			if !strings.Contains(seen, text) {
				t.Errorf("%s: %q shows nothing of %s: %.600q", what, args, text, seen)
				break
			}
		}
		if slices.Contains(args, "json") && !slices.Contains(args, "-v") && typed == "" {
			for line := range strings.Lines(seen) {
				if !json.Valid([]byte(line)) && !strings.HasPrefix(line, "skaroctl: ") { // a notice
					t.Errorf("%s: %q: that is no JSON: %.300q", what, args, line)
				}
			}
		}
	}
	all, others := strconv.Itoa(len(h.messages())), strconv.Itoa(1+len(h.texts))
	long := append([]string{"<long:", ":long>"}, every...)
	variants := [][]string{{}, {"-v"}, {"-o", "json"}, {"-o", "json", "-v"}, {"-o", "text", "--color", "always", "--utc"}, {"--color", "never"}}
	if len(h.parts) > len(variants) {
		t.Fatalf("%d parts, and %d variants", len(h.parts), len(variants))
	}
	for _, c := range []struct {
		way    string
		exit   int
		wanted []string
		args   []string
	}{
		{"well", 0, every, []string{"contacts"}},
		{"well", 0, long, []string{"history", "bob"}},
		{"well", 0, long, []string{"listen", "--events", "-n", others}},
		{"well", 0, every, []string{"listen", "--since", "all", "--own", "-n", all}},
		{"well", 0, []string{"sent"}, []string{"send", "bob", "hello"}},
		{"well", 0, every, []string{"status"}},
		{"well", 0, every, []string{"register-type"}},
		{"well", 1, []string{"--exec failed"}, []string{"listen", "--exec", "exit 1"}},
		{"well", 0, every, []string{"contacts", "add", "bob"}},
		{"well", 0, nil, []string{"contacts", "remove", "bob"}},
		{"well", 0, every, []string{"contacts", "search", "bob"}},
		{"well", 0, every, []string{"request", "get_contacts"}},
		{"well", 0, every, []string{"request", "register_type", "--no-auth"}},
		{"wrong", 8, nil, []string{"contacts"}},
		{"wrong", 8, nil, []string{"history", "bob"}},
		{"wrong", 8, nil, []string{"register-type"}},
		{"nameless", 8, nil, []string{"contacts"}},
		{"twice", 8, nil, []string{"contacts"}},
		{"redirect", 4, []string{"redirects to"}, []string{"contacts"}},
		{"reason", 8, nil, []string{"contacts"}},
		{"busy", 4, nil, []string{"contacts"}},
		{"header", 4, nil, []string{"contacts"}},
		{"handshake", 8, []string{"handshake is invalid"}, []string{"contacts"}},
		{"accept", 8, []string{"handshake is invalid"}, []string{"contacts"}},
		{"noise", 8, nil, []string{"contacts"}},
	} {
		for i, v := range variants {
			h.part.Store(int64(i % len(h.parts)))
			look(c.way, tokenEnv, "", c.exit, c.wanted, append(append(c.args[:len(c.args):len(c.args)], v...), "--server", base+c.way+"/")...)
		}
	}
	// Places in which a part of the texts has room.
	for _, c := range []struct {
		way  string
		exit int
		args []string
	}{
		{"refused", 5, []string{"contacts"}},
		{"refused", 5, []string{"contacts", "add", "bob"}},
		{"refused", 5, []string{"request", "get_user_data", "-f", "login=bob"}},
		{"refused", 5, []string{"history", "bob"}},
		{"refused", 5, []string{"send", "bob,carol", "hello"}},
		{"refused", 5, []string{"register-type"}},
		{"status", 5, []string{"contacts"}},
		{"unwelcome", 3, []string{"contacts"}},
		{"unwelcome", 3, []string{"send", "bob", "hello"}},
		{"unwelcome", 3, []string{"listen"}},
		{"greeting", 8, []string{"contacts"}},
	} {
		for i, v := range variants {
			h.part.Store(int64(i % len(h.parts)))
			look(c.way, tokenEnv, "", c.exit, h.parts[i%len(h.parts)].shown, append(append(c.args[:len(c.args):len(c.args)], v...), "--server", base+c.way+"/")...)
		}
	}
	for _, template := range []string{"{{.body}}", "{{.}}", "{{json .}}", `{{printf "%s%v" .from .extra}}`, "{{slice .body 1}}"} {
		look("format", tokenEnv, "", 0, []string{"<", ">"}, "listen", "-n", others, "--server", base+"well/", "--format", template)
	}

	look("completion", append(tokenEnv[:len(tokenEnv):len(tokenEnv)], "SKAROCTL_SERVER="+base+"well/"), "", 0, []string{":4"}, "__complete", "send", "")

	// Places that show only the start of one text.
	for i := range h.texts {
		for way, exit := range map[string]int{"closed": 4, "body": 8, "text": 8} {
			look(way, tokenEnv, "", exit, nil, "contacts", "-v", "--server", fmt.Sprintf("%s%s/%d/", base, way, i))
		}
	}
	h.flaky.Store(true)
	look("flaky", tokenEnv, "", 0, []string{"trying again", "<0:"}, "listen", "--since", "all", "-n", "1", "--server", base+"flaky/")

	// The profile keeps the login as the server spelled it.
	stored := append(env[:len(env):len(env)], "SKAROCTL_SERVER="+base+"well/")
	for i, v := range variants {
		h.part.Store(int64(i % len(h.parts)))
		shown := h.parts[i%len(h.parts)].shown
		look("login", stored, "pw\n", 0, shown, append([]string{"login", "alice", "--store", "file"}, v...)...)
		look("register", stored, "pw\npw\n", 0, shown, append([]string{"register", "alice", "--store", "file", "-p", "new"}, v...)...)
		look("logout", stored, "", 0, nil, append([]string{"logout", "-p", "new"}, v...)...)
		look("login again", stored, "pw\n", 0, append([]string{"Password of "}, shown...), append([]string{"login"}, v...)...)
		look("status", stored, "", 0, shown, append([]string{"status"}, v...)...)
		look("logout", stored, "", 0, nil, append([]string{"logout"}, v...)...)
	}

	// Names in a certificate, and a proxy.
	authority, certificate := hostileCertificate(t, h.texts)
	caFile := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(h)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	secure.StartTLS()
	defer secure.Close()
	look("certificate", tokenEnv, "", 4, []string{", not for "}, "contacts", "-v",
		"--server", "wss"+strings.TrimPrefix(secure.URL, "https")+"/well/", "--ca-file", caFile)
	look("authority", tokenEnv, "", 4, []string{"TLS certificate"}, "contacts", "-v", "--server", "wss"+strings.TrimPrefix(secure.URL, "https")+"/well/")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = c.Write([]byte("HTTP/1.1 502 " + strings.NewReplacer("\r", "", "\n", "").Replace(h.all) + "\r\n\r\n"))
	}))
	defer proxy.Close()
	look("proxy", append(tokenEnv[:len(tokenEnv):len(tokenEnv)], "HTTPS_PROXY="+proxy.URL), "", 4, nil, "contacts", "-v", "--server", "wss://nowhere.invalid/well/")
}

// hostileCertificate makes an authority, and a certificate with hostile names.
func hostileCertificate(t *testing.T, texts []string) (authority []byte, certificate tls.Certificate) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: texts[0], Organization: []string{texts[1]}}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
	}
	for _, s := range texts {
		if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) { // no name may be more
			template.DNSNames = append(template.DNSNames, s)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
