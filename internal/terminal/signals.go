package terminal

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// Interrupt is the cause of a context that a signal ended.
type Interrupt struct {
	Signal os.Signal

	next chan os.Signal
}

// Error names the signal in the words of the system.
func (i *Interrupt) Error() string { return "interrupted (" + i.Signal.String() + ")" }

// Name is the signal's name, like SIGTERM.
func (i *Interrupt) Name() string {
	switch i.Signal {
	case os.Interrupt:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGQUIT:
		return "SIGQUIT"
	}
	return i.Signal.String()
}

// Next delivers the signals after this one to a receiver that is waiting. A signal that
// finds no receiver ends the program at once.
func (i *Interrupt) Next() <-chan os.Signal { return i.next }

// ExitStatus is the exit status after the signal, as a shell has it: 130 for SIGINT.
func (i *Interrupt) ExitStatus() int {
	number, _ := i.Signal.(syscall.Signal)
	return 128 + int(number)
}

// sameInterrupt is how long after a signal others count as the same one: timeout(1)
// sends its signal to the process and then to the group, and programs like make and npm
// pass on a signal that the terminal has sent to the whole group.
const sameInterrupt = 200 * time.Millisecond

// Signals catches the signals that end the program. One goroutine, started by
// CatchSignals and ended by Stop, receives them.
type Signals struct {
	received chan os.Signal
	caught   chan struct{} // closed when the process catches signals
	stop     chan struct{}
	stopped  chan struct{}
	cancel   context.CancelCauseFunc
	exit     func(status int)

	hangupsTaken atomic.Bool                          // Hangups receives SIGHUP
	diverted     atomic.Pointer[func(os.Signal) bool] // the function of Divert; nil means none
	ignoresInt   bool                                 // SIGINT was ignored at the start; set before caught is closed
}

// signalBuffer is how many signals wait for the goroutine of Signals, which takes each at once.
const signalBuffer = 16

type signalsKey struct{}

// CatchSignals returns a context that SIGINT, SIGTERM, SIGHUP and SIGQUIT end, with an
// *Interrupt as its cause. If SIGHUP is ignored at the start, as by nohup(1), it stays so.
// A write to a pipe without a reader becomes an error (see ReaderGone).
func CatchSignals(parent context.Context) (context.Context, *Signals) {
	s := &Signals{
		received: make(chan os.Signal, signalBuffer),
		caught:   make(chan struct{}),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
		exit:     os.Exit,
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, signalsKey{}, s))
	s.cancel = cancel
	go func() {
		defer close(s.stopped)
		s.catch()
		s.follow()
	}()
	return ctx, s
}

// Caught is closed when the signals are caught. That takes a quarter of a millisecond,
// in which the caller can do other things.
func (s *Signals) Caught() <-chan struct{} { return s.caught }

// Stop ends the context, and waits for the goroutine.
func (s *Signals) Stop() {
	close(s.stop)
	<-s.stopped
	signal.Stop(s.received)
	s.cancel(nil)
}

// Hangups takes SIGHUP out of the signals that end ctx, a context of CatchSignals: each
// SIGHUP comes on the channel instead, even if it was ignored at the start.
func Hangups(ctx context.Context) <-chan os.Signal {
	if s, ok := ctx.Value(signalsKey{}).(*Signals); ok {
		s.hangupsTaken.Store(true)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups
}

// Divert passes every signal that would end ctx, a context of CatchSignals, to take instead,
// and also those in more, which end nothing. If take reports false, it has not dealt with the
// signal, which then ends ctx. If SIGINT was ignored at the start, as by a shell in a script
// with &, it is ignored from now on, and in programs that this one starts.
func Divert(ctx context.Context, take func(os.Signal) bool, more ...os.Signal) {
	s, ok := ctx.Value(signalsKey{}).(*Signals)
	if !ok {
		return
	}
	s.diverted.Store(&take)
	for _, sig := range more {
		if !signal.Ignored(sig) {
			signal.Notify(s.received, sig)
		}
	}
	if s.ignoresInt {
		signal.Ignore(os.Interrupt)
	}
}

// divert gives a signal to the function of Divert, if there is one.
func (s *Signals) divert(sig os.Signal) bool {
	take := s.diverted.Load()
	return take != nil && (*take)(sig)
}

func (s *Signals) catch() {
	s.ignoresInt = signal.Ignored(os.Interrupt)
	ending := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		ending = append(ending, syscall.SIGHUP)
	}
	signal.Notify(s.received, ending...)
	catchPipe()
	close(s.caught)
}

// follow ends the context at the first signal and passes later ones to the receiver of
// Next. If there is none, it ends the program.
func (s *Signals) follow() {
	var first *Interrupt
	var same <-chan time.Time // not nil while further signals count as the last one
	for {
		select {
		case sig := <-s.received:
			switch {
			case sig == syscall.SIGHUP && s.hangupsTaken.Load(), s.divert(sig):
			case first == nil:
				first = &Interrupt{sig, make(chan os.Signal)}
				same = time.After(sameInterrupt)
				s.cancel(first)
			case same == nil:
				select {
				case first.next <- sig:
					same = time.After(sameInterrupt)
				default:
					s.exit((&Interrupt{Signal: sig}).ExitStatus())
				}
			}
		case <-same:
			same = nil
		case <-s.stop:
			return
		}
	}
}
