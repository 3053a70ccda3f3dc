//go:build !linux

package store

import "context"

// lockItself does nothing: outside of Linux, a lock of the whole file would keep SQLite out.
func lockItself(context.Context, string) (unlock func() error, err error) {
	return func() error { return nil }, nil
}
