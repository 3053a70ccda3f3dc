//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemd learns when the server is ready, that it works, and when it stops.
func TestServeTellsSystemd(t *testing.T) {
	data, socket := t.TempDir(), filepath.Join(t.TempDir(), "notify")
	addUsers(t, data, "alice")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	if err := systemd.SetReadDeadline(time.Now().Add(longWait)); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		t.Helper()
		b := make([]byte, 4096)
		n, err := systemd.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "1000")
	p := startServer(t, data)
	if s := said(); s != "READY=1" {
		t.Errorf("first it says %q", s)
	}
	for range 3 {
		if s := said(); s != "WATCHDOG=1" {
			t.Errorf("it says %q", s)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for s := said(); s != "STOPPING=1"; s = said() {
		if s != "WATCHDOG=1" {
			t.Errorf("it says %q", s)
		}
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit %d, %s", code, p.log.String())
	}
}

// The unit waits for what the server says.
func TestUnitExpectsNotices(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join("..", "..", "packaging", "skarod.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Type=notify", "WatchdogSec=60", "RuntimeDirectory=skarod"} {
		if !strings.Contains(string(unit), "\n"+line+"\n") {
			t.Errorf("no %s in the unit", line)
		}
	}
}
