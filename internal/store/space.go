package store

import (
	"os"
	"path/filepath"
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
