package main

import (
	"bufio"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// If a newer skarod has written the database or the backup, the error says what to do.
func TestNewerDatabaseNeedsANewerProgram(t *testing.T) {
	data, older := t.TempDir(), t.TempDir()
	addUsers(t, data, "alice")
	addUsers(t, older, "alice")
	file := filepath.Join(data, "skarod.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for args, hint := range map[string]string{
		"user list --data " + data:                  "use the newer skarod, or restore an older backup with `skarod restore FILE`",
		"serve --listen 127.0.0.1:0 --data " + data: "use the newer skarod, or restore an older backup with `skarod restore FILE`",
		"restore " + file + " --data " + older:      "use the newer skarod, or take an older backup: nothing was changed",
	} {
		code, _, errs := skarod("", strings.Split(args, " ")...)
		if code != 1 || !strings.Contains(errs, "it was written by a newer skarod (version 99 of the data, ") || !strings.HasSuffix(errs, ")\nhint: "+hint+"\n") {
			t.Errorf("%s: exit %d, %s", args, code, errs)
		}
	}
}

// A command says if it has created a new database.
func TestNewDatabaseIsSaid(t *testing.T) {
	data := filepath.Join(t.TempDir(), "mistyped")
	for _, args := range []string{"invite create", "conference create ops", "user list"} {
		code, out, errs := skarod("", append(strings.Split(args, " "), "--data", data)...)
		if code != 1 || out != "" || !strings.HasSuffix(errs, "\nhint: make a database with `skarod user add`, or name its folder with --data\n") {
			t.Errorf("%q: exit %d, %s%s", args, code, out, errs)
		}
		if _, err := os.Stat(data); err == nil {
			t.Fatalf("%q has made the folder", args)
		}
	}
	args := []string{"user", "add", "bob", "--password-stdin", "--data", data}
	want := "skarod: created a new database, " + filepath.Join(data, "skarod.db") + "\n"
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
		`^time=\S+ level=INFO msg="created a new database, ` + regexp.QuoteMeta(filepath.Join(data, "skarod.db")) + `"$`,
		`^time=\S+ level=INFO msg=listening data=.* registration=closed version=1\.2\.3 url=ws://127\.0\.0\.1:\d+/skaro_client/$`,
	} {
		if !lines.Scan() || !regexp.MustCompile(want).MatchString(lines.Text()) {
			t.Errorf("it says %q, not %s", lines.Text(), want)
		}
	}
	if !strings.Contains(lines.Text(), filepath.Base(data)) {
		t.Errorf("the folder is not in %q", lines.Text())
	}

	file := filepath.Join(data, "skarod.db")
	if code, _, errs := skarod("password", "user", "add", "bob", "--password-stdin", "--data", file); code != 1 || !strings.HasSuffix(errs, "\nhint: give --data a folder, not a file\n") {
		t.Errorf("the file for the folder: exit %d, %s", code, errs)
	}
	if code, _, errs := skarod("", "user", "list", "--data", filepath.Join(file, "below", "it")); code != 1 || !strings.HasSuffix(errs, "\nhint: give --data a folder, not a file\n") {
		t.Errorf("a folder below the file: exit %d, %s", code, errs)
	}
}
