package account

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const secretService = "org.freedesktop.secrets"

// privateBus is the configuration of a bus that starts no program by itself: what
// answers on it is what the test started.
const privateBus = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// waitForService waits until the bus has a Secret Service.
func waitForService() error {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	changes := make(chan *dbus.Signal, 16)
	conn.Signal(changes)
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, secretService)); err != nil {
		return err
	}
	for {
		var has bool
		if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, secretService).Store(&has); err != nil || has {
			return err
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return fmt.Errorf("no Secret Service came up: %w", ctx.Err())
		}
	}
}

// session runs this test binary as a child in a D-Bus session of its own with
// home as HOME, after the shell command prepare.
func session(t *testing.T, home, prepare, child string) {
	t.Helper()
	needSecretService(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := os.MkdirTemp("", "bus") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	config := filepath.Join(home, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, privateBus, sockets), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dbus-run-session", "--config-file="+config, "--", "sh", "-ec", prepare+"\n"+`exec "$0"`, self)
	cmd.Env = asChild(child, "HOME="+home, "XDG_RUNTIME_DIR="+sockets)
	// The daemon that prepare starts lives on until the bus is gone: its output
	// goes to files, so that nothing waits for it.
	out, err := os.Create(filepath.Join(home, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Errorf("child %s: %v\n%s", child, err, text)
	}
}

func needSecretService(t *testing.T) {
	t.Helper()
	for _, program := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("SKIPPED: needs gnome-keyring and dbus-run-session (Debian packages gnome-keyring, dbus)")
		}
	}
}

const (
	unlockedDaemon = `printf '\n' | gnome-keyring-daemon --unlock --components=secrets`
	lockedDaemon   = `gnome-keyring-daemon --start --components=secrets`
)

func init() {
	children["keyring"] = keyringChild
	children["locked keyring"] = lockedChild
	children["kept keyring"] = keptChild
	children["no provider"] = func() error { return allUnavailable(realStore(), noProviderWhy) }
	children["no bus"] = func() error { return allUnavailable(realStore(), noBusWhy) }
	children["silent bus"] = silentBusChild
	children["closing bus"] = closingBusChild
	children["refusing bus"] = refusingBusChild
	children["silent provider"] = silentProviderChild
	children["strange provider"] = strangeProviderChild
}

// realStore is the store as the program opens it.
func realStore() *keyringStore {
	files, err := FindFiles(os.Getenv)
	if err != nil {
		panic(err)
	}
	return newKeyringStore(files)
}

// allUnavailable is what a keyring does that can't be used: every call says why.
func allUnavailable(s Store, why string) error {
	ctx := context.Background()
	_, getErr := s.Get(ctx, alice)
	return errors.Join(
		wantUnavailable(getErr, why), wantUnavailable(s.Set(ctx, alice, someCredentials()), why),
		wantUnavailable(s.Delete(ctx, alice), why), wantUnavailable(s.Renew(ctx, alice, "x", noon), why),
	)
}

// allUnanswered is what a silent keyring does: every call ends with its context. If that
// ends before the keyring is asked, on a busy machine, the call gets more time.
func allUnanswered(s Store) error {
	tooLate := errors.New("too late")
	within := func(call func(context.Context) error) (err error) {
		for limit := 50 * time.Millisecond; limit < time.Minute; limit *= 2 {
			ctx, cancel := context.WithTimeoutCause(context.Background(), limit, tooLate)
			err = call(ctx)
			cancel()
			if err != tooLate {
				break
			}
		}
		return wantUnavailable(err, "ask the keyring: too late")
	}
	return errors.Join(
		within(func(ctx context.Context) error { _, err := s.Get(ctx, alice); return err }),
		within(func(ctx context.Context) error { return s.Set(ctx, alice, someCredentials()) }),
		within(func(ctx context.Context) error { return s.Delete(ctx, alice) }),
	)
}

// keyringChild uses a real keyring, and leaves one item in it.
func keyringChild() error {
	if err := waitForService(); err != nil {
		return err
	}
	s := realStore()
	if err := exerciseStore(s); err != nil {
		return err
	}
	large := Credentials{SID: strings.Repeat("x", keyringLimit-len(`{"sid":""}`))}
	if err := s.Set(context.Background(), alice, large); err != nil {
		return err
	}
	if got, err := s.Get(context.Background(), alice); err != nil || !sameCredentials(got, large) {
		return fmt.Errorf("the largest item: %w", err)
	}
	return s.Set(context.Background(), alice, someCredentials())
}

// lockedChild finds the keyring that keyringChild left, locked.
func lockedChild() error {
	if err := waitForService(); err != nil {
		return err
	}
	return allUnavailable(realStore(), lockedWhy)
}

// keptChild finds what keyringChild left, in another session, and forgets it.
func keptChild() error {
	if err := waitForService(); err != nil {
		return err
	}
	s := realStore()
	got, err := s.Get(context.Background(), alice)
	if err != nil || !sameCredentials(got, someCredentials()) {
		return fmt.Errorf("what was saved is not there: %w", err)
	}
	if err := s.Delete(context.Background(), alice); err != nil {
		return err
	}
	if _, err := s.Get(context.Background(), alice); KindOf(err) != KindNone {
		return fmt.Errorf("after the delete: %v, not KindNone", err)
	}
	return nil
}

