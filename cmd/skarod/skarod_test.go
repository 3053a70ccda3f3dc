package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// patience bounds every wait of these tests; none is expected to last.
const patience = 60 * time.Second

// built is the program itself, as it is when it is installed.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "skarod-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "skarod")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	out, err := exec.Command("go", "build", "-ldflags", "-X main.version=1.2.3", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func program(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// skarod runs a command inside this process.
func skarod(in string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(args, terminal.Streams{In: strings.NewReader(in), Out: &o, Err: &e}, func(string) string { return "" })
	return code, o.String(), e.String()
}

func addUsers(t testing.TB, data string, logins ...string) {
	t.Helper()
	for _, login := range logins {
		if code, _, errs := skarod("secret of "+login+"\n", "user", "add", login, "--password-stdin", "--data", data); code != 0 {
			t.Fatalf("add %s: %d %s", login, code, errs)
		}
	}
}

// A signal that comes while the password is read changes nothing, however much of it
// was there.
func TestInterruptedPassword(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice")
	in, held := io.Pipe()
	defer held.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, _ = held.Write([]byte("half a pass"))
		cancel(&terminal.Interrupt{Signal: syscall.SIGTERM})
	}()
	streams := terminal.Streams{In: in, Out: io.Discard, Err: io.Discard}
	args := []string{"user", "passwd", "alice", "--password-stdin", "--data", data}
	if status := cli.MainContext(ctx, args, streams, func(string) string { return "" }, newProgram); status != 143 {
		t.Errorf("status %d", status)
	}
	s, err := store.Open(filepath.Join(data, "skarod.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if u, err := s.User(t.Context(), "alice"); err != nil || u.Revision != 1 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestInviteCommands(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice")
	code, first, errs := skarod("", "invite", "create", "--data", data)
	if !regexp.MustCompile(`^([a-z2-7]{4}-){3}[a-z2-7]{4}\n$`).MatchString(first) || code != 0 || !strings.Contains(errs, "for one account, until ") {
		t.Fatalf("exit %d, output %q, errors %q", code, first, errs)
	}
	_, second, _ := skarod("", "invite", "create", "--expires", "1ns", "--data", data)
	if first == second {
		t.Error("the same code twice")
	}
	_, _, errs = skarod("", "invite", "create", "--expires", "2d12h", "--data", data)
	_, said, _ := strings.Cut(errs, "until ")
	until, err := time.ParseInLocation("2006-01-02 15:04\n", said, time.Local)
	if left := time.Until(until); err != nil || left < 59*time.Hour || left > 61*time.Hour {
		t.Errorf("two days and a half end at %q: %v", errs, err)
	}
	path := filepath.Join(data, "skarod.db")
	if b, err := os.ReadFile(path); err != nil || bytes.Contains(b, []byte(strings.TrimSpace(first))) {
		t.Errorf("the code is in the database (%v)", err)
	}
	states := func() (states []string) {
		_, out, _ := skarod("", "invite", "list", "-o", "json", "--data", data)
		for line := range strings.Lines(out) {
			var i struct{ Type, State, Created, Expires string }
			if err := json.Unmarshal([]byte(line), &i); err != nil || i.Type != "invite" || i.Created == "" || i.Expires <= i.Created[:10] {
				t.Errorf("%s: %v", line, err)
			}
			states = append(states, i.State)
		}
		return states
	}
	if got := states(); !slices.Equal(got, []string{"open", "expired", "open"}) {
		t.Errorf("states %v", got)
	}
	if code, _, errs := skarod("", "invite", "revoke", strings.ToUpper(strings.TrimSpace(first)), "--data", data); code != 0 || errs != "" {
		t.Errorf("revoke by code: %d, %s", code, errs)
	}
	if code, _, errs := skarod("", "invite", "revoke", "2", "--data", data); code != 0 || errs != "" {
		t.Errorf("revoke by id: %d, %s", code, errs)
	}
	if got := states(); !slices.Equal(got, []string{"open"}) {
		t.Errorf("states %v", got)
	}
}

