package account

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestFileFormat(t *testing.T) {
	s, _ := fileWith(t, alice)
	if err := s.Set(t.Context(), bob, someSession()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "version": 1,
  "accounts": [
    {
      "server": "wss://chat.example.org/skaro_client/",
      "login": "alice",
      "token": "` + someCredentials().Token.Text() + `"
    },
    {
      "server": "wss://chat.example.org/skaro_client/",
      "login": "bob",
      "sid": "s3cr3t-sid",
      "sid_used": "2026-05-15T12:00:00Z"
    }
  ]
}
`
	if string(content) != want {
		t.Errorf("%s", content)
	}
}

// Earlier versions kept a SID beside the token.
func TestSIDBesideATokenIsDropped(t *testing.T) {
	s := &fileStore{path: filepath.Join(t.TempDir(), "credentials.json")}
	old := `{"version":1,"accounts":[{"server":"` + alice.Server + `","login":"alice","token":"` + someCredentials().Token.Text() + `","sid":"` + secretSID + `","sid_used":"2026-05-15T12:00:00Z"}]}`
	if err := os.WriteFile(s.path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), alice); err != nil || got != someCredentials() {
		t.Errorf("%v", err)
	}
	if err := s.Set(t.Context(), bob, someCredentials()); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(s.path); err != nil || strings.Contains(string(content), "sid") {
		t.Errorf("%s, %v", content, err)
	}
	if got, err := s.Get(t.Context(), alice); err != nil || got != someCredentials() {
		t.Errorf("%v", err)
	}
}

func TestBrokenCredentialsFileIsNamedAndKept(t *testing.T) {
	good := `{"server":"ws://h/","login":"a","sid":"` + secretSID + `"}`
	for _, tt := range []struct {
		name, content string
		line          int
		what          string
	}{
		{"empty", "", 1, "not JSON"},
		{"cut off", "{\"version\":1,\n\"accounts\":[\n{\"sid\":\"" + secretSID, 3, "not JSON"},
		{"garbage", "\n\n" + secretSID, 3, "not JSON"},
		{"not JSON in line 3", "{\"version\":1,\n\"accounts\":[\n{\"sid\":" + secretSID + "}]}", 3, "not JSON"},
		{"more after it", "{\"version\":1,\"accounts\":[]}\n" + secretSID, 2, "not JSON"},
		{"array", "[]", 1, "must not be a JSON array"},
		{"null", "null", 1, "version 0"},
		{"later version", `{"version":2,"accounts":[]}`, 1, "version 2"},
		{"no version", `{"accounts":[]}`, 1, "version 0"},
		{"version as text", "{\"version\":\n\"" + secretSID + "\"}", 2, "version must not be a JSON string"},
		{"unknown field", `{"version":1,"` + secretSID + `":[]}`, 1, "does not know"},
		{"unknown field of an account", "{\"version\":1,\"accounts\":[\n" + good + ",\n{\"" + secretSID + "\":1}]}", 3, "account 2: there is a field"},
		{"null account", "{\"version\":1,\"accounts\":[\nnull]}", 2, "account 1: server or login"},
		{"text account", "{\"version\":1,\"accounts\":[\n\"" + secretSID + "\"]}", 2, "account 1: this must not be a JSON string"},
		{"no login", "{\"version\":1,\"accounts\":[\n\n{\"server\":\"x\"}]}", 3, "account 1: server or login"},
		{"number as SID", "{\"version\":1,\"accounts\":[\n{\"server\":\"x\",\"login\":\"y\",\n\"sid\":1234567890}]}", 3, "account 1: sid must not be a JSON number"},
		{"broken token", "{\"version\":1,\"accounts\":[\n" + good + ",\n{\"server\":\"x\",\"login\":\"y\",\"token\":\"skaro-token-1:" + secretSID + "\"}]}", 3, "account 2: the token is damaged"},
		{"no token", "{\"version\":1,\"accounts\":[{\"server\":\"x\",\"login\":\"y\",\"token\":\"" + secretSID + "\"}]}", 1, "account 1: a token starts"},
		{"broken date", "{\"version\":1,\"accounts\":[{\"server\":\"x\",\"login\":\"y\",\"sid_used\":\"" + secretSID + "\"}]}", 1, "account 1: sid_used"},
		{"twice", "{\"version\":1,\"accounts\":[" + good + ",\n" + good + "]}", 2, "account 2: the same account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &fileStore{path: filepath.Join(t.TempDir(), "credentials.json")}
			if err := os.WriteFile(s.path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, getErr := s.Get(t.Context(), alice)
			for what, err := range map[string]error{
				"get": getErr, "set": s.Set(t.Context(), alice, someCredentials()),
				"delete": s.Delete(t.Context(), alice), "renew": s.Renew(t.Context(), alice, "x", noon),
			} {
				var fileErr *Error
				if !errors.As(err, &fileErr) || fileErr.Kind != KindUnreadable || fileErr.Path != s.path || fileErr.Line != tt.line || !strings.Contains(err.Error(), tt.what) {
					t.Errorf("%s: %v", what, err)
				}
				if err != nil && (strings.Contains(err.Error(), secretSID) || strings.Contains(err.Error(), "1234567890")) {
					t.Errorf("%s: the error quotes the file: %v", what, err)
				}
			}
			untouched(t, s.path, []byte(tt.content))
		})
	}
}

func TestFileStoreMakesNoFileWithoutNeed(t *testing.T) {
	folder := t.TempDir()
	s := &fileStore{path: filepath.Join(folder, "state", "credentials.json")}
	if _, err := s.Get(t.Context(), alice); KindOf(err) != KindNone {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), alice); err != nil {
		t.Error(err)
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
}

const (
	writerProcesses = 10
	writerAccounts  = 5 // for each process
)

func writerKey(process, n int) Key {
	return Key{Server: "ws://h/", Login: fmt.Sprintf("user-%d-%d", process, n)}
}

func init() { children["writer"] = writerChild }

// writerChild saves and renews its own accounts, all at the same time.
func writerChild() error {
	process, err := strconv.Atoi(os.Getenv("ACCOUNT_TEST_PROCESS"))
	if err != nil {
		return err
	}
	s := &fileStore{path: filesIn(os.Getenv("ACCOUNT_TEST_FOLDER")).Credentials}
	errs := make(chan error, writerAccounts)
	for n := range writerAccounts {
		go func() {
			key := writerKey(process, n)
			err := s.Set(newContext(), key, someSession())
			if err == nil {
				err = s.Renew(newContext(), key, "sid of "+key.Login, noon)
			}
			errs <- err
		}()
	}
	for range writerAccounts {
		err = errors.Join(err, <-errs)
	}
	return err
}

// Fifty writers in ten processes, each with an account of its own. A reader never sees a
// torn file.
func TestManyWritersLoseNothing(t *testing.T) {
	folder := t.TempDir()
	s := &fileStore{path: filesIn(folder).Credentials}
	if err := s.Set(t.Context(), alice, someCredentials()); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got, err := s.Get(t.Context(), alice); err != nil || !sameCredentials(got, someCredentials()) {
					t.Errorf("while others write: %v", err)
					return
				}
			}
		})
	}
	for process := range writerProcesses {
		writers.Go(func() {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = asChild("writer", "ACCOUNT_TEST_FOLDER="+folder, "ACCOUNT_TEST_PROCESS="+strconv.Itoa(process))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v: %s", process, err, out)
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	for process := range writerProcesses {
		for n := range writerAccounts {
			key := writerKey(process, n)
			want := Credentials{SID: "sid of " + key.Login, SIDUsed: noon}
			if got, err := s.Get(t.Context(), key); err != nil || !sameCredentials(got, want) {
				t.Errorf("%s: lost: %v", key.Login, err)
			}
		}
	}
	entries, err := readCredentials(s.path)
	if err != nil || len(entries) != 1+writerProcesses*writerAccounts {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

func FuzzDecodeCredentials(f *testing.F) {
	token := newToken("x").Text()
	for _, seed := range []string{
		`{"version":1,"accounts":[]}`,
		`{"version":1,"accounts":[{"server":"ws://h/","login":"a","token":"` + token + `","sid":"` + secretSID + `","sid_used":"2026-05-15T12:00:00.5+02:00"}]}`,
		`{"version":1,"accounts":[{"server":"a","login":"b"},{"server":"a","login":"b"}]}`,
		`{"version":1,"accounts":[{"server":"a","login":"\ud800","sid_used":"` + secretSID + `"}]}`,
		`{"version":1e0,"accounts":[{"server":1,"login":null,"` + secretSID + `":{}}]}`, "[", "null", "{\"version\":1}\n\n" + secretSID,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := decodeCredentials("credentials.json", content)
		if err != nil {
			var fileErr *Error
			if !errors.As(err, &fileErr) || fileErr.Kind != KindFile || fileErr.Line < 1 || fileErr.Line > 1+bytes.Count(content, []byte("\n")) {
				t.Fatalf("%#v", err)
			}
			if strings.Contains(err.Error(), secretSID) {
				t.Fatalf("the error quotes the file: %v", err)
			}
			return
		}
		again, err := encodeCredentials(entries)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeCredentials("credentials.json", again)
		if err != nil || len(back) != len(entries) {
			t.Fatalf("%v: %s", err, again)
		}
		for i := range back {
			if back[i] != entries[i] {
				t.Fatalf("entry %d changed", i)
			}
		}
	})
}
