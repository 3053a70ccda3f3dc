package main

import (
	"os"
	"os/exec"
	"sync"
	"time"
)

// relay passes the signals of this process on to a command. When the command has ended, it
// gives the signals back, so that the next one ends the sending of the message.
type relay struct {
	mu      sync.Mutex
	state   relayState
	process *os.Process
	waiting []os.Signal // came before the command was started
	seen    map[os.Signal]bool
	late    os.Signal // ended the command, and is still on its way to this process; nil if there is none
	end     time.Time // of the command
}

// relayState says what a relay does with signals.
type relayState int

const (
	relayWaiting relayState = iota // it keeps them for the command
	relayRunning                   // it passes them on
	relayEnded                     // it gives them back
)

// sameSignal is how long after the end of the command a signal counts as one that has ended
// it: a terminal signals the command and this process, in no fixed order.
const sameSignal = 200 * time.Millisecond

func newRelay() *relay { return &relay{seen: map[os.Signal]bool{}} }

// start starts the command, which then gets the signals.
func (r *relay) start(cmd *exec.Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.state, r.process = relayRunning, cmd.Process
	for _, s := range r.waiting {
		_ = r.process.Signal(s) // it may have just ended
	}
	return nil
}

// giveBack gives the signals back. status is the exit status of the command, which may name the
// signal that has ended it.
func (r *relay) giveBack(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.end = relayEnded, time.Now()
	if s := signalOf(status); s != nil && !r.seen[s] {
		r.late = s
	}
}

// take deals with a signal, or reports false if it is to end the sending of the message.
func (r *relay) take(s os.Signal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state == relayWaiting:
		r.waiting = append(r.waiting, s)
	case r.state == relayRunning:
		r.seen[s] = true
		if !reachesGroup(s) {
			_ = r.process.Signal(s)
		}
	case s == r.late:
		r.late = nil
	case !ends(s), time.Since(r.end) < sameSignal:
	default:
		return false
	}
	return true
}
