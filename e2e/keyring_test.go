package e2e

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

const (
	secretService = "org.freedesktop.secrets"
	secretObject  = "/org/freedesktop/secrets"
)

// keyring starts a session bus and GNOME's Secret Service on it, unlocked, and
// sets $DBUS_SESSION_BUS_ADDRESS.
func cmdKeyring(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 0, "keyring")
	bus := spawn(ts, "dbus-daemon", command(ts, "dbus-daemon", "--session", "--nofork", "--print-address",
		"--address=unix:path="+filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), "bus")))
	ts.Setenv("DBUS_SESSION_BUS_ADDRESS", bus.await(ts, bus.stdout, `(unix:\S+)\n`)[1])

	conn := connectBus(ts)
	defer conn.Close()
	appeared := make(chan *dbus.Signal, 16)
	conn.Signal(appeared)
	ts.Check(conn.AddMatchSignal(
		dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"),
		dbus.WithMatchArg(0, secretService),
	))
	daemon := command(ts, "gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
	daemon.Stdin = strings.NewReader("a test needs no secret here\n")
	p := spawn(ts, "gnome-keyring-daemon", daemon)
	late := time.After(deadline)
	for {
		select {
		case signal := <-appeared:
			if signal.Name == "org.freedesktop.DBus.NameOwnerChanged" { // others come unasked
				return
			}
		case <-p.done:
			ts.Fatalf("gnome-keyring-daemon ended: %s", p.stderr)
		case <-late:
			ts.Fatalf("no Secret Service within %v: %s", deadline, p.stderr)
		}
	}
}

func connectBus(ts *testscript.TestScript) *dbus.Conn {
	conn, err := dbus.Connect(ts.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	ts.Check(err)
	return conn
}

// items N asserts how many items the Secret Service holds.
func cmdItems(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1, "items N")
	conn := connectBus(ts)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var unlocked, locked []dbus.ObjectPath
	call := conn.Object(secretService, secretObject).CallWithContext(ctx,
		"org.freedesktop.Secret.Service.SearchItems", 0, map[string]string{})
	ts.Check(call.Store(&unlocked, &locked))
	if got := strconv.Itoa(len(unlocked) + len(locked)); got != args[0] {
		ts.Fatalf("the Secret Service holds %s items (%v, locked: %v), not %s", got, unlocked, locked, args[0])
	}
}
