//go:build unix

package terminal

import (
	"bytes"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// sharedPipe makes a pipe with ends as a program inherits them: the files of the test don't
// know of later changes of the flags.
func sharedPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "read end"), os.NewFile(uintptr(fds[1]), "write end")
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// setNonblock makes a file non-blocking, as another program that shares it would.
func setNonblock(t *testing.T, f *os.File) {
	t.Helper()
	if err := unix.SetNonblock(descriptor(f), true); err != nil {
		t.Fatal(err)
	}
}

func TestBlockingReaderWaitsOnANonblockingPipe(t *testing.T) {
	r, w := sharedPipe(t)
	setNonblock(t, r)
	if _, err := r.Read(make([]byte, 1)); !wouldBlock(err) {
		t.Fatalf("the pipe is not non-blocking: %v", err)
	}
	got := make(chan []byte)
	go func() {
		b, err := io.ReadAll(BlockingReader(r))
		if err != nil {
			t.Error(err)
		}
		got <- b
	}()
	for _, part := range []string{"one ", "two"} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	if b := <-got; string(b) != "one two" {
		t.Errorf("%q", b)
	}
}

// The pipe is full when its flag changes, and the write is longer than any pipe.
func TestInterruptibleWriterWaitsOnAFullNonblockingPipe(t *testing.T) {
	r, w := sharedPipe(t)
	setNonblock(t, w)
	full := 0
	for {
		n, err := w.Write(make([]byte, 4096))
		full += n
		if wouldBlock(err) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text := bytes.Repeat([]byte("a line of output\n"), 1<<16)
	wrote := make(chan error)
	go func() {
		n, err := NewInterruptibleWriter(t.Context(), w, 0, nil).Write(text)
		if n != len(text) {
			t.Errorf("%d of %d bytes", n, len(text))
		}
		w.Close()
		wrote <- err
	}()
	b, err := io.ReadAll(r)
	if err != nil || len(b) != full+len(text) || !bytes.Equal(b[full:], text) {
		t.Errorf("%d of %d bytes came, %v", len(b), full+len(text), err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

func TestBlockingWriterNoticesThatTheReaderHasGone(t *testing.T) {
	r, w := sharedPipe(t)
	setNonblock(t, w)
	wrote := make(chan error)
	go func() {
		_, err := blockingWriter(w).Write(make([]byte, 1<<20))
		wrote <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := <-wrote; !ReaderGone(err) {
		t.Error(err)
	}
}