func TestUserCommands(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new", "folder")
	for _, c := range []struct {
		in   string
		args string
		code int
		out  string // of the whole standard output
		errs string // somewhere in standard error
	}{
		{"", "user list", 1, "", "hint: `skarod user add` makes a database"},
		{"x\n", "user passwd alice --password-stdin", 1, "", "hint: `skarod user add` makes a database"},
		{"x\n", "user remove alice", 1, "", "hint: "},
		{"secret\n", "user add Bob --password-stdin", 0, "", "skarod: made a new database, " + filepath.Join(data, "skarod.db") + "\n"},
		{"secret", "user add alice --password-stdin", 0, "", ""},
		{"secret\n", "user add BOB --password-stdin", 5, "", "skarod: user add: \"bob\": the login is taken\nhint: `skarod user passwd bob` changes its password\n"},
		{"", "user add bob", 5, "", "the login is taken"}, // no password is asked for
		{"\n", "user add carol --password-stdin", 2, "", "the password is empty"},
		{"", "user add carol --password-stdin", 2, "", "the password is empty"},
		{"a\nb\n", "user add carol --password-stdin", 2, "", "more than one line"},
		{"\xff\xfea\x00\r\x00\n\x00", "user add carol --password-stdin", 2, "", "the password is not UTF-8"}, // PowerShell's UTF-16
		{"\xff\n", "user add carol --password-stdin", 2, "", "not UTF-8"},
		{strings.Repeat("x", cli.MaxPassword+1), "user add carol --password-stdin", 2, "", "more than 65536 bytes"},
		{"x\n", "user add --password-stdin", 2, "", "skarod: user add needs LOGIN\nhint: write `skarod user add LOGIN`"},
		{"x\n", "user add a b --password-stdin", 2, "", "skarod: user add takes one argument, and got 2"},
		{"x\n", "user add car\u202eol --password-stdin", 2, "", "can't be a login"},
		{"x\n", "user add a,b --password-stdin", 2, "", "skarod: user add: \"a,b\" can't be a login: a comma stands between two logins\nhint: choose another login"},
		{"x\n", "user add --password-stdin -- -a", 2, "", "skarod: user add: \"-a\" can't be a login: what begins with - is taken for a flag\nhint: choose another login"},
		{"x\n", "user passwd a,b --password-stdin", 5, "", `"a,b": no such user`}, // there may be one of old
		{"", "user remove -- -a", 5, "", `"-a": no such user`},
		{"new\n", "user passwd bob --password-stdin", 0, "", ""},
		{"new\n", "user passwd carol --password-stdin", 5, "", "\"carol\": no such user\nhint: `skarod user list` shows the logins that there are\n"},
		{"", "user remove carol", 5, "", "\"carol\": no such user\nhint: `skarod user list` shows"},
		{"", "user remove alice", 0, "", ""},
		{"", "user list -o xml", 2, "", "not one of"},
		{"", "invite create --expires 0s", 2, "", "must be longer than 0"},
		{"", "invite create --expires 7", 2, "", "--expires: \"7\" has no unit: did you mean 7s ?\nhint: --expires DURATION: how long it is valid, like 24h or 7d"},
		{"", "invite create --expires 1y", 2, "", "\"1y\" is not a duration like 10s, 5m, 24h or 7d"},
		{"", "invite revoke 1", 5, "", "skarod: invite revoke: no such invitation\nhint: `skarod invite list` shows"},
		{"", "invite list", 0, "", ""},
		{"", "user list --nonsense", 2, "", "--nonsense"},
		{"", "nonsense", 2, "", "unknown command \"nonsense\"\nhint: see `skarod --help`"},
		{"", "sevre", 2, "", "hint: did you mean serve?"},
		{"", "user ad carol", 2, "", "unknown command \"user ad\"\nhint: did you mean add?"},
		{"", "user ls", 2, "", "unknown command \"user ls\"\nhint: did you mean list?"},
		{"", "user rm bob", 2, "", "hint: did you mean remove?"},
		{"", "user delete bob", 2, "", "hint: did you mean remove?"},
		{"", "user adduser bob", 2, "", "hint: did you mean add?"},
		{"", "adduser bob", 2, "", "unknown command \"adduser\"\nhint: did you mean user add?"},
		{"", "passwd bob", 2, "", "hint: did you mean user passwd?"},
		{"", "list", 2, "", "hint: did you mean conference list or invite list or user list?"},
		{"", "invite ls", 2, "", "hint: did you mean list?"},
		{"", "invite delete 1", 2, "", "hint: did you mean revoke?"},
		{"", "help exit-statu", 2, "", "hint: did you mean exit-status?"},
		{"", "user list --dta x", 2, "", "hint: did you mean --data?"},
		{"", "--version", 0, "skarod dev\n", ""},
		{"", "version -o xml", 2, "", "--output is \"xml\", not one of auto, text, json"},
	} {
		args := append([]string{"--data", data}, strings.Split(c.args, " ")...)
		code, out, errs := skarod(c.in, args...)
		if code != c.code || out != c.out || !strings.Contains(errs, c.errs) || code == 0 && errs != c.errs || code != 0 && !strings.HasPrefix(errs, "skarod: ") {
			t.Errorf("%s: exit %d, output %q, errors %q", c.args, code, out, errs)
		}
		if strings.Contains(errs, "secret") {
			t.Errorf("%s shows the password", c.args)
		}
	}
	code, out, _ := skarod("", "user", "list", "-o", "json", "--data", data)
	var user struct{ Type, Login, Created string }
	if err := json.Unmarshal([]byte(out), &user); code != 0 || err != nil || user.Type != "user" || user.Login != "bob" {
		t.Errorf("list as JSON: %q, %v", out, err)
	}
	if _, err := time.Parse(time.RFC3339, user.Created); err != nil {
		t.Error(err)
	}
	if code, out, _ := skarod("", "user", "list", "-o", "text", "--data", data); code != 0 || !strings.HasSuffix(out, "  bob\n") {
		t.Errorf("list as text: %q", out)
	}
	if info, err := os.Stat(data); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info, err)
	}
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("secret")) {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestConferenceCommands(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice", "bob", "carol")
	for _, c := range []struct {
		args string
		code int
		errs string // all of it in the first line, and the hint
	}{
		{"conference create Ops alice BOB", 0, ""},
		{"conference create dev", 0, ""},
		{"conference create OPS", 5, "create: \"ops\": it is the name of a conference\nhint: `skarod conference add ops LOGIN` puts somebody into it"},
		{"conference create Bob", 5, "create: \"bob\": the login is taken\nhint: choose a name that no account has"},
		{"conference create new alice eve dev mallory", 5, "create: \"eve\", \"dev\", \"mallory\": no such user\nhint: `skarod user list` shows the logins that there are"},
		{"conference create a,b", 2, "create: the name of a conference is one that could be a login: \"a,b\" can't be a login: a comma stands between two logins\nhint: choose another name"},
		{"conference create x car\u202eol", 2, "create: \"car\\u202eol\" can't be a login: letters, digits and most symbols may be in it, spaces may not\nhint: `skarod user list` shows the logins that there are"},
		{"conference create w bob,alice", 5, "create: \"bob,alice\": no such user\nhint: logins are separated by spaces here: bob alice\n"},
		{"conference add ops bob, alice", 5, "add: \"bob,\": no such user\nhint: logins are separated by spaces here: bob alice\n"},
		{"conference create", 2, "skarod: conference create needs NAME\nhint: write `skarod conference create NAME [LOGIN...]`"},
		{"user add ops --password-stdin", 5, "user add: \"ops\": it is the name of a conference\nhint: choose another login"}, // no password is read
		{"user passwd ops --password-stdin", 5, "user passwd: \"ops\": no such user\nhint: "},
		{"user remove ops", 5, "user remove: \"ops\": no such user\nhint: "},
		{"conference add dev alice carol", 0, ""},
		{"conference add dev carol", 0, ""},
		{"conference add dev bob eve", 5, "add: \"eve\": no such user\nhint: `skarod user list`"},
		{"conference add nothing bob", 5, "add: \"nothing\": no such conference\nhint: `skarod conference list` shows the conferences that there are"},
		{"conference add bob alice", 5, "add: \"bob\": no such conference"},
		{"conference add dev", 2, "skarod: conference add needs LOGIN...\nhint: write `skarod conference add NAME LOGIN...`"},
		{"conference add ops -- -x", 5, "add: \"-x\": no such user"},
		{"conference remove dev bob carol", 5, "remove: \"bob\": not a member of the conference\nhint: `skarod conference list dev` shows who is in it"},
		{"conference remove dev alice eve", 5, "remove: \"eve\": no such user"},
		{"conference remove nothing alice", 5, "remove: \"nothing\": no such conference"},
		{"conference list nothing", 5, "list: \"nothing\": no such conference\nhint: `skarod conference list` shows"},
		{"conference list a b", 2, "skarod: conference list takes one argument, and got 2"},
		{"conference list -o xml", 2, "not one of auto, text, json"},
		{"conference delete nothing", 5, "delete: \"nothing\": no such conference"},
		{"conference delete alice", 5, "delete: \"alice\": no such conference"},
		{"conference members", 2, "hint: did you mean list?"},
		{"conference rm ops bob", 2, "hint: did you mean remove?"},
		{"group", 2, "hint: did you mean conference?"},
		{"kick bob", 2, "hint: did you mean conference remove?"},
	} {
		code, out, errs := skarod("", append(strings.Split(c.args, " "), "--data", data)...)
		if strings.Contains(c.args, " -- ") {
			code, out, errs = skarod("", append([]string{"--data", data}, strings.Split(c.args, " ")...)...)
		}
		if code != c.code || out != "" || !strings.Contains(errs, c.errs) || code == 0 && errs != "" {
			t.Errorf("%s: exit %d, output %q, errors %q", c.args, code, out, errs)
		}
	}
	list := func(want string, args ...string) {
		t.Helper()
		_, out, errs := skarod("", append([]string{"conference", "list", "--data", data}, args...)...)
		out = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?`).ReplaceAllString(out, "DATE")
		if out != want || errs != "" {
			t.Errorf("list %v: %q, %s", args, out, errs)
		}
	}
	const dev = `{"type":"conference","name":"dev","created":"DATE","members":["alice","carol"]}` + "\n"
	list(dev+`{"type":"conference","name":"ops","created":"DATE","members":["alice","bob"]}`+"\n", "-o", "json")
	list(dev, "DEV")
	list("DATE  dev  alice  carol\nDATE  ops  alice  bob\n", "-o", "text", "--utc")
	for _, args := range [][]string{{"conference", "remove", "dev", "carol", "Alice"}, {"conference", "delete", "OPS"}} {
		if code, out, errs := skarod("", append(args, "--data", data)...); code != 0 || out+errs != "" {
			t.Errorf("%v: exit %d, %s%s", args, code, out, errs)
		}
	}
	list("DATE  dev  -\n", "-o", "text")
}

// TestDone: who sits at a terminal is told what was done; a script is not.
func TestDone(t *testing.T) {
	scripted, typed := t.TempDir(), t.TempDir()
	addUsers(t, scripted, "bob")
	addUsers(t, typed, "bob")
	skarod("", "invite", "create", "--data", scripted)
	skarod("", "invite", "create", "--data", typed)
	for _, c := range []struct{ args, said string }{
		{"user add Alice --password-stdin", "made the account of alice"},
		{"user passwd alice --password-stdin", "changed the password of alice, and ended the account's sessions"},
		{"conference create Ops alice bob", "made the conference ops"},
		{"conference create dev", "made the conference dev"},
		{"conference add dev ALICE", "put alice into the conference dev"},
		{"conference add dev alice bob", "put bob into the conference dev\nskarod: already in the conference dev: alice"},
		{"conference add dev alice bob", "already in the conference dev: alice, bob"},
		{"conference remove dev alice", "took alice out of the conference dev"},
		{"conference delete dev", "deleted the conference dev"},
		{"user remove alice", "removed the account of alice, and ended its sessions"},
		{"invite revoke 1", "took the invitation back"},
	} {
		if code, out, errs := skarod("a long password", append(strings.Split(c.args, " "), "--data", scripted)...); code != 0 || out+errs != "" {
			t.Errorf("%s in a script: exit %d, %s%s", c.args, code, out, errs)
		}
		var out, errs strings.Builder
		streams := terminal.Streams{In: strings.NewReader("a long password"), Out: &out, Err: &errs, ErrTerminal: true}
		code := run(append(strings.Split(c.args, " "), "--data", typed), streams, func(string) string { return "" })
		if code != 0 || out.String() != "" || errs.String() != "skarod: "+c.said+"\n" {
			t.Errorf("%s at a terminal: exit %d, %s%s", c.args, code, &out, &errs)
		}
	}
	for _, plain := range []bool{false, true} {
		var errs strings.Builder
		run([]string{"nonsense"}, terminal.Streams{Err: &errs, ErrTerminal: true, Plain: plain}, func(string) string { return "" })
		if strings.Contains(errs.String(), "\x1b") == plain {
			t.Errorf("plain %v: %q", plain, &errs)
		}
	}
}

// TestNewDatabase: a database that is made is told, that there is one already is not.
func TestNewDatabase(t *testing.T) {
	data := filepath.Join(t.TempDir(), "mistyped")
	for _, args := range []string{"invite create", "conference create ops", "user list"} {
		code, out, errs := skarod("", append(strings.Split(args, " "), "--data", data)...)
		if code != 1 || out != "" || !strings.HasSuffix(errs, "\nhint: `skarod user add` makes a database; --data says in which folder it is\n") {
			t.Errorf("%q: exit %d, %s%s", args, code, out, errs)
		}
		if _, err := os.Stat(data); err == nil {
			t.Fatalf("%q has made the folder", args)
		}
	}
	args := []string{"user", "add", "bob", "--password-stdin", "--data", data}
	want := "skarod: made a new database, " + filepath.Join(data, "skarod.db") + "\n"
	if code, _, errs := skarod("password", args...); code != 0 || !strings.HasPrefix(errs, want) {
		t.Errorf("%q: exit %d, %s", args, code, errs)
	}
	if _, _, errs := skarod("password", args...); strings.Contains(errs, "new database") {
		t.Errorf("%q once more: %s", args, errs)
	}
	data = t.TempDir()
	cmd := exec.Command(program(t), "serve", "--listen", "127.0.0.1:0", "--data", data)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	lines := bufio.NewScanner(stderr)
	for _, want := range []string{
		"^skarod: made a new database, " + regexp.QuoteMeta(filepath.Join(data, "skarod.db")) + "$",
		`^skarod: listening on ws://127\.0\.0\.1:\d+/skaro_client/$`,
		` level=INFO msg=started data=.* registration=closed version=1\.2\.3$`,
	} {
		if !lines.Scan() || !regexp.MustCompile(want).MatchString(lines.Text()) {
			t.Errorf("it says %q, not %s", lines.Text(), want)
		}
	}
	if !strings.Contains(lines.Text(), filepath.Base(data)) {
		t.Errorf("the folder is not in %q", lines.Text())
	}

	file := filepath.Join(data, "skarod.db")
	if code, _, errs := skarod("password", "user", "add", "bob", "--password-stdin", "--data", file); code != 1 || !strings.HasSuffix(errs, "\nhint: --data names a folder, not a file\n") {
		t.Errorf("the file for the folder: exit %d, %s", code, errs)
	}
	if code, _, errs := skarod("", "user", "list", "--data", filepath.Join(file, "below", "it")); code != 1 || !strings.HasSuffix(errs, "\nhint: --data names a folder, not a file\n") {
		t.Errorf("a folder below the file: exit %d, %s", code, errs)
	}
}

func TestServeRefuses(t *testing.T) {
	data := t.TempDir()
	for args, want := range map[string]string{
		"--listen 0.0.0.0:0":                      "serve: 0.0.0.0:",
		"--listen [::]:0":                         "there is no TLS",
		"--tls-cert x":                            "tls-key",
		"--tls-cert x --tls-key y":                "the certificate can't be used",
		"--registration maybe":                    "not one of open, invite, closed\nhint: see `skarod serve --help`",
		"now --listen 127.0.0.1:0 --data " + data: "serve takes no argument, and got \"now\"",
	} {
		code, _, errs := skarod("", append(append([]string{"serve"}, strings.Split(args, " ")...), "--data", data)...)
		if code != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s", args, code, errs)
		}
	}
	for listen, want := range map[string]string{
		"18779":     "missing port in address\nhint: did you mean :18779 or 127.0.0.1:18779?\n",
		"localhost": "missing port in address\nhint: did you mean localhost:8765?\n",
		"::1":       "too many colons in address\nhint: did you mean [::1]:8765?\n",
		"99999":     "missing port in address\nhint: write it as HOST:PORT, like 127.0.0.1:8765, with an address of this machine\n",
		":99999":    "invalid port\nhint: write it as HOST:PORT, like 127.0.0.1:8765, with an address of this machine\n",
	} {
		code, _, errs := skarod("", "serve", "--listen", listen, "--data", data)
		if code != 2 || errs != fmt.Sprintf("skarod: serve: --listen is %q: %s", listen, want) {
			t.Errorf("--listen %s: exit %d, %s", listen, code, errs)
		}
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	code, _, errs := skarod("", "serve", "--listen", busy.Addr().String(), "--data", data)
	if code != 1 || !strings.HasPrefix(errs, "skarod: serve: listen on "+busy.Addr().String()+": ") || strings.Count(errs, busy.Addr().String()) != 1 ||
		!strings.HasSuffix(errs, "\nhint: another program has that port: give another --listen\n") {
		t.Errorf("a port in use: exit %d, %s", code, errs)
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

// TestCantListen: what no test can make happen everywhere.
func TestCantListen(t *testing.T) {
	bind := func(code syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: os.NewSyscallError("bind", code)}
	}
	for _, c := range []struct {
		addr      string
		err       error
		code      int
		why, hint string
	}{
		{":80", bind(syscall.EACCES), 1, "listen on :80: " + syscall.EACCES.Error(), "ports below 1024 are for root"},
		{":80", bind(10048), 1, "listen on :80: " + syscall.Errno(10048).Error(), "another program has that port"}, // as Windows says it
		{":80", bind(10013), 1, "listen on :80: " + syscall.Errno(10013).Error(), "another program has that port"},
		{"192.0.2.1:80", bind(syscall.EADDRNOTAVAIL), 1, "listen on 192.0.2.1:80: " + syscall.EADDRNOTAVAIL.Error(), "an address of this machine"},
		{"nowhere:80", &net.OpError{Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, 2, `--listen is "nowhere:80": no such host`, "an address of this machine"},
		{"nowhere:80", &net.OpError{Err: &net.DNSError{Err: "server misbehaving", Name: "nowhere"}}, 1, "listen on nowhere:80: lookup nowhere: server misbehaving", "an address of this machine"},
	} {
		err := cantListen(c.addr, c.err)
		var e *cli.Error
		if !errors.As(err, &e) || (e.Kind == cli.KindUsage) != (c.code == 2) || err.Error() != c.why || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %v, %+v", c.addr, err, e)
		}
	}
}

// process is a running `skarod serve`.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	addr string
	done chan struct{} // its standard error has ended
	log  strings.Builder
}

// serve starts the program and waits until it is ready.
func serve(t testing.TB, data string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program(t), append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, args...)...), done: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	addr, ok := strings.CutPrefix(first, "skarod: listening on ws://")
	if !ok {
		rest, _ := io.ReadAll(lines)
		t.Fatalf("it says %q %s, %v", first, rest, err)
	}
	p.addr, _, _ = strings.Cut(addr, "/")
	go func() {
		defer close(p.done)
		_, _ = io.Copy(&p.log, lines)
	}()
	return p
}

