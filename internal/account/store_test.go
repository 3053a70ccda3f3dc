package account

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// children are what the test binary does when it runs itself as another process.
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

func someCredentials() Credentials {
	return Credentials{Token: proto.NewToken("correct horse"), SID: secretSID, SIDUsed: noon}
}

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

// onMemory is a keyring store on a map. The bus is never asked, but there must
// seem to be one.
func onMemory(t *testing.T) (*keyringStore, *memory) {
	t.Helper()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:")
	m := &memory{items: map[string]string{}}
	s := newKeyringStore(filesIn(t.TempDir()))
	s.wait = time.Minute
	s.get, s.set, s.delete = m.get, m.set, m.delete
	return s, m
}

// storesUnderTest are the stores that every machine can test.
func storesUnderTest(t *testing.T) map[string]Store {
	t.Helper()
	k, _ := onMemory(t)
	return map[string]Store{"keyring": k, "file": &fileStore{path: filesIn(t.TempDir()).Credentials}}
}

// exerciseStore is what every store must do. It returns the first thing that is wrong.
func exerciseStore(s Store) error {
	ctx := context.Background()
	expect := func(key Key, want Credentials) error {
		got, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		if !sameCredentials(got, want) {
			return fmt.Errorf("%s has other credentials than were set", key.Login)
		}
		return nil
	}
	c := someCredentials()
	sessionOnly := Credentials{SID: "other", SIDUsed: noon}
	later := noon.Add(time.Minute + 123456789)
	updated := Credentials{Token: c.Token, SID: "new <sid> & \"more\" \u2028", SIDUsed: later}
	steps := []struct {
		name string
		do   func() error
	}{
		{"get what is not there", func() error {
			if _, err := s.Get(ctx, alice); KindOf(err) != KindNone {
				return fmt.Errorf("got %v, not KindNone", err)
			}
			return nil
		}},
		{"delete what is not there", func() error { return s.Delete(ctx, alice) }},
		{"update what is not there", func() error {
			if err := UpdateSID(ctx, s, alice, "x", noon); KindOf(err) != KindNone {
				return fmt.Errorf("got %v, not KindNone", err)
			}
			_, err := s.Get(ctx, alice)
			if KindOf(err) != KindNone {
				return errors.New("the update made an entry")
			}
			return nil
		}},
		{"set", func() error { return s.Set(ctx, alice, c) }},
		{"set another", func() error { return s.Set(ctx, bob, sessionOnly) }},
		{"get", func() error { return errors.Join(expect(alice, c), expect(bob, sessionOnly)) }},
		{"update", func() error { return UpdateSID(ctx, s, alice, updated.SID, later) }},
		{"get the update", func() error { return errors.Join(expect(alice, updated), expect(bob, sessionOnly)) }},
		{"set again", func() error { return s.Set(ctx, alice, c) }},
		{"get what was set again", func() error { return expect(alice, c) }},
		{"take the SID back", func() error { return UpdateSID(ctx, s, alice, "", time.Time{}) }},
		{"get without SID", func() error { return expect(alice, Credentials{Token: c.Token}) }},
		{"take the only thing back", func() error {
			if err := UpdateSID(ctx, s, bob, "", noon); err != nil {
				return err
			}
			if _, err := s.Get(ctx, bob); KindOf(err) != KindNone {
				return fmt.Errorf("got %v, not KindNone", err)
			}
			return nil
		}},
		{"delete", func() error { return errors.Join(s.Delete(ctx, alice), s.Delete(ctx, bob), s.Delete(ctx, bob)) }},
		{"get what was deleted", func() error {
			_, err := s.Get(ctx, alice)
			_, err2 := s.Get(ctx, bob)
			if KindOf(err) != KindNone || KindOf(err2) != KindNone {
				return fmt.Errorf("got %v and %v, not KindNone", err, err2)
			}
			return nil
		}},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func TestStores(t *testing.T) {
	for name, s := range storesUnderTest(t) {
		t.Run(name, func(t *testing.T) {
			if s.Name() != name {
				t.Errorf("it calls itself %q", s.Name())
			}
			if err := exerciseStore(s); err != nil {
				t.Error(err)
			}
		})
	}
}

// A session that ends just after a logout must not bring the account back.
func TestUpdateSIDNeverResurrects(t *testing.T) {
	for name, s := range storesUnderTest(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			for range 5 {
				if err := s.Set(ctx, alice, someCredentials()); err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for i := range 8 {
					wg.Go(func() {
						for n := range 4 {
							err := UpdateSID(ctx, s, alice, fmt.Sprintf("sid-%d-%d", i, n), noon)
							if err != nil && KindOf(err) != KindNone {
								t.Error(err)
							}
						}
					})
				}
				wg.Go(func() {
					if err := s.Delete(ctx, alice); err != nil {
						t.Error(err)
					}
				})
				wg.Wait()
				if _, err := s.Get(ctx, alice); KindOf(err) != KindNone {
					t.Fatalf("after the delete: %v, not KindNone", err)
				}
			}
		})
	}
}

