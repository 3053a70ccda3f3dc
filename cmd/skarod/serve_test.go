package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestServeParsing(t *testing.T) {
	plain := serveOptions{listen: "127.0.0.1:8765", registration: "closed"}
	tls := serveOptions{listen: ":8443", certFile: "c", keyFile: "k", registration: "open"}
	open := plain
	open.listen, open.allowPlaintext = ":80", true
	limited, proxied, pages, kept := plain, plain, plain, plain
	kept.keep = cli.Duration(90 * 24 * time.Hour)
	proxied.proxies = []string{"127.0.0.1", "::1", "unix"}
	pages.allowOrigins = []string{"https://a:443", "http://b"}
	limited.limits = []string{"max-frame=2MiB", "login-time=10s"}
	sockets := plain
	sockets.listen, sockets.admin = "unix:s", "unix:/run/admin.sock"
	checkParsing(t, newServeCmd,
		parsed[serveOptions]{"serve --limit max-frame=2MiB --limit login-time=10s", limited, true},
		parsed[serveOptions]{"serve --trusted-proxy 127.0.0.1,::1 --trusted-proxy unix", proxied, true},
		parsed[serveOptions]{args: "serve --trusted-proxy localhost"},
		parsed[serveOptions]{args: "serve --limit max-frame"},
		parsed[serveOptions]{args: "serve --limit max-frame=0"},
		parsed[serveOptions]{args: "serve --limit max-colors=7"},
		parsed[serveOptions]{"serve --allow-origin https://a:443 --allow-origin http://b", pages, true},
		parsed[serveOptions]{args: "serve --allow-origin a"},
		parsed[serveOptions]{"serve --keep 90d", kept, true},
		parsed[serveOptions]{args: "serve --keep 23h"},
		parsed[serveOptions]{args: "serve --keep 90"},
		parsed[serveOptions]{"serve", plain, true},
		parsed[serveOptions]{"serve --listen unix:s --admin unix:/run/admin.sock", sockets, true},
		parsed[serveOptions]{"serve --listen :8443 --tls-cert c --tls-key k --registration open", tls, true},
		parsed[serveOptions]{"serve --listen :80 --allow-plaintext", open, true},
		parsed[serveOptions]{args: "serve --tls-cert c"},
		parsed[serveOptions]{args: "serve --tls-key k"},
		parsed[serveOptions]{args: "serve --registration maybe"},
		parsed[serveOptions]{args: "serve --listen="},
		parsed[serveOptions]{args: "serve now"},
	)
}

