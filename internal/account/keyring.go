package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// keyringStore keeps credentials in the keyring of the operating system, one item
// an account.
type keyringStore struct {
	bound time.Duration // of each call: a prompt might wait for somebody who is not there
}

const (
	keyringService = "skaroctl"
	keyringBound   = 3 * time.Second

	// keyringMost is the largest item, in bytes, that every platform keeps whole:
	// Windows has 2,560, macOS about 3,000 with the names.
	keyringMost = 2400
)

// UnavailableError is a keyring that can't be used.
type UnavailableError struct {
	Why string
	Err error
}

func (e *UnavailableError) Error() string { return "the keyring can't be used: " + e.Why }
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint names the ways around the keyring.
func (e *UnavailableError) Hint() string {
	return "keep the credentials in a file with `skaroctl login --store file`, or give a token in SKAROCTL_TOKEN_FILE"
}

func (keyringStore) Name() string { return storeKeyring }

func (k Key) keyringUser() string { return k.Login + "@" + k.Server }

// call bounds a call of the keyring, which knows no context. One that never
// returns is given up; it ends with the process.
func (s keyringStore) call(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(s.bound)
	defer timer.Stop()
	select {
	case err := <-done:
		if err == nil || errors.Is(err, keyring.ErrNotFound) {
			return err
		}
		return &UnavailableError{Why: explainKeyring(err), Err: err}
	case <-timer.C:
		return &UnavailableError{Why: fmt.Sprintf("it did not answer within %v; it may be waiting for a password", s.bound)}
	case <-ctx.Done():
		return fmt.Errorf("waiting for the keyring: %w", context.Cause(ctx))
	}
}

// explainKeyring says in plain words what the library only has as text.
func explainKeyring(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return "the credentials are larger than an item of it may be"
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		return "there is none on " + runtime.GOOS
	case strings.Contains(text, "dbus-launch"), strings.Contains(text, "DBUS_SESSION_BUS_ADDRESS"), strings.Contains(text, "connection refused"),
		strings.Contains(text, "no such file or directory"), strings.Contains(text, "dbus: invalid bus address"), strings.Contains(text, "couldn't determine address of session bus"):
		return "this session has no D-Bus (" + text + ")"
	case strings.Contains(text, "not provided by any .service files"):
		return "no program here provides the Secret Service (" + text + ")"
	case strings.Contains(text, "unlock"), strings.Contains(text, "prompt dismissed"):
		return "it is locked (" + text + ")"
	}
	return text
}

func (s keyringStore) Get(ctx context.Context, k Key) (Credentials, error) {
	var secret string
	err := s.call(ctx, func() (err error) {
		secret, err = keyring.Get(keyringService, k.keyringUser())
		return err
	})
	if errors.Is(err, keyring.ErrNotFound) {
		return Credentials{}, ErrNone
	}
	if err != nil {
		return Credentials{}, err
	}
	return parseItem(k, secret)
}

func parseItem(k Key, secret string) (Credentials, error) {
	var it item
	err := json.Unmarshal([]byte(secret), &it)
	if err != nil {
		err = plain(err)
	}
	var c Credentials
	if err == nil {
		c, err = it.credentials()
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("the keyring's item for %s is broken: %w; log in again with `skaroctl login`", k, err)
	}
	return c, nil
}

func (s keyringStore) Set(ctx context.Context, k Key, c Credentials) error {
	b, err := json.Marshal(newItem(k, c))
	if err != nil {
		return err
	}
	if len(b) > keyringMost { // some platforms would cut it without a word
		return &UnavailableError{Why: fmt.Sprintf("the credentials of %s are %d bytes, an item of it holds %d", k, len(b), keyringMost)}
	}
	return s.call(ctx, func() error { return keyring.Set(keyringService, k.keyringUser(), string(b)) })
}

func (s keyringStore) Delete(ctx context.Context, k Key) error {
	err := s.call(ctx, func() error { return keyring.Delete(keyringService, k.keyringUser()) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

func (s keyringStore) update(ctx context.Context, k Key, change func(*Credentials)) error {
	c, err := s.Get(ctx, k)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	change(&c)
	return s.Set(ctx, k, c)
}
