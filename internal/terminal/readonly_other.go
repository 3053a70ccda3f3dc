//go:build unix && !linux && !darwin && !freebsd

package terminal

// ReadOnly reports false: no mount counts as read-only.
func ReadOnly(int) bool { return false }
