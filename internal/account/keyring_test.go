package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zalando/go-keyring"
)

// wantUnavailable returns an error unless err is of KindUnavailable, says this, and has
// a hint.
func wantUnavailable(err error, why string) error {
	switch {
	case KindOf(err) != KindUnavailable || !strings.Contains(err.Error(), why):
		return fmt.Errorf("got %v, not that the keyring can't be used: %s", err, why)
	case hintOf(err) == "":
		return errors.New("there is no hint")
	case strings.Contains(err.Error(), secretSID):
		return fmt.Errorf("the error quotes the secret: %w", err)
	}
	return nil
}

func TestKeyringHasOneItemAnAccount(t *testing.T) {
	s, m := onMemory(t)
	if err := s.Set(t.Context(), alice, someCredentials()); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), bob, someSession()); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]string{
		"alice@wss://chat.example.org/skaro_client/": `{"token":"` + someCredentials().Token.Text() + `"}`,
		"bob@wss://chat.example.org/skaro_client/":   `{"sid":"s3cr3t-sid","sid_used":"2026-05-15T12:00:00Z"}`,
	} {
		if got := m.items["skaroctl\x00"+user]; got != want || len(m.items) != 2 {
			t.Errorf("%q", m.items)
		}
	}
}

func TestKeyringItemIsNeverCut(t *testing.T) {
	s, m := onMemory(t)
	if err := s.Set(t.Context(), alice, someSession()); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(m.items)
	large := someSession()
	large.SID = secretSID + strings.Repeat("x", keyringLimit)
	for what, err := range map[string]error{
		"set":   s.Set(t.Context(), alice, large),
		"renew": s.Renew(t.Context(), alice, large.SID, noon),
	} {
		if err := wantUnavailable(err, "and an item holds 2400"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if fmt.Sprint(m.items) != before {
		t.Error("the item changed")
	}
	// The largest that fits goes in whole.
	fits := Credentials{SID: strings.Repeat("x", keyringLimit-len(`{"sid":""}`))}
	if err := s.Set(t.Context(), alice, fits); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), alice); err != nil || !sameCredentials(got, fits) {
		t.Errorf("%v", err)
	}
}

