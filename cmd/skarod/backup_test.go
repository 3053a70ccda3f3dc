package main

import (
	"testing"
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
