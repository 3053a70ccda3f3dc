package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestUserParsing(t *testing.T) {
	checkParsing(t, newUserAddCmd,
		parsed[userOptions]{"add Bob", userOptions{login: "Bob"}, true},
		parsed[userOptions]{"add bob --password-stdin", userOptions{login: "bob", password: cli.PasswordOptions{Stdin: true}}, true},
		parsed[userOptions]{"add --password-file f bob", userOptions{login: "bob", password: cli.PasswordOptions{File: "f"}}, true},
		parsed[userOptions]{"add -- -bob", userOptions{login: "-bob"}, true},
		parsed[userOptions]{args: "add bob --password-stdin --password-file f"},
		parsed[userOptions]{args: "add bob --password-file="},
		parsed[userOptions]{args: "add"},
		parsed[userOptions]{args: "add a b"},
	)
	checkParsing(t, newUserPasswdCmd,
		parsed[userOptions]{"passwd bob --password-stdin", userOptions{login: "bob", password: cli.PasswordOptions{Stdin: true}}, true},
		parsed[userOptions]{args: "passwd"},
	)
	checkParsing(t, newUserRemoveCmd,
		parsed[userOptions]{"remove bob", userOptions{login: "bob"}, true},
		parsed[userOptions]{args: "remove bob --password-stdin"},
	)
	checkParsing(t, newUserListCmd,
		parsed[userListOptions]{"list", userListOptions{listOptions: listOptions{format: "auto"}}, true},
		parsed[userListOptions]{"list -o json --utc", userListOptions{listOptions: listOptions{format: "json", utc: true}}, true},
		parsed[userListOptions]{"list --online", userListOptions{listOptions: listOptions{format: "auto"}, online: true}, true},
		parsed[userListOptions]{args: "list bob"},
	)
	checkParsing(t, newUserDisableCmd,
		parsed[userOptions]{"disable bob", userOptions{login: "bob"}, true},
		parsed[userOptions]{args: "disable"},
	)
	checkParsing(t, newUserEnableCmd,
		parsed[userOptions]{"enable bob", userOptions{login: "bob"}, true},
		parsed[userOptions]{args: "enable bob carol"},
	)
}

// A signal that comes while the password is read changes nothing, however much of it was
// read.
func TestInterruptedPasswordChangesNothing(t *testing.T) {
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

func TestUserCommandsExplainRefusals(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new", "folder")
	runCommands(t, data, []commandCase{
		{"", "user list", 1, "", "hint: make a database with `skarod user add`"},
		{"x\n", "user passwd alice --password-stdin", 1, "", "hint: make a database with `skarod user add`"},
		{"x\n", "user remove alice", 1, "", "hint: "},
		{"secret\n", "user add Bob --password-stdin", 0, "", "skarod: created a new database, " + filepath.Join(data, "skarod.db") + "\n"},
		{"secret", "user add alice --password-stdin", 0, "", ""},
		{"secret\n", "user add BOB --password-stdin", 5, "", "skarod: user add: \"bob\": the login is taken\nhint: change its password with `skarod user passwd bob`\n"},
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
		{"x\n", "user add a,b --password-stdin", 2, "", "skarod: user add: \"a,b\" can't be a login: a comma separates two logins\nhint: choose another login"},
		{"x\n", "user add --password-stdin -- -a", 2, "", "skarod: user add: \"-a\" can't be a login: it looks like a flag\nhint: choose another login"},
		{"x\n", "user passwd a,b --password-stdin", 5, "", `"a,b": no such user`}, // there may be one of old
		{"", "user remove -- -a", 5, "", `"-a": no such user`},
		{"new\n", "user passwd bob --password-stdin", 0, "", ""},
		{"new\n", "user passwd carol --password-stdin", 5, "", "\"carol\": no such user\nhint: run `skarod user list` to see the logins\n"},
		{"", "user remove carol", 5, "", "\"carol\": no such user\nhint: run `skarod user list`"},
		{"", "user remove alice", 0, "", ""},
		{"", "user list -o xml", 2, "", "not one of"},
	}...)
	code, out, _ := skarod("", "user", "list", "-o", "json", "--data", data)
	var user struct{ Type, Login, Created string }
	if err := json.Unmarshal([]byte(out), &user); code != 0 || err != nil || user.Type != "user" || user.Login != "bob" {
		t.Errorf("list as JSON: %q, %v", out, err)
	}
	if _, err := time.Parse(time.RFC3339, user.Created); err != nil {
		t.Error(err)
	}
	if code, out, _ := skarod("", "user", "list", "-o", "text", "--data", data); code != 0 || !strings.HasSuffix(out, "  bob  never  -\n") {
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
