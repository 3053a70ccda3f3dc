package store

import (
	"errors"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// Size returns how many bytes the database has, with its write-ahead log.
func (s *Store) Size() int64 {
	var size int64
	for _, file := range []string{s.path, s.path + "-wal"} {
		if info, err := os.Stat(file); err == nil {
			size += info.Size()
		}
	}
	return size
}

// FreeBytes returns how many bytes the file system of the database has left for its owner.
func (s *Store) FreeBytes() (uint64, error) { return freeBytes(filepath.Dir(s.path)) }

// reasons say in words what an SQLite error means to an operator, by its primary result code.
var reasons = map[int]string{
	5:  "another process has locked the database",
	6:  "another process has locked the database",
	8:  "the database can't be written",
	10: "the disk fails",
	11: "the database is damaged",
	13: "the disk is full",
	26: "the database is damaged",
}

// Reason says why a write failed.
func Reason(err error) string {
	var e *sqlite.Error
	if errors.As(err, &e) && reasons[e.Code()&0xff] != "" {
		return reasons[e.Code()&0xff]
	}
	return err.Error()
}
