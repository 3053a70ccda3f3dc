package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/godbus/dbus/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// privateBus is the configuration of a bus that starts no program by itself: only the
// test's own programs answer on it.
const privateBus = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// bus alarm|silent|empty|prompt|locked makes a D-Bus session with an unusable keyring:
// one that must not be asked, one that accepts and stays silent, one without a provider,
// one whose prompt is never answered, and one whose prompt is dismissed.
func cmdBus(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1, "bus alarm|silent|empty|prompt|locked")
	socket := filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), args[0])
	switch args[0] {
	case "alarm":
		t := processesOf(ts).t
		ts.Setenv("DBUS_SESSION_BUS_ADDRESS", servePrivate(ts, socket, func(net.Conn) { t.Errorf("the keyring was asked") }))
		return
	case "silent":
		ts.Setenv("DBUS_SESSION_BUS_ADDRESS", servePrivate(ts, socket, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
		return
	}
	config := filepath.Join(ts.Getenv("WORK"), args[0]+".conf")
	ts.Check(os.WriteFile(config, fmt.Appendf(nil, privateBus, socket), 0o600))
	bus := spawn(ts, "bus-"+args[0], command(ts, "dbus-daemon", "--nofork", "--print-address", "--config-file="+config))
	ts.Setenv("DBUS_SESSION_BUS_ADDRESS", bus.await(ts, bus.stdout, `(unix:\S+)\n`)[1])
	switch args[0] {
	case "prompt":
		offer(ts, func(*dbus.Conn) {})
	case "locked":
		offer(ts, func(conn *dbus.Conn) {
			_ = conn.Emit("/prompt", "org.freedesktop.Secret.Prompt.Completed", true, dbus.MakeVariant([]dbus.ObjectPath{}))
		})
	}
}

// lockedService is a Secret Service that unlocks nothing without a prompt.
type lockedService struct{}

// Unlock is org.freedesktop.Secret.Service.Unlock.
func (lockedService) Unlock([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	return nil, "/prompt", nil
}

// offer puts a locked Secret Service on the script's bus; prompted is called when
// its prompt should appear.
func offer(ts *testscript.TestScript, prompted func(*dbus.Conn)) {
	conn := connectBus(ts)
	ts.Defer(func() { conn.Close() })
	get := func(string, string) (dbus.Variant, *dbus.Error) {
		return dbus.MakeVariant([]dbus.ObjectPath{"/org/freedesktop/secrets/collection/login"}), nil
	}
	prompt := func(string) *dbus.Error {
		prompted(conn)
		return nil
	}
	ts.Check(conn.Export(lockedService{}, secretObject, "org.freedesktop.Secret.Service"))
	ts.Check(conn.ExportMethodTable(map[string]any{"Get": get}, secretObject, "org.freedesktop.DBus.Properties"))
	ts.Check(conn.ExportMethodTable(map[string]any{"Prompt": prompt}, "/prompt", "org.freedesktop.Secret.Prompt"))
	reply, err := conn.RequestName(secretService, dbus.NameFlagDoNotQueue)
	ts.Check(err)
	if reply != dbus.RequestNameReplyPrimaryOwner {
		ts.Fatalf("the name %s is taken", secretService)
	}
}
