//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// systemd's watchdog ends a server that does not answer with SIGABRT. The unit must not count
// the status that it then has as a reason to leave the service stopped.
func TestUnitRestartsAServerThatTheWatchdogEnded(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice")
	p := startServer(t, data)
	if err := p.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	status := strconv.Itoa(p.wait())
	if status == "0" {
		t.Fatal("SIGABRT ends the server without a failure")
	}
	restarts := false
	for line := range strings.Lines(readUnit(t)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "Restart":
			restarts = value == "on-failure"
		case "RestartPreventExitStatus", "SuccessExitStatus":
			if slices.Contains(strings.Fields(value), status) {
				t.Errorf("%s, and a server that the watchdog has ended has the status %s", strings.TrimSpace(line), status)
			}
		}
	}
	if !restarts {
		t.Error("the unit has no Restart=on-failure")
	}
}

// readUnit returns the text of the unit.
func readUnit(t *testing.T) string {
	t.Helper()
	unit, err := os.ReadFile(filepath.Join("..", "..", "packaging", "skarod.service"))
	if err != nil {
		t.Fatal(err)
	}
	return string(unit)
}

// The unit waits for what the server says.
func TestUnitExpectsNotices(t *testing.T) {
	unit := readUnit(t)
	for _, line := range []string{"Type=notify", "WatchdogSec=60", "RuntimeDirectory=skarod"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("no %s in the unit", line)
		}
	}
}
