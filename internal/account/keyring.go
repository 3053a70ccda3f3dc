package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

const (
	// keyringService is the service that our items belong to.
	keyringService = "skaroctl"
	// keyringLimit is how many bytes an item may have. Windows holds 2,560, macOS
	// about 3,000 with the names and after base64.
	keyringLimit = 2400
)

// keyringStore keeps the credentials in the keyring of the operating system. There is one
// item for each account: its user is LOGIN@SERVER, and its secret is an item in JSON.
type keyringStore struct {
	lockPath string // the lock file without ".lock"; held while an item is read and then changed

	// The three calls of the library.
	get    func(service, user string) (string, error)
	set    func(service, user, secret string) error
	delete func(service, user string) error
}

func newKeyringStore(files Files) *keyringStore {
	return &keyringStore{
		lockPath: filepath.Join(files.State, "keyring"),
		get:      keyring.Get, set: keyring.Set, delete: keyring.Delete,
	}
}

func (s *keyringStore) Name() string { return "keyring" }

func (k Key) keyringUser() string { return k.Login + "@" + k.Server }

func (s *keyringStore) Get(ctx context.Context, key Key) (Credentials, error) {
	secret, err := s.read(ctx, key)
	if errors.Is(err, keyring.ErrNotFound) {
		return Credentials{}, none(key, "the keyring")
	}
	if err != nil {
		return Credentials{}, err
	}
	c, err := decodeItem(secret)
	if err != nil {
		return Credentials{}, &Error{
			Kind: KindDamaged, Err: err,
			Msg:  fmt.Sprintf("the keyring's item %q of the service %q is damaged: %v", key.keyringUser(), keyringService, err),
			Hint: "log in again with `skaroctl login`",
		}
	}
	if c == (Credentials{}) {
		return Credentials{}, none(key, "the keyring")
	}
	return c, nil
}

// decodeItem decodes a secret, and does not quote it.
func decodeItem(secret string) (Credentials, error) {
	var it item
	if err := strictJSON([]byte(secret), &it); err != nil {
		what, _ := describeJSON(err)
		return Credentials{}, errors.New(what)
	}
	return it.credentials()
}

func (s *keyringStore) Set(ctx context.Context, key Key, c Credentials) error {
	return locked(ctx, s.lockPath, func(*stateFile) error { return s.write(ctx, key, c) })
}

func (s *keyringStore) Renew(ctx context.Context, key Key, sid string, used time.Time) error {
	return locked(ctx, s.lockPath, func(*stateFile) error {
		c, err := s.Get(ctx, key)
		switch {
		case err != nil:
			return err
		case c.SID == "":
			return none(key, "the keyring")
		}
		return s.write(ctx, key, Credentials{SID: sid, SIDUsed: used})
	})
}

