package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// overSocket makes HTTP requests go to a socket.
func overSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
		DisableKeepAlives: true,
	}}
}

// The server and its operator's pages can be on sockets that only the owner and the group can
// use. A killed server leaves its socket behind, and the next one replaces it.
func TestServeOnSockets(t *testing.T) {
	data, folder := t.TempDir(), t.TempDir()
	socket, admin := filepath.Join(folder, "s"), filepath.Join(folder, "a")
	addUsers(t, data, "alice")
	for _, killed := range []bool{true, false} {
		p := startServer(t, data, "--listen", "unix:"+socket, "--admin", "unix:"+admin)
		if p.addr != "unix:"+socket || p.admin != "unix:"+admin {
			t.Errorf("it listens on %s and %s", p.addr, p.admin)
		}
		for _, path := range []string{socket, admin} {
			if info, err := os.Lstat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != fs.ModeSocket|0o660 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
		}
		ctx, cancel := withWait()
		defer cancel()
		ws, _, err := websocket.Dial(ctx, "ws://skarod/skaro_client/", &websocket.DialOptions{HTTPClient: overSocket(socket)})
		if err != nil {
			t.Fatal(err)
		}
		ws.CloseNow()
		resp, err := overSocket(admin).Get("http://skarod/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Error(resp.Status)
		}
		if _, err := listen("--listen", "unix:"+socket); err == nil || !strings.Contains(err.Error(), "another program answers there") {
			t.Errorf("a second server: %v", err)
		}
		if killed {
			_ = p.cmd.Process.Kill()
		} else if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Skipf("this system has no SIGINT: %v", err)
		}
		p.wait()
		for _, path := range []string{socket, admin} {
			if _, err := os.Lstat(path); killed == errors.Is(err, fs.ErrNotExist) {
				t.Errorf("killed %v, and %s: %v", killed, path, err)
			}
		}
	}
}

// What is not a socket that was left behind stays.
func TestListenReplacesNoOtherFile(t *testing.T) {
	folder := t.TempDir()
	file, link, stale := filepath.Join(folder, "file"), filepath.Join(folder, "link"), filepath.Join(folder, "stale")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := listenUnix(stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if err := os.Symlink(stale, link); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{file, link} {
		if _, err := listen("--admin", "unix:"+path); err == nil || err.Error() != "listen on unix:"+path+": another file is there" {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{file, link, stale} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	_, err = listen("--admin", "unix:"+filepath.Join(folder, "missing", "s"))
	var hinted *cli.Error
	if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint, "--admin") {
		t.Errorf("in no folder: %v", err)
	}
}