func TestStoresRefuseBadText(t *testing.T) {
	for name, s := range storesUnderTest(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if err := s.Set(ctx, alice, Credentials{SID: "\xff\xfe"}); err == nil {
				t.Error("a SID that is not UTF-8 was taken")
			}
			if err := s.Set(ctx, alice, Credentials{SID: "x", SIDUsed: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
				t.Error("a year that RFC 3339 can't write was taken")
			}
			if err := s.Set(ctx, Key{Server: "ws://h/", Login: "\xff"}, someCredentials()); err == nil {
				t.Error("a login that is not UTF-8 was taken")
			}
			if _, err := s.Get(ctx, alice); KindOf(err) != KindNone {
				t.Errorf("something was stored: %v", err)
			}
		})
	}
}

func TestOpenStore(t *testing.T) {
	for name, want := range map[string]string{"": "keyring", "keyring": "keyring", "file": "file"} {
		s, err := OpenStore(name, filesIn(t.TempDir()))
		if err != nil || s.Name() != want {
			t.Errorf("%q: %v, %v", name, s, err)
		}
	}
	if _, err := OpenStore("vault", Files{}); err == nil || !strings.Contains(err.Error(), `"vault"`) || hintOf(err) == "" {
		t.Errorf("an unknown store: %v", err)
	}
}

func TestSIDFresh(t *testing.T) {
	for _, tt := range []struct {
		name string
		sid  string
		age  time.Duration
		want bool
	}{
		{"just used", "x", 0, true},
		{"four minutes", "x", 4 * time.Minute, true},
		{"at the margin", "x", 4*time.Minute + 45*time.Second, true},
		{"past the margin", "x", 4*time.Minute + 46*time.Second, false},
		{"a year", "x", 365 * 24 * time.Hour, false},
		{"no SID", "", 0, false},
		{"a little in the future", "x", -15 * time.Second, true},
		{"far in the future", "x", -time.Minute, false},
		{"years in the future", "x", -10 * 365 * 24 * time.Hour, false},
	} {
		c := Credentials{SID: tt.sid, SIDUsed: noon.Add(-tt.age)}
		if got := c.SIDFresh(noon); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if (Credentials{SID: "x"}).SIDFresh(noon) {
		t.Error("a SID whose use is not known is fresh")
	}
}

func TestCredentialsAreHidden(t *testing.T) {
	c := someCredentials()
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "p", &c)
	for _, text := range []string{
		fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c, c, c, c), fmt.Sprintf("%v %+v", &c, &c),
		fmt.Sprintf("%+v", struct{ C Credentials }{c}), log.String(),
	} {
		if strings.Contains(text, secretSID) || strings.Contains(text, fmt.Sprintf("%x", secretSID)) || strings.Contains(text, "skaro-token") {
			t.Errorf("it shows: %s", text)
		}
		if !strings.Contains(text, "[credentials]") {
			t.Errorf("it does not say what it is: %s", text)
		}
	}
}

