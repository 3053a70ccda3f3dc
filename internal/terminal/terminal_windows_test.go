package terminal

import (
	"os"
	"testing"

	"golang.org/x/sys/windows"
)

func TestReaderGone(t *testing.T) {
	for err, want := range map[error]bool{
		windows.ERROR_NO_DATA: true, windows.ERROR_BROKEN_PIPE: true, windows.ERROR_PIPE_NOT_CONNECTED: true,
		windows.ERROR_DISK_FULL: false, windows.ERROR_INVALID_HANDLE: false,
	} {
		if got := ReaderGone(&os.PathError{Op: "write", Err: err}); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