// wait is the end of the process: its exit code, -1 after a kill.
func (p *process) wait() int {
	p.t.Helper()
	<-p.done
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// client is a bare Skaro client that is logged in.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func bound() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func (p *process) login(login string) *client {
	p.t.Helper()
	ctx, cancel := bound()
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+p.addr+"/skaro_client/", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(proto.MaxFrame)
	c := &client{p.t, ws}
	greeting, err := c.read()
	if err != nil {
		p.t.Fatal(err)
	}
	r := c.request(1, proto.TypeAuthorize, map[string]any{"login": login, "password": proto.NewToken("secret of " + login).Answer(greeting.Text("token"))})
	if !r.OK() {
		p.t.Fatalf("login of %s: %s", login, r.Status)
	}
	return c
}

func (c *client) read() (proto.Frame, error) {
	ctx, cancel := bound()
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return proto.Frame{}, err
	}
	return proto.Decode(b)
}

func (c *client) write(id int64, name string, fields map[string]any) error {
	b, err := proto.EncodeRequest(name, id, fields)
	if err != nil {
		return err
	}
	ctx, cancel := bound()
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageBinary, b)
}

// request asks something and waits for the reply; pushes are passed over.
func (c *client) request(id int64, name string, fields map[string]any) proto.Reply {
	c.t.Helper()
	if err := c.write(id, name, fields); err != nil {
		c.t.Fatal(err)
	}
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		if r, err := proto.ParseReply(f); err == nil && r.ID == id {
			return r
		}
	}
}