func TestFindFiles(t *testing.T) {
	for _, tt := range []struct {
		name, goos    string
		env           map[string]string
		config, state string
		err           string
	}{
		{"linux", "linux", map[string]string{"HOME": "/home/a"}, "/home/a/.config", "/home/a/.local/state", ""},
		{"freebsd", "freebsd", map[string]string{"HOME": "/home/a"}, "/home/a/.config", "/home/a/.local/state", ""},
		{"XDG", "linux", map[string]string{"XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}, "/c", "/s", ""},
		{"XDG in part", "linux", map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/s"}, "/home/a/.config", "/s", ""},
		{"relative XDG", "linux", map[string]string{"HOME": "/home/a", "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "./s"}, "/home/a/.config", "/home/a/.local/state", ""},
		{"macOS", "darwin", map[string]string{"HOME": "/Users/a"}, "/Users/a/Library/Application Support", "/Users/a/Library/Application Support", ""},
		{"macOS with XDG", "darwin", map[string]string{"HOME": "/Users/a", "XDG_CONFIG_HOME": "/c"}, "/c", "/Users/a/Library/Application Support", ""},
		{"Windows", "windows", map[string]string{"AppData": `/roaming`, "LocalAppData": `/local`}, "/roaming", "/local", ""},
		{"Windows without", "windows", map[string]string{"AppData": `/roaming`}, "", "", "LocalAppData"},
		{"no HOME", "linux", nil, "", "", "HOME is not set"},
		{"no HOME, XDG in part", "linux", map[string]string{"XDG_CONFIG_HOME": "/c"}, "", "", "HOME is not set"},
		{"relative HOME", "darwin", map[string]string{"HOME": "me"}, "", "", `HOME is "me"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !filepath.IsAbs("/") {
				t.Skip("SKIPPED: the paths of this table are for Unix")
			}
			got, err := findFiles(tt.goos, func(name string) string { return tt.env[name] })
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || hintOf(err) == "" {
					t.Fatalf("error %v, hint %q", err, hintOf(err))
				}
				return
			}
			got.Cache = "" // see TestCacheFolder
			want := Files{Config: tt.config + "/skaroctl/config.toml", Credentials: tt.state + "/skaroctl/credentials.json", State: tt.state + "/skaroctl"}
			if err != nil || got != want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestCacheFolder(t *testing.T) {
	for _, tt := range []struct{ goos, name, value, want string }{
		{"linux", "XDG_CACHE_HOME", "/c", "/c/skaroctl"},
		{"linux", "XDG_CACHE_HOME", "c", ""},
		{"linux", "HOME", "/home/a", "/home/a/.cache/skaroctl"},
		{"linux", "HOME", "me", ""},
		{"darwin", "HOME", "/Users/a", "/Users/a/Library/Caches/skaroctl"},
		{"windows", "LocalAppData", "/local", "/local/skaroctl"},
	} {
		if !filepath.IsAbs("/") {
			t.Skip("SKIPPED: the paths of this table are for Unix")
		}
		getenv := func(name string) string { return map[string]string{tt.name: tt.value}[name] }
		if got := cacheFolder(tt.goos, getenv); got != tt.want {
			t.Errorf("%s, %s=%s: %q", tt.goos, tt.name, tt.value, got)
		}
	}
}

func TestContacts(t *testing.T) {
	files := Files{Cache: filepath.Join(t.TempDir(), "new", "folder")}
	a, b := Key{"wss://a/", "alice"}, Key{"wss://b/", "alice"}
	if got, kept, err := files.CachedContacts(a); len(got) != 0 || !kept.IsZero() || err == nil {
		t.Errorf("of nothing: %v, %v, %v", got, kept, err)
	}
	if err := files.ForgetContacts(a); err != nil {
		t.Error(err)
	}
	for key, contacts := range map[Key][]Contact{a: {{"bob", false}, {"zoë", false}, {"ops", true}}, b: nil} {
		if err := files.CacheContacts(key, contacts); err != nil {
			t.Fatal(err)
		}
		got, kept, err := files.CachedContacts(key)
		if err != nil || !slices.Equal(got, contacts) || time.Since(kept) > time.Minute {
			t.Errorf("%v: %v, %v, %v", key, got, kept, err)
		}
	}
	path, err := files.contacts(a)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if err := files.CacheContacts(a, []Contact{{"carol", false}}); err != nil {
		t.Error(err)
	}
	if got, _, err := files.CachedContacts(a); err != nil || !slices.Equal(got, []Contact{{"carol", false}}) {
		t.Errorf("replaced: %v, %v", got, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.WriteFile(path, []byte(`{"version":1,"contacts":["bob"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _, err := files.CachedContacts(a); err == nil || got != nil {
		t.Errorf("of a strange file: %v", got)
	}
	if err := files.ForgetContacts(a); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what was to be forgotten is there")
	}
	if _, _, err := files.CachedContacts(b); err != nil {
		t.Errorf("the other account is forgotten too: %v", err)
	}
	if err := (Files{}).CacheContacts(a, nil); err == nil {
		t.Error("contacts were kept nowhere")
	}
}

func TestFromEnvironment(t *testing.T) {
	folder := t.TempDir()
	systemd := filepath.Join(folder, "systemd")
	if err := os.Mkdir(systemd, 0o700); err != nil {
		t.Fatal(err)
	}
	tokens := map[string]proto.Token{}
	write := func(path string, mode fs.FileMode, text string) string {
		path = filepath.Join(folder, path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token := func(password string) string {
		tokens[password] = proto.NewToken(password)
		return tokens[password].Text()
	}
	private := write("private", 0o600, token("file")+"\n")
	readOnly := write("readonly", 0o400, token("readonly"))
	open := write("open for all", 0o644, token("open"))
	group := write("group", 0o640, token("group"))
	long := write("long", 0o600, strings.Repeat("x", tokenFileLimit+1))
	broken := write("broken", 0o600, "skaro-token-1:"+secretSID)
	write("systemd/skaroctl-token", 0o440, token("systemd"))
	other := write("systemd/other", 0o444, token("other"))
	var brokenText = "skaro-token-1:!" + secretSID

	for _, tt := range []struct {
		name   string
		env    map[string]string
		want   string // the password of the token
		source string
		err    []string
		hint   string
	}{
		{name: "nothing"},
		{name: "empty", env: map[string]string{"SKAROCTL_TOKEN": "", "SKAROCTL_TOKEN_FILE": ""}},
		{name: "text", env: map[string]string{"SKAROCTL_TOKEN": token("text")}, want: "text", source: "SKAROCTL_TOKEN"},
		{name: "text first", env: map[string]string{"SKAROCTL_TOKEN": token("text"), "SKAROCTL_TOKEN_FILE": private, "CREDENTIALS_DIRECTORY": systemd}, want: "text", source: "SKAROCTL_TOKEN"},
		{name: "file", env: map[string]string{"SKAROCTL_TOKEN_FILE": private, "CREDENTIALS_DIRECTORY": systemd}, want: "file", source: "SKAROCTL_TOKEN_FILE"},
		{name: "file that can't be written", env: map[string]string{"SKAROCTL_TOKEN_FILE": readOnly}, want: "readonly", source: "SKAROCTL_TOKEN_FILE"},
		{name: "systemd", env: map[string]string{"CREDENTIALS_DIRECTORY": systemd}, want: "systemd", source: "$CREDENTIALS_DIRECTORY/skaroctl-token"},
		{name: "file of systemd", env: map[string]string{"SKAROCTL_TOKEN_FILE": other, "CREDENTIALS_DIRECTORY": systemd + "/"}, want: "other", source: "SKAROCTL_TOKEN_FILE"},
		{name: "other credentials only", env: map[string]string{"CREDENTIALS_DIRECTORY": folder}},
		{name: "broken text", env: map[string]string{"SKAROCTL_TOKEN": brokenText}, err: []string{"SKAROCTL_TOKEN: "}, hint: "--print-token"},
		{name: "broken text before a good file", env: map[string]string{"SKAROCTL_TOKEN": secretSID, "SKAROCTL_TOKEN_FILE": private}, err: []string{"SKAROCTL_TOKEN: "}, hint: "--print-token"},
		{name: "broken file", env: map[string]string{"SKAROCTL_TOKEN_FILE": broken}, err: []string{"SKAROCTL_TOKEN_FILE: "}, hint: "--print-token"},
		{name: "long file", env: map[string]string{"SKAROCTL_TOKEN_FILE": long}, err: []string{"SKAROCTL_TOKEN_FILE: ", long, "too long"}, hint: "--print-token"},
		{name: "no file", env: map[string]string{"SKAROCTL_TOKEN_FILE": "/none.invalid", "CREDENTIALS_DIRECTORY": systemd}, err: []string{"SKAROCTL_TOKEN_FILE: ", "/none.invalid"}},
		{name: "folder", env: map[string]string{"SKAROCTL_TOKEN_FILE": folder}, err: []string{"SKAROCTL_TOKEN_FILE: ", folder}},
		{name: "open file", env: map[string]string{"SKAROCTL_TOKEN_FILE": open}, err: []string{"SKAROCTL_TOKEN_FILE: ", open, "0644"}, hint: "chmod 600 '" + open + "'"},
		{name: "group file", env: map[string]string{"SKAROCTL_TOKEN_FILE": group}, err: []string{"0640"}, hint: "chmod 600 " + group},
		{name: "file outside of systemd's folder", env: map[string]string{"SKAROCTL_TOKEN_FILE": systemd + "/../group", "CREDENTIALS_DIRECTORY": systemd}, err: []string{"0640"}, hint: "chmod 600"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.hint, "chmod") && !modesMatter {
				t.Skip("SKIPPED: modes say nothing on this platform")
			}
			got, ok, err := FromEnvironment(func(name string) string { return tt.env[name] })
			if tt.err != nil {
				if err == nil || ok {
					t.Fatalf("%+v, %v", got, ok)
				}
				for _, part := range tt.err {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the error has no %q: %v", part, err)
					}
				}
				if strings.Contains(err.Error(), secretSID) {
					t.Errorf("the error quotes the token: %v", err)
				}
				if !strings.Contains(hintOf(err), tt.hint) {
					t.Errorf("hint %q", hintOf(err))
				}
				return
			}
			want := Environment{Token: tokens[tt.want], Source: tt.source}
			if err != nil || ok != (tt.want != "") || got != want {
				t.Errorf("%+v, %v, %v", got, ok, err)
			}
		})
	}
}
