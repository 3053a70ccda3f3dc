package cork

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// record is a connection that counts writes.
type record struct {
	net.Conn
	writes [][]byte
	err    error
}

func (r *record) Write(b []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(b))
	return len(b), r.err
}

func TestCorkHoldsSmallWritesBack(t *testing.T) {
	r := &record{}
	c := &Conn{Conn: r}
	write := func(s string) {
		if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
	}
	write("a")
	c.Cork()
	write("b")
	write("c")
	if len(r.writes) != 1 {
		t.Errorf("written while corked: %q", r.writes)
	}
	if err := c.Uncork(); err != nil {
		t.Error(err)
	}
	write("d")
	if got := bytes.Join(r.writes, []byte("|")); string(got) != "a|bc|d" {
		t.Errorf("written: %s", got)
	}
	// A corked connection holds back a bounded amount.
	c.Cork()
	write(string(make([]byte, maxHeld-1)))
	write("xy")
	if n := len(r.writes); n != 4 || len(r.writes[3]) != maxHeld+1 {
		t.Errorf("%d writes", n)
	}
}

func TestUncorkReportsEarlierWrite(t *testing.T) {
	broken := errors.New("broken")
	c := &Conn{Conn: &record{err: broken}}
	c.Cork()
	if _, err := c.Write([]byte("a")); err != nil {
		t.Error(err)
	}
	if err := c.Uncork(); !errors.Is(err, broken) {
		t.Errorf("uncork: %v", err)
	}
	if _, err := c.Write([]byte("a")); !errors.Is(err, broken) {
		t.Errorf("write: %v", err)
	}
}

// OnWait is called when a write waits for the peer, and when it has ended. A write that the
// system takes at once does not wait.
func TestOnWaitIsToldOfWritesThatWait(t *testing.T) {
	near, far := net.Pipe() // takes nothing at once
	var told []bool
	waits := make(chan struct{}, 1)
	c := &Conn{Conn: near, WriteTime: time.Hour, OnWait: func(w bool) {
		told = append(told, w)
		if w {
			waits <- struct{}{}
		}
	}}
	text := strings.Repeat("0123456789", 5000)
	c.Cork()
	for part := range slices.Chunk([]byte(text), 1000) {
		if _, err := c.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 0 {
		t.Error("it waits while it is corked")
	}
	ended := make(chan error, 1)
	go func() {
		ended <- c.Uncork()
		near.Close()
	}()
	<-waits
	got, err := io.ReadAll(far)
	if err := errors.Join(err, <-ended); err != nil || string(got) != text || !slices.Equal(told, []bool{true, false}) {
		t.Errorf("%d bytes, %v; told %v", len(got), err, told)
	}
}

// deadlines is a connection that counts the deadlines that are set for it.
type deadlines struct {
	net.Conn
	set int
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() {
		d.set++
	}
	return d.Conn.SetWriteDeadline(t)
}

// A slow peer has WriteTime for each piece, so a large write may take longer than that.
func TestEachPieceHasItsOwnTime(t *testing.T) {
	near, far := net.Pipe()
	conn := &deadlines{Conn: near}
	c := &Conn{Conn: conn, WriteTime: time.Hour, OnWait: func(bool) {}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, far)
	}()
	_, err := c.Write(make([]byte, 10*piece))
	near.Close()
	<-read
	if err != nil || conn.set != 10 {
		t.Errorf("%d deadlines for 10 pieces, %v", conn.set, err)
	}
}

func TestWriteThatTheSystemTakesDoesNotWait(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there, every write counts as one that waits; how to enable it: run it on another system")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	waits := 0
	c := &Conn{Conn: conn, WriteTime: time.Millisecond, OnWait: func(bool) { waits++ }}
	if _, err := c.Write([]byte("a")); err != nil || waits != 0 {
		t.Errorf("waits %d times, %v", waits, err)
	}
	// The peer never reads: WriteTime ends what waits.
	for err == nil {
		_, err = c.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || waits == 0 {
		t.Errorf("waits %d times, %v", waits, err)
	}
}