func TestServe(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	addUsers(t, data, "alice", "bob")
	p := serve(t, data, "--registration", "invite")
	alice := p.login("alice")
	if r := alice.request(2, proto.TypeRegisterType, nil); r.Fields.Text("register_type") != "invite" {
		t.Errorf("%s", r.Fields.Describe())
	}
	if r := alice.request(3, proto.TypeSendMessage, map[string]any{"to": "bob", "body": "hi"}); !r.OK() {
		t.Errorf("%s", r.Fields.Describe())
	}
	for _, page := range []string{"/healthz", "/metrics"} {
		resp, err := http.Get("http://" + p.addr + page)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", page, resp.Status)
		}
	}

	// Everything about accounts works meanwhile, and takes effect.
	bob := p.login("bob")
	addUsers(t, data, "carol")
	p.login("carol")
	if code, _, errs := skarod("", "user", "remove", "bob", "--data", data); code != 0 {
		t.Errorf("remove: %s", errs)
	}
	if code, _, errs := skarod("secret of alice", "user", "passwd", "alice", "--password-stdin", "--data", data); code != 0 {
		t.Errorf("passwd: %s", errs)
	}
	for who, c := range map[string]*client{"bob": bob, "alice": alice} { // alice: the same password again, to log out everywhere
		for {
			if _, err := c.read(); err != nil {
				if websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
					t.Errorf("%s: %v", who, err)
				}
				break
			}
		}
	}

	// A second server is refused.
	out, err := exec.Command(program(t), "serve", "--listen", "127.0.0.1:0", "--data", data).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !bytes.Contains(out, []byte("another skarod serves")) || !bytes.Contains(out, []byte("hint: ")) {
		t.Errorf("a second server: %v, %s", err, out)
	}

	carol := p.login("carol")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Skipf("this system has no SIGTERM: %v", err)
	}
	if _, err := carol.read(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the connection ends with %v", err)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit %d, %s", code, p.log.String())
	}
	if strings.Contains(p.log.String(), "secret of") {
		t.Errorf("the log shows a password: %s", p.log.String())
	}
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
		if strings.HasSuffix(e.Name(), "-wal") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

