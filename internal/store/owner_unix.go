//go:build unix

package store

import (
	"os"
	"path/filepath"
	"syscall"
)

// GiveToOwner gives a file that root has just made to whoever has the database, or its
// folder where there is no database yet: a server that is not root has to open it. It is
// given by its descriptor: who has the folder might put another in the place of its name.
func GiveToOwner(file *os.File, database string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	owned, err := os.Stat(database)
	if err != nil {
		owned, err = os.Stat(filepath.Dir(database))
	}
	if err != nil {
		return err
	}
	if who, ok := owned.Sys().(*syscall.Stat_t); ok {
		return file.Chown(int(who.Uid), int(who.Gid))
	}
	return nil
}
