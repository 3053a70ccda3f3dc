//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// After the end of the command, the signal that has ended it still belongs to it, whenever it
// comes, and so does any other one that comes at once. The next one ends the sending.
func TestRelayGivesSignalsBackAfterTheEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		before os.Signal // came while the command ran; nil means none
		after  time.Duration
		signal os.Signal
		taken  bool
	}{
		{"at once", 1, nil, sameSignal - 1, syscall.SIGINT, true},
		{"later", 1, nil, sameSignal, syscall.SIGINT, false},
		{"later, the one that ended it", 130, nil, time.Hour, syscall.SIGINT, true},
		{"later, and it had come before", 130, syscall.SIGINT, sameSignal, syscall.SIGINT, false},
		{"later, another one", 130, nil, sameSignal, syscall.SIGTERM, false},
		{"later, one that ends nothing", 0, nil, time.Hour, syscall.SIGUSR1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRelay()
			if c.before != nil {
				r.seen[c.before] = true
			}
			r.giveBack(c.status)
			time.Sleep(c.after)
			if got := r.take(c.signal); got != c.taken {
				t.Errorf("%s: %v", c.name, got)
			}
			time.Sleep(sameSignal)
			if ends(c.signal) && r.take(c.signal) {
				t.Errorf("%s: the next one is taken too", c.name)
			}
		})
	}
}

func TestSignalOfNamesTheSignalOfAStatus(t *testing.T) {
	for status, want := range map[int]os.Signal{0: nil, 127: nil, 128: nil, 130: syscall.SIGINT, 143: syscall.SIGTERM, 255: nil} {
		if got := signalOf(status); got != want {
			t.Errorf("%d: %v", status, got)
		}
	}
}

// A file that is no terminal has no foreground, so a signal does not come from it, and the command
// gets the signal.
func TestOnlyATerminalHasAForeground(t *testing.T) {
	for _, name := range []string{os.DevNull, "/missing"} {
		if inForeground(name) {
			t.Errorf("this process is in the foreground of %s", name)
		}
	}
}