func TestVersionIsSetByTheLinker(t *testing.T) {
	out, err := exec.Command(program(t), "--version").Output()
	if err != nil || string(out) != "skarod 1.2.3\n" {
		t.Errorf("%q, %v", out, err)
	}
	out, err = exec.Command(program(t), "version", "-o", "text").Output()
	built := fmt.Sprintf("built with:  %s\nbuilt for:   %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if err != nil || !strings.HasPrefix(string(out), "skarod 1.2.3\n") || !strings.HasSuffix(string(out), built) {
		t.Errorf("%q, %v", out, err)
	}
	out, err = exec.Command(program(t), "version").Output() // its output is no terminal
	var v struct{ Type, Program, Version, Go string }
	if jsonErr := json.Unmarshal(out, &v); err != nil || jsonErr != nil || v.Type != "version" || v.Program != "skarod" || v.Version != "1.2.3" || v.Go != runtime.Version() {
		t.Errorf("%q, %v, %v", out, err, jsonErr)
	}
}

// The server is killed at random while messages pour in. Every message that it
// confirmed is there afterwards, ids never repeat and never go back, and whoever
// sends again what was not confirmed, with the same nonce, doubles nothing.
func TestKilled(t *testing.T) {
	const rounds, window = 8, 256
	data := filepath.Join(t.TempDir(), "data")
	addUsers(t, data, "alice", "bob")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	confirmed := map[int64]string{} // message id to body
	var unsure []string             // bodies that were sent and not confirmed
	next, highest := 0, int64(0)
	for range rounds {
		p := serve(t, data)
		c := p.login("alice")
		killAfter := 1 + random.IntN(3000)
		inFlight := map[int64]string{}
		number := int64(1)
		write := func(body string) error {
			number++
			inFlight[number] = body
			return c.write(number, proto.TypeSendMessage, map[string]any{"to": "bob", "body": body, "nonce": fmt.Sprintf("nonce of %15s", body)})
		}
		var err error
		repeated := map[string]bool{}
		for _, body := range unsure {
			repeated[body] = true
			err = errors.Join(err, write(body))
		}
		unsure = nil
		highestBefore := highest
		for n := 0; err == nil; {
			for len(inFlight) < window && err == nil {
				next++
				err = write(fmt.Sprint(next))
			}
			var f proto.Frame
			if err == nil {
				f, err = c.read()
			}
			if err != nil {
				break
			}
			r, parseErr := proto.ParseReply(f)
			id, _ := r.Fields.Int("message_id")
			body, known := inFlight[r.ID]
			if parseErr != nil || !r.OK() || !known {
				t.Fatalf("%s, %v", f.Describe(), parseErr)
			}
			delete(inFlight, r.ID)
			if other, twice := confirmed[id]; twice {
				t.Fatalf("the id %d is that of %s and of %s", id, other, body)
			}
			if id <= highestBefore && !repeated[body] {
				t.Fatalf("the id %d is not above %d of the round before", id, highestBefore)
			}
			confirmed[id] = body
			highest = max(highest, id)
			if n++; n == killAfter {
				if err := p.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		// What was confirmed before the kill may still be on its way.
		for {
			f, err := c.read()
			if err != nil {
				break
			}
			if r, err := proto.ParseReply(f); err == nil && r.OK() && inFlight[r.ID] != "" {
				id, _ := r.Fields.Int("message_id")
				confirmed[id] = inFlight[r.ID]
				highest = max(highest, id)
				delete(inFlight, r.ID)
			}
		}
		for _, body := range inFlight {
			unsure = append(unsure, body)
		}
		p.wait()
	}

	p := serve(t, data)
	c := p.login("bob")
	there := map[int64]string{}
	bodies := map[string]bool{}
	for after, more := int64(0), true; more; {
		r := c.request(5, proto.TypeGetUpdates, map[string]any{"after": after, "limit": 1000})
		list, err := proto.ParseMessages(r.Fields, "messages")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			if m.ID <= after || bodies[m.Body] {
				t.Fatalf("the message %d %q comes after %d, or twice", m.ID, m.Body, after)
			}
			after = m.ID
			there[m.ID], bodies[m.Body] = m.Body, true
		}
		more, _ = r.Fields.Bool("more")
	}
	for id, body := range confirmed {
		if there[id] != body {
			t.Errorf("the message %d %q was confirmed, and is %q", id, body, there[id])
		}
	}
	t.Logf("%d messages are there, %d of them confirmed", len(there), len(confirmed))

	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "skarod.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("the integrity check says %q, %v", verdict, err)
	}
}
