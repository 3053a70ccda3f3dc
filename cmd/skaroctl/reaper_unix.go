//go:build unix

package main

import (
	"errors"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper reaps the processes that commands of --exec have left behind. In a container
// without an init this program is process 1, so they become its children, and would stay as
// zombies. A nil reaper does nothing.
type reaper struct {
	mu sync.Mutex // held while a command runs: os/exec waits for that one
}

// newReaper returns nil if this process is not process 1.
func newReaper() *reaper {
	if os.Getpid() != 1 {
		return nil
	}
	return &reaper{}
}

// start starts the goroutine that reaps between commands. stop waits for its end.
func (r *reaper) start() (stop func()) {
	if r == nil {
		return func() {}
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ended:
				r.pause()()
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(ended)
		close(done)
		running.Wait()
	}
}

// pause keeps the reaper from waiting for a command, until resume, which reaps what the
// command has left.
func (r *reaper) pause() (resume func()) {
	if r == nil {
		return func() {}
	}
	r.mu.Lock()
	return func() {
		defer r.mu.Unlock()
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}
}
