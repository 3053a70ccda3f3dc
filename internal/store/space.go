package store

import (
	"context"
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

// UnusedBytes returns how many bytes deleted messages have left in the database file. What is
// stored next goes there.
func (s *Store) UnusedBytes(ctx context.Context) (uint64, error) {
	var unused uint64
	err := s.read.QueryRowContext(ctx, "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size").Scan(&unused)
	return unused, err
}
