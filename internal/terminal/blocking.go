package terminal

import (
	"io"
	"os"
)

// Another program that shares a standard stream, such as ssh or node, may set O_NONBLOCK
// on it at any time: the flag belongs to the pipe or terminal and not to one process. A
// read or write that would wait then fails. The types here wait instead.

// BlockingReader returns a reader that waits for input even if another program has made
// the file non-blocking.
func BlockingReader(in io.Reader) io.Reader {
	if f, ok := in.(*os.File); ok {
		return blockingFile{f}
	}
	return in
}

// blockingWriter is BlockingReader for output.
func blockingWriter(out io.Writer) io.Writer {
	if f, ok := out.(*os.File); ok {
		return blockingFile{f}
	}
	return out
}

// blockingFile is a file that waits as if it were blocking.
type blockingFile struct{ *os.File }

// Read reads what is there, or waits for it.
func (f blockingFile) Read(b []byte) (int, error) {
	for {
		n, err := f.File.Read(b)
		if n > 0 || !wouldBlock(err) || !f.wait(readable) {
			return n, err
		}
	}
}

// Write writes all of b.
func (f blockingFile) Write(b []byte) (written int, err error) {
	for {
		n, err := f.File.Write(b[written:])
		written += n
		if !wouldBlock(err) || !f.wait(writable) {
			return written, err
		}
	}
}

// wait returns when the file is ready for the next call. It reports whether waiting is
// possible.
func (f blockingFile) wait(ready readiness) bool { return awaitReady(descriptor(f.File), ready) }
