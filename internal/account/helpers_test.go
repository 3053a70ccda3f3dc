package account

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// children are what the test binary does if it runs as another process of a test.
var children = map[string]func() error{}

const childVariable = "ACCOUNT_TEST_CHILD"

// asChild is the environment that makes the test binary that child. Under the
// race detector a program sleeps for a second at its end, unless told not to.
func asChild(child string, more ...string) []string {
	return append([]string{childVariable + "=" + child, "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")}, more...)
}

func TestMain(m *testing.M) {
	name := os.Getenv(childVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	child, ok := children[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "there is no child %q\n", name)
		os.Exit(2)
	}
	if err := child(); err != nil {
		fmt.Fprintf(os.Stderr, "child %s: %v\n", name, err)
		os.Exit(1)
	}
}

// secretSID is in no error and no print.
const secretSID = "s3cr3t-sid"

var (
	noon  = time.Date(2026, 5, 15, 12, 0, 0, 0, time.UTC)
	alice = Key{Server: "wss://chat.example.org/skaro_client/", Login: "alice"}
	bob   = Key{Server: "wss://chat.example.org/skaro_client/", Login: "bob"}
)

// someCredentials are those of a login.
func someCredentials() Credentials { return Credentials{Token: newToken("correct horse")} }

// someSession are those of a login with --session-only.
func someSession() Credentials { return Credentials{SID: secretSID, SIDUsed: noon} }

func filesIn(folder string) Files {
	return Files{
		Config:      filepath.Join(folder, "config", "config.toml"),
		Credentials: filepath.Join(folder, "state", "credentials.json"),
		State:       filepath.Join(folder, "state"),
	}
}

func sameCredentials(a, b Credentials) bool {
	return a.Token == b.Token && a.SID == b.SID && a.SIDUsed.Equal(b.SIDUsed)
}

// memory is a keyring that works, in a map.
type memory struct {
	mu    sync.Mutex
	items map[string]string
}

func (m *memory) get(service, user string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	secret, ok := m.items[service+"\x00"+user]
	if !ok {
		return "", keyring.ErrNotFound
	}
	return secret, nil
}

func (m *memory) set(service, user, secret string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items[service+"\x00"+user] = secret
	return nil
}

func (m *memory) delete(service, user string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.items[service+"\x00"+user]; !ok {
		return keyring.ErrNotFound
	}
	delete(m.items, service+"\x00"+user)
	return nil
}

// onMemory is a keyring store on a map. It never uses the bus, but there must seem to be
// one.
func onMemory(t *testing.T) (*keyringStore, *memory) {
	t.Helper()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:")
	m := &memory{items: map[string]string{}}
	s := newKeyringStore(filesIn(t.TempDir()))
	s.get, s.set, s.delete = m.get, m.set, m.delete
	return s, m
}

func newContext() context.Context { return context.Background() }

// fileWith returns a file store with these accounts, and its content.
func fileWith(t *testing.T, keys ...Key) (*fileStore, []byte) {
	t.Helper()
	s := &fileStore{path: filepath.Join(t.TempDir(), "credentials.json")}
	for _, key := range keys {
		if err := s.Set(t.Context(), key, someCredentials()); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return s, content
}

// untouched fails the test unless the file has this content, byte by byte, and no
// temporary file is beside it.
func untouched(t *testing.T, path string, content []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%s changed: %q, %v", path, got, err)
	}
	if _, err := os.Lstat(path + ".tmp"); err == nil {
		t.Errorf("%s.tmp was left behind", path)
	}
}

// newToken makes the token of a password.
func newToken(password string) proto.Token {
	token, err := proto.NewToken(password)
	if err != nil {
		panic(err)
	}
	return token
}

// holdLock takes the lock of a file, as another process would.
func holdLock(path string) (unlock func(), err error) {
	f, err := locate(path, makeMissing)
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.tryLock()
}
