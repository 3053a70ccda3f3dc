package terminal

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Two signals at once count as one. A later one goes to the receiver of Next, and ends the
// program if there is none. A SIGHUP that Hangups receives does nothing here.
func TestLaterSignalsGoToTheReceiverOrEndTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first *Interrupt
		interrupts := 0
		ended := 0
		signals := &Signals{
			received: make(chan os.Signal, 2),
			stop:     make(chan struct{}),
			cancel:   func(cause error) { errors.As(cause, &first); interrupts++ },
			exit:     func(status int) { ended = status },
		}
		go signals.follow()
		send := func(s os.Signal) {
			signals.received <- s
			synctest.Wait()
		}
		signals.hangupsTaken.Store(true)
		send(syscall.SIGHUP)
		if interrupts != 0 || ended != 0 {
			t.Fatalf("%d interrupts; ended with %d", interrupts, ended)
		}
		signals.hangupsTaken.Store(false)
		send(syscall.SIGHUP)
		send(syscall.SIGTERM) // of timeout(1), say
		if interrupts != 1 || first.ExitStatus() != 129 || ended != 0 {
			t.Fatalf("%d interrupts, the first with %d; ended with %d", interrupts, first.ExitStatus(), ended)
		}
		time.Sleep(sameInterrupt + 1)
		synctest.Wait()
		got := make(chan os.Signal, 1)
		go func() { got <- <-first.Next() }()
		synctest.Wait()
		send(os.Interrupt)
		if s := <-got; s != os.Interrupt || ended != 0 {
			t.Fatalf("got %v, ended with %d", s, ended)
		}
		send(syscall.SIGTERM)
		if ended != 0 {
			t.Errorf("ended with %d", ended)
		}
		time.Sleep(sameInterrupt + 1)
		synctest.Wait()
		send(syscall.SIGTERM)
		if ended != 143 {
			t.Errorf("ended with %d", ended)
		}
		close(signals.stop)
	})
}

// A signal that the function of Divert deals with ends nothing.
func TestDivertTakesSignalsBeforeTheyEndTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		interrupts := 0
		signals := &Signals{
			received: make(chan os.Signal, signalBuffer),
			stop:     make(chan struct{}),
			cancel:   func(error) { interrupts++ },
			exit:     func(status int) { t.Errorf("ended with %d", status) },
		}
		go signals.follow()
		var got []os.Signal
		running := true
		Divert(context.WithValue(t.Context(), signalsKey{}, signals), func(s os.Signal) bool {
			got = append(got, s)
			return running
		})
		for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
			signals.received <- s
		}
		synctest.Wait()
		if len(got) != 3 || interrupts != 0 {
			t.Errorf("%v, %d interrupts", got, interrupts)
		}
		running = false
		signals.received <- syscall.SIGTERM
		synctest.Wait()
		if len(got) != 4 || interrupts != 1 {
			t.Errorf("%v, %d interrupts", got, interrupts)
		}
		close(signals.stop)
	})
	Divert(t.Context(), nil) // a context of a test takes no signals
}

func TestInterruptHasTheNameAndTheStatusOfItsSignal(t *testing.T) {
	for signal, want := range map[os.Signal]struct {
		name   string
		status int
	}{
		os.Interrupt: {"SIGINT", 130}, syscall.SIGTERM: {"SIGTERM", 143}, syscall.SIGHUP: {"SIGHUP", 129},
		syscall.SIGQUIT: {"SIGQUIT", 131}, syscall.SIGALRM: {syscall.SIGALRM.String(), 142},
	} {
		i := &Interrupt{Signal: signal}
		if i.Name() != want.name || i.ExitStatus() != want.status {
			t.Errorf("%v: %s, %d", signal, i.Name(), i.ExitStatus())
		}
		if want := "interrupted (" + signal.String() + ")"; i.Error() != want {
			t.Errorf("%q, not %q", i, want)
		}
	}
}

// Without a signal, Stop ends the context with no cause of its own, and every goroutine.
func TestStopEndsTheContext(t *testing.T) {
	ctx, signals := CatchSignals(t.Context())
	<-signals.Caught()
	if ctx.Err() != nil {
		t.Fatal(ctx.Err())
	}
	signals.Stop()
	if cause := context.Cause(ctx); cause != context.Canceled {
		t.Error(cause)
	}
}