func TestServeRefuses(t *testing.T) {
	data := t.TempDir()
	for args, want := range map[string]string{
		"--listen 0.0.0.0:0":                      "serve: 0.0.0.0:",
		"--listen [::]:0":                         "there is no TLS",
		"--listen 127.0.0.1:0 --admin [::]:0":     "--admin has neither TLS nor a login",
		"--listen 127.0.0.1:0 --admin 9765":       "--admin is \"9765\": missing port in address\nhint: did you mean :9765 or 127.0.0.1:9765?\n",
		"--listen unix:@x":                        "which can't be the path of a socket",
		"--tls-cert x":                            "tls-key",
		"--tls-cert x --tls-key y":                "the certificate can't be used",
		"--registration maybe":                    "not one of open, invite, closed\nhint: give one of these values",
		"now --listen 127.0.0.1:0 --data " + data: "serve takes no argument, and got \"now\"",
	} {
		code, _, errs := skarod("", append(append([]string{"serve"}, strings.Split(args, " ")...), "--data", data)...)
		if code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s", args, code, errs)
		}
	}
	for listen, want := range map[string]string{
		"18779":     "missing port in address\nhint: did you mean :18779 or 127.0.0.1:18779?\n",
		"localhost": "missing port in address\nhint: did you mean localhost:8765?\n",
		"::1":       "too many colons in address\nhint: did you mean [::1]:8765?\n",
		"99999":     "missing port in address\nhint: write it as HOST:PORT, like 127.0.0.1:8765, with an address of this machine\n",
		":99999":    "invalid port\nhint: write it as HOST:PORT, like 127.0.0.1:8765, with an address of this machine\n",
	} {
		code, _, errs := skarod("", "serve", "--listen", listen, "--data", data)
		if code != 2 || errs != fmt.Sprintf("skarod: serve: --listen is %q: %s", listen, want) {
			t.Errorf("--listen %s: exit %d, %s", listen, code, errs)
		}
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	code, _, errs := skarod("", "serve", "--listen", busy.Addr().String(), "--data", data)
	if code != 1 || !strings.HasPrefix(errs, "skarod: serve: listen on "+busy.Addr().String()+": ") || strings.Count(errs, busy.Addr().String()) != 1 ||
		!strings.HasSuffix(errs, "\nhint: give another --listen: another program has that port\n") {
		t.Errorf("a port in use: exit %d, %s", code, errs)
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func TestServeRunsUntilASignal(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	addUsers(t, data, "alice", "bob")
	p := startServer(t, data, "--registration", "invite", "--admin", "127.0.0.1:0")
	alice := p.login("alice")
	if r := alice.request(2, proto.TypeRegisterType, nil); r.Fields.Text("register_type") != "invite" {
		t.Errorf("%s", r.Fields.Describe())
	}
	if r := alice.request(3, proto.TypeSendMessage, map[string]any{"to": "bob", "body": "hi"}); !r.OK() {
		t.Errorf("%s", r.Fields.Describe())
	}
	for _, page := range []string{"/healthz", "/metrics"} {
		for addr, want := range map[string]int{p.admin: http.StatusOK, p.addr: http.StatusNotFound} {
			resp, err := http.Get("http://" + addr + page)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s of %s: %s", page, addr, resp.Status)
			}
		}
	}

	// Everything about accounts works meanwhile, and takes effect.
	bob := p.login("bob")
	addUsers(t, data, "carol")
	p.login("carol")
	if code, _, errs := skarod("", "user", "remove", "bob", "--data", data); code != 0 {
		t.Errorf("remove: %s", errs)
	}
	if code, _, errs := skarod("secret of alice", "user", "passwd", "alice", "--password-stdin", "--data", data); code != 0 {
		t.Errorf("passwd: %s", errs)
	}
	for login, c := range map[string]*client{"bob": bob, "alice": alice} { // alice: the same password again, to log out everywhere
		for {
			if _, err := c.read(); err != nil {
				if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
					t.Errorf("%s: %v", login, err)
				}
				break
			}
		}
	}

	// A second server is refused.
	out, err := exec.Command(program(t), "serve", "--listen", "127.0.0.1:0", "--data", data).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !bytes.Contains(out, []byte("another skarod serves")) || !bytes.Contains(out, []byte("hint: ")) {
		t.Errorf("a second server: %v, %s", err, out)
	}

	carol := p.login("carol")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Skipf("this system has no SIGTERM: %v", err)
	}
	if _, err := carol.read(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the connection ends with %v", err)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit %d, %s", code, p.log.String())
	}
	if strings.Contains(p.log.String(), "secret of") {
		t.Errorf("the log shows a password: %s", p.log.String())
	}
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
		if strings.HasSuffix(e.Name(), "-wal") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// A server ends with its context, closes the database, and lets another one have it.
func TestServeEndsWithItsContext(t *testing.T) {
	data := t.TempDir()
	for range 2 {
		ctx, cancel := context.WithCancelCause(t.Context())
		r, w := io.Pipe()
		ended := make(chan int, 1)
		go func() {
			defer w.Close()
			streams := terminal.Streams{Out: io.Discard, Err: w}
			ended <- cli.MainContext(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--data", data}, streams, func(string) string { return "" }, newProgram)
		}()
		lines := bufio.NewScanner(r)
		var said []string
		for lines.Scan() {
			said = append(said, lines.Text())
			if strings.Contains(lines.Text(), "msg=listening") {
				cancel(&terminal.Interrupt{Signal: syscall.SIGTERM})
			}
		}
		status := <-ended
		cancel(nil)
		if status != 0 || !strings.Contains(said[len(said)-1], "msg=stopping signal=SIGTERM") {
			t.Errorf("exit %d, %q", status, said)
		}
	}
}

func TestSignalBeforeTheServerServesIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&terminal.Interrupt{Signal: syscall.SIGTERM})
	var log bytes.Buffer
	f := &Factory{stderr: &log, getenv: os.Getenv, data: filepath.Join(t.TempDir(), "data")}
	if err := runServe(ctx, f, &serveOptions{listen: "127.0.0.1:0", registration: "closed"}); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "listening") {
		t.Errorf("it served: %s", log.String())
	}
}