func (s *keyringStore) Delete(ctx context.Context, key Key) error {
	return locked(ctx, s.lockPath, func(*stateFile) error {
		// The library takes a dismissed prompt for success, and deletes one of several
		// items: only ErrNotFound proves that none is left.
		for range 10 {
			_, err := ask(ctx, func() (string, error) { return "", s.delete(keyringService, key.keyringUser()) })
			if errors.Is(err, keyring.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		e := unavailable(fmt.Sprintf("it does not delete its item %q of the service %q", key.keyringUser(), keyringService), nil)
		e.Hint = "delete the item with the keyring's own program"
		return e
	})
}

// write saves an item, and reads it back: the library takes a dismissed prompt for
// success, and a secret must never be cut.
func (s *keyringStore) write(ctx context.Context, key Key, c Credentials) error {
	it, err := newItem(key, c)
	if err != nil {
		return err
	}
	content, err := json.Marshal(it)
	if err != nil {
		return err
	}
	if len(content) > keyringLimit {
		return unavailable(fmt.Sprintf("the credentials take %d bytes, and an item holds %d", len(content), keyringLimit), nil)
	}
	_, err = ask(ctx, func() (string, error) { return "", s.set(keyringService, key.keyringUser(), string(content)) })
	if err != nil {
		return err
	}
	back, err := s.read(ctx, key)
	if err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	if back != string(content) {
		return unavailable("it did not keep what was stored in it", nil)
	}
	return nil
}

func (s *keyringStore) read(ctx context.Context, key Key) (secret string, err error) {
	return ask(ctx, func() (string, error) { return s.get(keyringService, key.keyringUser()) })
}

// calling has an element while a call to the library runs: one at a time in the whole
// process. A call that ctx has ended still runs in its goroutine, and keeps the others out.
var calling = make(chan struct{}, 1)

// ask runs one call to the library, which knows no context. Its error wraps
// keyring.ErrNotFound or the cause of ctx, or is of KindUnavailable.
func ask(ctx context.Context, call func() (string, error)) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if noBus(runtime.GOOS, os.Getenv, "/run/user") {
		return "", unavailable(noBusWhy, nil)
	}
	select {
	case calling <- struct{}{}:
	case <-ctx.Done():
		return "", unanswered(ctx)
	}
	secret, err := terminal.Await(ctx, func() (string, error) {
		defer func() { <-calling }()
		return withoutPanic(call)
	})
	if ctx.Err() != nil {
		return "", unanswered(ctx)
	}
	return secret, explain(runtime.GOOS, err)
}

// unanswered returns the error for a call that ctx has ended.
func unanswered(ctx context.Context) error {
	cause := context.Cause(ctx)
	e := unavailable("", cause)
	e.Msg = fmt.Sprintf("ask the keyring: %v; it may be waiting for its password", cause)
	e.Hint = "unlock the keyring; or " + e.Hint
	return e
}

// withoutPanic makes a panic of the library an error. It panics if the bus goes away under
// a prompt, and if a provider answers with values of another type.
func withoutPanic(call func() (string, error)) (secret string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the keyring gave an answer that can't be read (%v)", p)
		}
	}()
	return call()
}

const (
	noBusWhy      = "there is no D-Bus session here (cron jobs, services and containers have none)"
	noProviderWhy = "no program on this D-Bus session keeps passwords (none offers org.freedesktop.secrets)"
	foreignBusWhy = "the D-Bus session does not let us in (it is another user's, as under sudo, or it has ended)"
	lockedWhy     = "it is locked, and was not unlocked"
	noLogonWhy    = "Windows has none for this logon (one over the network, as with SSH, has no credentials)"
)

// windowsNoLogon is ERROR_NO_SUCH_LOGON_SESSION; no other system has it.
const windowsNoLogon = syscall.Errno(1312)

// noBus reports whether there is no D-Bus session. The library would then run dbus-launch,
// which leaves a bus behind at every run of a cron job.
func noBus(goos string, getenv func(string) string, runtimeFolders string) bool {
	switch goos {
	case "linux", "freebsd", "netbsd", "openbsd", "dragonfly":
	default:
		return false
	}
	if address := getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" && address != "autolaunch:" {
		return false
	}
	folder := filepath.Join(runtimeFolders, strconv.Itoa(os.Getuid()))
	for _, name := range []string{"bus", "dbus-session"} { // where the library looks
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			return false
		}
	}
	return true
}

// explain turns an error of the library into words with a hint. Most of its errors can be
// told apart only by their text; an unknown one is shown as it is.
func explain(goos string, err error) error {
	if err == nil || errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	text := err.Error()
	var exit *exec.ExitError
	why := text
	switch {
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		why = "there is none that skaroctl knows on " + goos
	case errors.Is(err, keyring.ErrSetDataTooBig):
		why = "the credentials and the server's URL are too long for it"
	case errors.Is(err, windowsNoLogon):
		why = noLogonWhy
	case goos == "darwin" && errors.As(err, &exit):
		why = fmt.Sprintf("macOS did not open it (security: %v); it may be locked, as it is over SSH", exit)
	case strings.Contains(text, "dbus-launch"), strings.Contains(text, "invalid bus address"), strings.Contains(text, "session bus"), strings.HasPrefix(text, "dial "):
		why = noBusWhy
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET), strings.Contains(text, "dbus: authentication"), strings.Contains(text, "connection closed by user"):
		why = foreignBusWhy
	case strings.Contains(text, "was not provided by any .service files"):
		why = noProviderWhy
	case strings.Contains(text, "failed to unlock correct collection"):
		why = lockedWhy
	}
	return unavailable(why, err)
}