func TestKeyringMustKeepTheWholeSecret(t *testing.T) {
	for name, set := range map[string]func(*memory) func(service, user, secret string) error{
		"cuts": func(m *memory) func(service, user, secret string) error {
			return func(service, user, secret string) error { return m.set(service, user, secret[:100]) }
		},
		"stores nothing": func(*memory) func(service, user, secret string) error {
			return func(string, string, string) error { return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := onMemory(t)
			s.set = set(m)
			if err := wantUnavailable(s.Set(t.Context(), alice, someCredentials()), "did not keep"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeyringDeletesEveryItemOfTheAccount(t *testing.T) {
	s, _ := onMemory(t)
	left := 3 // items of the same name, made by other programs
	s.delete = func(service, user string) error {
		if left == 0 {
			return keyring.ErrNotFound
		}
		left--
		return nil
	}
	if err := s.Delete(t.Context(), alice); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
	s.delete = func(string, string) error { return nil } // a dismissed prompt
	if err := wantUnavailable(s.Delete(t.Context(), alice), "does not delete"); err != nil {
		t.Error(err)
	}
}

func TestDamagedKeyringItemIsReplacedByALogin(t *testing.T) {
	for _, secret := range []string{"", secretSID, `{"sid":"` + secretSID, `{"token":"` + secretSID + `"}`, `{"` + secretSID + `":1}`, `{"sid_used":"` + secretSID + `"}`, `[]`, `{"sid":1}`} {
		s, m := onMemory(t)
		if err := m.set(keyringService, alice.keyringUser(), secret); err != nil {
			t.Fatal(err)
		}
		_, getErr := s.Get(t.Context(), alice)
		for what, err := range map[string]error{"get": getErr, "renew": s.Renew(t.Context(), alice, "x", noon)} {
			if KindOf(err) != KindDamaged || strings.Contains(err.Error(), secretSID) {
				t.Errorf("%s of %q: %v", what, secret, err)
			}
			if !strings.Contains(hintOf(err), "log in again") {
				t.Errorf("%s: hint %q", what, hintOf(err))
			}
		}
		if got, _ := m.get(keyringService, alice.keyringUser()); got != secret {
			t.Errorf("the item changed")
		}
		// Logging in again, and logging out, both help.
		if err := errors.Join(s.Set(t.Context(), alice, someCredentials()), m.set(keyringService, alice.keyringUser(), secret), s.Delete(t.Context(), alice)); err != nil {
			t.Error(err)
		}
	}
}

// A keyring that does not answer is given up when the context ends. The call that was given
// up still waits, and no other call joins it.
func TestSilentKeyringIsBoundedByTheContext(t *testing.T) {
	s, m := onMemory(t)
	release := make(chan struct{})
	entered := make(chan struct{}, 10)
	s.get = func(service, user string) (string, error) {
		entered <- struct{}{}
		<-release
		return m.get(service, user)
	}
	why := errors.New("the time ran out")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-entered
		cancel(why)
	}()
	_, err := s.Get(ctx, alice)
	if wantUnavailable(err, "ask the keyring: the time ran out") != nil || !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	for range 5 {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, why)
		if _, err := s.Get(ctx, alice); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
	if len(entered) != 0 {
		t.Errorf("%d calls wait beside the first", len(entered))
	}
	if _, err := s.Get(ctx, alice); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	close(release)
	if _, err := s.Get(t.Context(), alice); KindOf(err) != KindNone {
		t.Errorf("it does not work again: %v", err)
	}
}

func TestPanicOfTheKeyringIsAnError(t *testing.T) {
	s, _ := onMemory(t)
	s.get = func(string, string) (string, error) {
		var nothing *exec.Error
		return nothing.Name, nil
	}
	if _, err := s.Get(t.Context(), alice); wantUnavailable(err, "can't be read") != nil {
		t.Errorf("got %v", err)
	}
}

func TestNoBusIsStarted(t *testing.T) {
	folders := t.TempDir()
	mine := filepath.Join(folders, strconv.Itoa(os.Getuid()))
	for _, tt := range []struct {
		goos, address, file string
		want                bool
	}{
		{"linux", "", "", true},
		{"linux", "autolaunch:", "", true},
		{"linux", "unix:path=/x", "", false},
		{"linux", "", "bus", false},
		{"linux", "", "dbus-session", false},
		{"openbsd", "", "", true},
		{"darwin", "", "", false},
		{"windows", "", "", false},
	} {
		if err := os.RemoveAll(mine); err != nil {
			t.Fatal(err)
		}
		if tt.file != "" {
			if err := errors.Join(os.Mkdir(mine, 0o700), os.WriteFile(filepath.Join(mine, tt.file), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if got := noBus(tt.goos, func(string) string { return tt.address }, folders); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestKeyringErrorsAreExplained(t *testing.T) {
	unknown := errors.New("something else")
	for _, tt := range []struct {
		goos string
		err  error
		why  string
	}{
		{"linux", &exec.Error{Name: "dbus-launch", Err: exec.ErrNotFound}, noBusWhy},
		{"linux", errors.New("dbus: couldn't determine address of session bus"), noBusWhy},
		{"linux", errors.New("dial unix /run/user/0/bus: connect: no such file or directory"), noBusWhy},
		{"linux", errors.New("dbus: authentication failed"), foreignBusWhy},
		{"linux", fmt.Errorf("reading: %w", io.EOF), foreignBusWhy},
		{"linux", errors.New("The name org.freedesktop.secrets was not provided by any .service files"), noProviderWhy},
		{"linux", errors.New("failed to unlock correct collection '/org/freedesktop/secrets/collection/login'"), lockedWhy},
		{"freebsd", keyring.ErrUnsupportedPlatform, "there is none that skaroctl knows on freebsd"},
		{"windows", keyring.ErrSetDataTooBig, "too long"},
		{"windows", syscall.Errno(1312), noLogonWhy},
		{"darwin", &exec.ExitError{}, "over SSH"},
		{"linux", unknown, "something else"},
	} {
		err := explain(tt.goos, tt.err)
		if bad := wantUnavailable(err, tt.why); bad != nil {
			t.Errorf("%v: %v", tt.err, bad)
		}
		if !errors.Is(err, tt.err) {
			t.Errorf("%v is lost", tt.err)
		}
	}
	if explain("linux", nil) != nil || explain("linux", keyring.ErrNotFound) != keyring.ErrNotFound {
		t.Error("no error became one")
	}
}
