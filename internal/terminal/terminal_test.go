package terminal

import (
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestSignals: a signal that comes twice at once is one. A later one goes to who waits
// for it, and ends the program where nobody does. A SIGHUP that was taken does nothing.
func TestSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taken := new(atomic.Bool)
		signals, done := make(chan os.Signal, 2), make(chan struct{})
		var first *Interrupt
		interrupts := 0
		ended := 0
		go follow(signals, done, taken, func(i *Interrupt) { first = i; interrupts++ }, func(status int) { ended = status })
		send := func(s os.Signal) {
			signals <- s
			synctest.Wait()
		}
		taken.Store(true)
		send(syscall.SIGHUP)
		if interrupts != 0 || ended != 0 {
			t.Fatalf("%d interrupts; ended with %d", interrupts, ended)
		}
		taken.Store(false)
		send(syscall.SIGHUP)
		send(syscall.SIGTERM) // of timeout(1), say
		if interrupts != 1 || first.Status() != 129 || ended != 0 {
			t.Fatalf("%d interrupts, the first with %d; ended with %d", interrupts, first.Status(), ended)
		}
		time.Sleep(oneInterrupt + 1)
		synctest.Wait()
		got := make(chan os.Signal, 1)
		go func() { got <- <-first.Again() }()
		synctest.Wait()
		send(os.Interrupt)
		if s := <-got; s != os.Interrupt || ended != 0 {
			t.Fatalf("got %v, ended with %d", s, ended)
		}
		send(syscall.SIGTERM)
		if ended != 0 {
			t.Errorf("ended with %d", ended)
		}
		time.Sleep(oneInterrupt + 1)
		synctest.Wait()
		send(syscall.SIGTERM)
		if ended != 143 {
			t.Errorf("ended with %d", ended)
		}
		close(done)
	})
}
