package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestBackupParsing(t *testing.T) {
	checkParsing(t, newBackupCmd,
		parsed[backupOptions]{"backup x.db", backupOptions{"x.db"}, true},
		parsed[backupOptions]{"backup -", backupOptions{"-"}, true},
		parsed[backupOptions]{args: "backup"},
	)
	checkParsing(t, newRestoreCmd,
		parsed[restoreOptions]{"restore x.db", restoreOptions{"x.db"}, true},
		parsed[restoreOptions]{args: "restore a b"},
	)
}

func TestRestoreBringsBackWhatTheBackupHas(t *testing.T) {
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "copy.db")
	addUsers(t, data, "alice", "bob")
	runCommands(t, data, commandCase{args: "backup " + file})
	addUsers(t, data, "carol")
	status, piped, errs := skarod("", "backup", "-", "--data", data)
	if status != 0 || !strings.HasPrefix(piped, "SQLite format 3\x00") {
		t.Fatalf("backup -: exit %d, %s", status, errs)
	}
	logins := func() string {
		_, out, _ := skarod("", "user", "list", "-o", "text", "--data", data)
		var logins []string
		for line := range strings.Lines(out) {
			fields := strings.Fields(line)
			logins = append(logins, fields[2])
		}
		return strings.Join(logins, " ")
	}
	runCommands(t, data, commandCase{args: "restore " + file, errs: "skarod: the old database is kept as " + filepath.Join(data, "skarod.db.old-1") + "\n"})
	if got := logins(); got != "alice bob" {
		t.Errorf("after the restore of a file: %s", got)
	}
	runCommands(t, data, commandCase{in: piped, args: "restore -", errs: "skarod: the old database is kept as " + filepath.Join(data, "skarod.db.old-2") + "\n"})
	if got := logins(); got != "alice bob carol" {
		t.Errorf("after the restore of standard input: %s", got)
	}
}

func TestBackupAndRestoreRefuse(t *testing.T) {
	data, folder := t.TempDir(), t.TempDir()
	addUsers(t, data, "alice")
	foreign, database := filepath.Join(folder, "foreign"), filepath.Join(folder, "skarod.db")
	for _, file := range []string{foreign, database, database + "-wal"} {
		if err := os.WriteFile(file, []byte("not a database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runCommands(t, data,
		commandCase{args: "backup " + foreign, status: 2, errs: "\nhint: name a file that is not there yet\n"},
		commandCase{args: "restore " + foreign + "x", status: 2, errs: "\nhint: give a FILE that `skarod backup` has written\n"},
		commandCase{args: "restore " + foreign, status: 1, errs: "\nhint: give a FILE that `skarod backup` has written, not compressed\n"},
		commandCase{args: "restore " + folder, status: 2, errs: " is a folder\nhint: give a FILE that `skarod backup` has written\n"},
		commandCase{args: "restore " + foreign, status: 1, errs: ": it is not a database of skarod, or it is damaged\n"},
		commandCase{in: "", args: "restore -", status: 1, errs: "\nhint: give a FILE that `skarod backup` has written, not compressed\n"},
		commandCase{args: "restore " + database, status: 2, errs: "\nhint: put both files into a FOLDER"},
	)
	streams := terminal.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, InTerminal: true, OutTerminal: true}
	for _, command := range []string{"backup", "restore"} {
		if status := run([]string{command, "-", "--data", data}, streams, func(string) string { return "" }); status != 2 {
			t.Errorf("%s at a terminal: exit %d", command, status)
		}
	}
}
