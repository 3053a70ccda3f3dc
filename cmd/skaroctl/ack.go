package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

// Bounds of what `listen --ack` keeps and takes.
const (
	ackWindow  = 1 << 14 // messages from the first unacknowledged one on; then the server has to wait
	ackLine    = 1 << 12 // bytes in a line of FILE; a longer one is not an id
	ackNotices = 10      // about lines that acknowledge nothing
)

// ackGrace is how long to wait for acknowledgements after the reader of the output has gone:
// FILE ends then too, unless another process has it open.
const ackGrace = 2 * time.Second

// errAckEnded is the cause of a run's end after FILE has ended.
var errAckEnded = errors.New("the file of --ack has ended")

// acks are the acknowledgements of `listen --ack FILE`: they move the position. The listener
// and the goroutine that reads FILE both use them.
type acks struct {
	name   string
	open   func() (*os.File, error)
	notice func(format string, args ...any)
	save   func(position any) error
	news   chan struct{} // holds an element if the state has changed since wait looked

	noticed int // lines; only read uses it

	mu       sync.Mutex // guards the fields below
	window   []shown    // in the order of their ids; the first one is unacknowledged
	first    int64      // id that was shown in this run; zero if there is none
	last     int64      // the same for the last one
	unacked  int        // in window
	position session.Position
	known    bool  // position is set: it covers everything that was written
	err      error // why FILE is no longer read
	closed   bool  // the position is no longer ours
}

// shown is a message that was shown.
type shown struct {
	id     int64
	before session.Position // everything before the message
	known  bool             // before is set
	acked  bool
}

// newAcks prepares the reading of a file. An empty name means that there is none.
func newAcks(name string, notice func(string, ...any)) (*acks, error) {
	if name == "" {
		return nil, nil
	}
	open, err := openerOf(name)
	if err != nil {
		return nil, err
	}
	return &acks{name: name, open: open, notice: notice, news: make(chan struct{}, 1)}, nil
}

// openerOf checks the file of --ack, and returns a function that opens it. The opening of a
// FIFO lasts until it has a writer.
func openerOf(name string) (open func() (*os.File, error), err error) {
	open = func() (*os.File, error) { return os.Open(name) }
	stat := func() (os.FileInfo, error) { return os.Stat(name) }
	if n, ok := strings.CutPrefix(name, "/dev/fd/"); ok {
		fd, err := strconv.ParseUint(n, 10, 31)
		if err != nil {
			return nil, cli.Usage(fmt.Sprintf("--ack: %q is not the number of a file descriptor", n), "give the one that the consumer's acknowledgements come from, for example /dev/fd/3")
		}
		f := os.NewFile(uintptr(fd), name)
		stat, open = f.Stat, func() (*os.File, error) { return f, nil }
	}
	info, err := stat()
	switch {
	case err != nil:
		return nil, &cli.Error{Kind: cli.KindUsage, Msg: "--ack", Err: err, Hint: "make a FIFO first, with `mkfifo FILE`, or give /dev/fd/N"}
	case info.Mode().IsRegular(), info.IsDir(), info.Mode()&os.ModeDevice != 0:
		return nil, cli.Usage(fmt.Sprintf("--ack: %s is neither a FIFO nor a pipe", name), "make a FIFO with `mkfifo FILE`, or give /dev/fd/N")
	}
	return open, nil
}

// start reads FILE until its end, and returns a context that ends then too. save saves the
// position.
func (a *acks) start(ctx context.Context, save func(position any) error) context.Context {
	a.save = save
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		err := a.read()
		a.mu.Lock()
		a.err = err
		a.mu.Unlock()
		a.tell()
		cancel(err)
	}()
	return ctx
}

// read takes the acknowledgements from FILE, and returns why there are no more. Those that
// come together move the position once.
func (a *acks) read() error {
	f, err := a.open()
	if err != nil {
		return fmt.Errorf("--ack: %w", err)
	}
	in := bufio.NewReaderSize(f, ackLine)
	for long := false; ; {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = true
			continue
		case errors.Is(err, io.EOF):
			return errAckEnded // a line without an end may be a part of an id
		case err != nil:
			return fmt.Errorf("--ack: %w", err)
		case long:
			a.complain("a line has more than %d bytes", ackLine)
		default:
			a.take(strings.TrimSpace(string(line)))
		}
		long = false
		if rest, _ := in.Peek(in.Buffered()); bytes.IndexByte(rest, '\n') < 0 {
			if err := a.move(); err != nil {
				return err
			}
		}
	}
}

func (a *acks) take(text string) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		a.complain("%q is not the id of a message", proto.Excerpt(text))
		return
	}
	a.mu.Lock()
	i, found := slices.BinarySearchFunc(a.window, id, func(s shown, id int64) int { return cmp.Compare(s.id, id) })
	again := a.first != 0 && id >= a.first && id <= a.last && (i == 0 || found) // it was acknowledged before
	if found && !a.window[i].acked {
		a.window[i].acked = true
		a.unacked--
	}
	a.mu.Unlock()
	if !found && !again {
		a.complain("no message with the id %d was shown", id)
	}
}

// complain tells the user of a line that acknowledges nothing.
func (a *acks) complain(format string, args ...any) {
	a.noticed++
	switch {
	case a.noticed < ackNotices:
		a.notice("--ack: "+format, args...)
	case a.noticed == ackNotices:
		a.notice("--ack: "+format+"; further lines like that are not reported", args...)
	}
}

// move forgets what is acknowledged, and saves the position that follows from it.
func (a *acks) move() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.moveLocked()
}

// moveLocked is move for a caller that holds the lock.
func (a *acks) moveLocked() error {
	done := slices.IndexFunc(a.window, func(s shown) bool { return !s.acked })
	if done < 0 {
		done = len(a.window)
	}
	a.window = a.window[done:]
	a.tell()
	p, known := a.position, a.known && a.position.ID >= a.last
	if len(a.window) > 0 {
		p, known = a.window[0].before, a.window[0].known
	}
	if !known || a.closed {
		return nil
	}
	return a.save(p)
}

// tell wakes wait.
func (a *acks) tell() {
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// add adds a message that is about to be shown. before is the position of everything before it.
func (a *acks) add(id int64, before session.Position, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.window = append(a.window, shown{id: id, before: before, known: known})
	a.unacked++
	a.first, a.last = cmp.Or(a.first, id), id
}

// settle notes the position of everything that was written.
func (a *acks) settle(p session.Position) error {
	a.mu.Lock()
	a.position, a.known = p, true
	a.mu.Unlock()
	return a.move()
}

// room reports whether another message may be shown. The caller holds the lock.
func (a *acks) room() bool { return len(a.window) < ackWindow }

// hasRoom is room for a caller that does not hold the lock.
func (a *acks) hasRoom() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.room()
}

// complete reports whether every message is acknowledged. The caller holds the lock.
func (a *acks) complete() bool { return a.unacked == 0 }

// wait waits until enough, which is called with the lock held, reports true. Otherwise it
// returns why FILE is no longer read, or why ctx ended.
func (a *acks) wait(ctx context.Context, enough func() bool) error {
	for {
		a.mu.Lock()
		ok, err := enough(), a.err
		a.mu.Unlock()
		switch {
		case ok:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-a.news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// close moves the position for the last time, and returns how many messages are unacknowledged.
func (a *acks) close() (unacked int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.moveLocked()
	a.closed = true
	return a.unacked, err
}
