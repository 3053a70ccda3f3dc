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

func TestKeyringItem(t *testing.T) {
	s, m := onMemory(t)
	if err := s.Set(t.Context(), alice, someCredentials()); err != nil {
		t.Fatal(err)
	}
	want := `{"token":"` + someCredentials().Token.Text() + `","sid":"s3cr3t-sid","sid_used":"2026-05-15T12:00:00Z"}`
	if got := m.items["skaroctl\x00alice@wss://chat.example.org/skaro_client/"]; got != want || len(m.items) != 1 {
		t.Errorf("%q", m.items)
	}
}

func TestKeyringItemTooLarge(t *testing.T) {
	s, m := onMemory(t)
	if err := s.Set(t.Context(), alice, someCredentials()); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(m.items)
	large := someCredentials()
	large.SID = secretSID + strings.Repeat("x", keyringLimit)
	for what, err := range map[string]error{
		"set":    s.Set(t.Context(), alice, large),
		"update": UpdateSID(t.Context(), s, alice, large.SID, noon),
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

// A keyring that cuts, or that says yes and stores nothing, must not pass.
func TestKeyringThatDoesNotKeep(t *testing.T) {
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

func TestKeyringDeletesAll(t *testing.T) {
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

func TestDamagedKeyringItem(t *testing.T) {
	for _, secret := range []string{"", secretSID, `{"sid":"` + secretSID, `{"token":"` + secretSID + `"}`, `{"` + secretSID + `":1}`, `{"sid_used":"` + secretSID + `"}`, `[]`, `{"sid":1}`} {
		s, m := onMemory(t)
		if err := m.set(keyringService, alice.keyringUser(), secret); err != nil {
			t.Fatal(err)
		}
		_, getErr := s.Get(t.Context(), alice)
		for what, err := range map[string]error{"get": getErr, "update": UpdateSID(t.Context(), s, alice, "x", noon)} {
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

func TestKeyringBounds(t *testing.T) {
	s, m := onMemory(t)
	release := make(chan struct{})
	entered := make(chan struct{}, 10)
	s.get = func(service, user string) (string, error) {
		entered <- struct{}{}
		<-release
		return m.get(service, user)
	}
	// The context ends while the keyring is silent.
	why := errors.New("the time ran out")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-entered
		cancel(why)
	}()
	if _, err := s.Get(ctx, alice); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	// The call that was given up still waits. The next ones are bounded too, and
	// none of them makes another call.
	s.wait = time.Millisecond
	for range 5 {
		if _, err := s.Get(t.Context(), alice); wantUnavailable(err, "did not answer within 1ms") != nil {
			t.Errorf("got %v", err)
		}
	}
	if len(entered) != 0 {
		t.Errorf("%d calls wait beside the first", len(entered))
	}
	if _, err := s.Get(ctx, alice); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	// When it wakes up, everything works again.
	close(release)
	s.wait = time.Minute
	if _, err := s.Get(t.Context(), alice); KindOf(err) != KindNone {
		t.Errorf("got %v", err)
	}
}

func TestKeyringPanic(t *testing.T) {
	s, _ := onMemory(t)
	s.get = func(string, string) (string, error) {
		var nothing *exec.Error
		return nothing.Name, nil
	}
	if _, err := s.Get(t.Context(), alice); wantUnavailable(err, "can't be read") != nil {
		t.Errorf("got %v", err)
	}
}

func TestNoBus(t *testing.T) {
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

func TestExplain(t *testing.T) {
	unknown := errors.New("something else")
	for _, tt := range []struct {
		goos string
		err  error
		why  string
	}{
		{"linux", &exec.Error{Name: "dbus-launch", Err: exec.ErrNotFound}, noBusWhy},
		{"linux", errors.New("dbus: couldn't determine address of session bus"), noBusWhy},
		{"linux", errors.New("dial unix /run/user/0/bus: connect: no such file or directory"), noBusWhy},
		{"linux", errors.New("dbus: authentication failed"), strangeBusWhy},
		{"linux", fmt.Errorf("reading: %w", io.EOF), strangeBusWhy},
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