func TestRealKeyring(t *testing.T) {
	home := t.TempDir()
	session(t, home, unlockedDaemon, "keyring")
	session(t, home, lockedDaemon, "locked keyring")
	session(t, home, unlockedDaemon, "kept keyring")
}

func TestKeyringWithoutProvider(t *testing.T) { session(t, t.TempDir(), "", "no provider") }

// alone runs a child without a D-Bus session, with this address of the bus.
func alone(t *testing.T, child, address string, more ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(asChild(child, "HOME="+t.TempDir(), "DBUS_SESSION_BUS_ADDRESS="+address), more...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("child %s: %v\n%s", child, err, out)
	}
}

func TestKeyringWithoutBus(t *testing.T) {
	alone(t, "no bus", "disabled:")
	alone(t, "no bus", "unix:path="+filepath.Join(t.TempDir(), "none"))
	if !noBus("linux", func(string) string { return "" }, "/run/user") {
		t.Skip("SKIPPED in part: this user has a D-Bus session that can't be hidden")
	}
	// Cron has no bus, and must not start one: it would stay after every job.
	folder := t.TempDir()
	launched := filepath.Join(folder, "launched")
	script := "#!/bin/sh\n: > " + launched + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(folder, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "autolaunch:"} {
		alone(t, "no bus", address, "PATH="+folder+":"+os.Getenv("PATH"))
	}
	if _, err := os.Stat(launched); err == nil {
		t.Error("dbus-launch was run")
	}
}

// onBus calls test while the bus is a socket whose connections go to serve.
func onBus(serve func(net.Conn), test func() error) error {
	folder, err := os.MkdirTemp("", "bus")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	if err := os.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+path); err != nil {
		return err
	}
	return test()
}

// silentBusChild has a bus that takes a connection and says nothing.
func silentBusChild() error {
	return onBus(func(net.Conn) {}, func() error {
		return allUnanswered(realStore())
	})
}

// closingBusChild has a bus that hangs up.
func closingBusChild() error {
	return onBus(func(c net.Conn) { _ = c.Close() }, func() error {
		_, err := realStore().Get(context.Background(), alice)
		return wantUnavailable(err, foreignBusWhy)
	})
}

// refusingBusChild has a bus that refuses every client.
func refusingBusChild() error {
	refuse := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		for lines := bufio.NewScanner(c); lines.Scan(); {
			if _, err := io.WriteString(c, "REJECTED EXTERNAL\r\n"); err != nil {
				return
			}
		}
	}
	return onBus(refuse, func() error {
		_, err := realStore().Get(context.Background(), alice)
		return wantUnavailable(err, foreignBusWhy)
	})
}

func TestKeyringOnStrangeBus(t *testing.T) {
	alone(t, "refusing bus", "disabled:")
	alone(t, "silent bus", "disabled:")
	alone(t, "closing bus", "disabled:")
}

// fakeService is a Secret Service whose Unlock, the first thing that the library
// asks for, does what the test wants.
type fakeService struct{ unlock func() }

// Unlock is org.freedesktop.Secret.Service.Unlock.
func (f fakeService) Unlock([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	f.unlock()
	return nil, "/prompt", nil
}

// offer puts a fake Secret Service on the bus. collections is the value of its
// property of that name.
func offer(f fakeService, collections any) (*dbus.Conn, error) {
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return nil, err
	}
	const path = "/org/freedesktop/secrets"
	get := func(string, string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant(collections), nil }
	err = errors.Join(
		conn.Export(f, path, "org.freedesktop.Secret.Service"),
		conn.ExportMethodTable(map[string]any{"Get": get}, path, "org.freedesktop.DBus.Properties"),
		conn.ExportMethodTable(map[string]any{"Prompt": func(string) *dbus.Error { return nil }}, "/prompt", "org.freedesktop.Secret.Prompt"),
	)
	if err != nil {
		return nil, err
	}
	reply, err := conn.RequestName(secretService, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = fmt.Errorf("the name is taken: %v", reply)
	}
	return conn, err
}

// silentProviderChild has a provider that shows a prompt and gets no answer.
func silentProviderChild() error {
	asked := make(chan struct{}, 1)
	conn, err := offer(fakeService{func() { asked <- struct{}{} }}, []dbus.ObjectPath{})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := allUnanswered(realStore()); err != nil {
		return err
	}
	select {
	case <-asked:
		return nil
	case <-time.After(time.Minute):
		return errors.New("the provider was never asked")
	}
}

// strangeProviderChild has a provider whose answer is of another type than the
// library takes for granted.
func strangeProviderChild() error {
	conn, err := offer(fakeService{func() {}}, "not a list")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = realStore().Get(context.Background(), alice)
	return errors.Join(
		wantUnavailable(err, "an answer that can't be read"),
		wantUnavailable(realStore().Delete(context.Background(), alice), "an answer that can't be read"))
}

func TestKeyringWithStrangeProvider(t *testing.T) {
	session(t, t.TempDir(), "", "silent provider")
	session(t, t.TempDir(), "", "strange provider")
}
