package main

import (
	"context"
	"io"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// readerPause is how often to look whether a pipe has a reader: Windows has no call that
// waits for its end.
const readerPause = 250 * time.Millisecond

// watchReader calls gone if w is a pipe and its reader goes away, even while nothing is
// written. It returns at the end of ctx at the latest.
func watchReader(ctx context.Context, w io.Writer, gone func()) {
	f, ok := w.(*os.File)
	if !ok {
		return
	}
	pipe := windows.Handle(f.Fd())
	if kind, err := windows.GetFileType(pipe); err != nil || kind != windows.FILE_TYPE_PIPE {
		return
	}
	pause := time.NewTicker(readerPause)
	defer pause.Stop()
	for {
		state, err := pipeState(pipe)
		if err != nil { // a socket: the next write finds out
			return
		}
		if state != pipeConnected {
			gone()
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// pipeConnected is the state of a pipe with both ends (FILE_PIPE_CONNECTED_STATE).
const pipeConnected = 3

// pipeState returns the state of a pipe. The Windows API has no function for it, and the
// calls that fail at a closed pipe need an end that can be read.
func pipeState(pipe windows.Handle) (uint32, error) {
	const class = 24         // FilePipeLocalInformation
	var information struct { // FILE_PIPE_LOCAL_INFORMATION
		_     [8]uint32
		State uint32
		_     uint32
	}
	var status windows.IO_STATUS_BLOCK
	err := windows.NtQueryInformationFile(pipe, &status, (*byte)(unsafe.Pointer(&information)), uint32(unsafe.Sizeof(information)), class)
	return information.State, err
}
