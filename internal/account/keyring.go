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
)

const (
	// keyringService is the service that our items belong to.
	keyringService = "skaroctl"
	// keyringLimit is how many bytes an item may have. Windows holds 2,560, macOS
	// about 3,000 with the names and after base64.
	keyringLimit = 2400
	// keyringWait is how long one call may take. A prompt that nobody sees would
	// wait for ever.
	keyringWait = 3 * time.Second
)

// keyringStore keeps the credentials in the keyring of the operating system, one
// item an account: its user is LOGIN@SERVER, its secret a JSON item.
type keyringStore struct {
	lockPath string // guards changes that read first: a file, named without ".lock"
	wait     time.Duration

	// The three calls of the library, but for a faster get.
	get    func(service, user string) (string, error)
	set    func(service, user, secret string) error
	delete func(service, user string) error
}

func newKeyringStore(files Files) *keyringStore {
	return &keyringStore{
		lockPath: filepath.Join(files.State, "keyring"),
		wait:     keyringWait,
		get:      getItem, set: keyring.Set, delete: keyring.Delete,
	}
}

func (s *keyringStore) Name() string { return "keyring" }

func (k Key) keyringUser() string { return k.Login + "@" + k.Server }

func (s *keyringStore) Get(ctx context.Context, key Key) (Credentials, error) {
	var secret string
	err := s.call(ctx, func() (err error) {
		secret, err = s.get(keyringService, key.keyringUser())
		return err
	})
	if errors.Is(err, keyring.ErrNotFound) {
		return Credentials{}, none(key, "the keyring")
	}
	if err != nil {
		return Credentials{}, err
	}
	var it item
	err = strictJSON([]byte(secret), &it)
	if err != nil {
		what, _ := describeJSON(err)
		err = errors.New(what) // the decoder's own error quotes the secret
	}
	var c Credentials
	if err == nil {
		c, err = it.credentials()
	}
	if err != nil {
		return Credentials{}, &Error{
			Kind: KindDamaged, Err: err,
			Msg:  fmt.Sprintf("the keyring's item %q of the service %q is damaged: %v", key.keyringUser(), keyringService, err),
			Hint: "log in again with `skaroctl login`",
		}
	}
	if it == (item{}) {
		return Credentials{}, none(key, "the keyring")
	}
	return c, nil
}

func (s *keyringStore) Set(ctx context.Context, key Key, c Credentials) error {
	return locked(ctx, s.lockPath, func(string) error { return s.write(ctx, key, c) })
}

func (s *keyringStore) Delete(ctx context.Context, key Key) error {
	return locked(ctx, s.lockPath, func(string) error {
		// Again until there is none: the library takes a dismissed prompt for a
		// success, and deletes one of several items.
		for range 10 {
			err := s.call(ctx, func() error { return s.delete(keyringService, key.keyringUser()) })
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

func (s *keyringStore) update(ctx context.Context, key Key, change func(*Credentials)) error {
	return locked(ctx, s.lockPath, func(string) error {
		c, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		change(&c)
		return s.write(ctx, key, c)
	})
}

// write saves an item, and reads it back: a secret must never be cut, and the
// library takes a dismissed prompt for a success.
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
	err = s.call(ctx, func() error { return s.set(keyringService, key.keyringUser(), string(content)) })
	if err != nil {
		return err
	}
	back := ""
	err = s.call(ctx, func() (err error) {
		back, err = s.get(keyringService, key.keyringUser())
		return err
	})
	if err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return err
	}
	if back != string(content) {
		return unavailable("it did not keep what was stored in it", nil)
	}
	return nil
}

// calling holds a place for the one call to the library that may run: behind it
// is one D-Bus connection a process, and a call that was given up goes on. So
// however often a keyring does not answer, one goroutine waits for it.
var calling = make(chan struct{}, 1)

// call runs one call to the library, which knows no context, and gives it up
// when ctx or the wait ends. Its error wraps keyring.ErrNotFound or the context's
// cause, or is of KindUnavailable.
func (s *keyringStore) call(ctx context.Context, f func() error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if noBus(runtime.GOOS, os.Getenv, "/run/user") {
		return unavailable(noBusWhy, nil)
	}
	limit := time.NewTimer(s.wait)
	defer limit.Stop()
	gaveUp := func() error {
		return unavailable(fmt.Sprintf("it did not answer within %v; it may be asking for its password in a window that nobody sees", s.wait), nil)
	}
	ended := func() error {
		return fmt.Errorf("the keyring did not answer in time: %w", context.Cause(ctx))
	}
	select {
	case calling <- struct{}{}:
	case <-limit.C:
		return gaveUp()
	case <-ctx.Done():
		return ended()
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-calling }()
		done <- unpanicked(f)
	}()
	select {
	case err := <-done:
		return explain(runtime.GOOS, err)
	case <-limit.C:
		return gaveUp()
	case <-ctx.Done():
		return ended()
	}
}

// unpanicked calls f. The library panics when the bus goes away under a prompt,
// and when a provider answers with values of another type.
func unpanicked(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the keyring gave an answer that can't be read (%v)", p)
		}
	}()
	return f()
}

const (
	noBusWhy      = "there is no D-Bus session here (cron jobs, services and containers have none)"
	noProviderWhy = "no program on this D-Bus session keeps passwords (none offers org.freedesktop.secrets)"
	strangeBusWhy = "the D-Bus session does not let us in (it is another user's, as under sudo, or it has ended)"
	lockedWhy     = "it is locked, and was not unlocked"
	noLogonWhy    = "Windows has none for this logon (one over the network, as with SSH, has no credentials)"
)

// windowsNoLogon is ERROR_NO_SUCH_LOGON_SESSION, which no other system has.
const windowsNoLogon = syscall.Errno(1312)

// noBus reports whether there is no D-Bus session to ask. Then the library would
// run dbus-launch, and that starts a bus that stays behind after every run.
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

// explain turns what the library says into words with a way out. None of it but
// ErrNotFound is a value to compare with, so that the texts are looked at; what
// is not known is shown as it came.
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
		why = strangeBusWhy
	case strings.Contains(text, "was not provided by any .service files"):
		why = noProviderWhy
	case strings.Contains(text, "failed to unlock correct collection"):
		why = lockedWhy
	}
	return unavailable(why, err)
}
