package main

import (
	"context"
	"os"
	"testing"
	"time"
)

// The watcher notices a reader that goes away while nothing is written, and ends with its
// context otherwise.
func TestWatchReaderNoticesReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	gone := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watchReader(ctx, w, func() { close(gone) })
	}()
	r.Close()
	select {
	case <-gone:
	case <-ctx.Done():
		t.Error("the reader went away, and was not noticed")
	}
	<-ended
	r, w2, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w2.Close()
	stopped, stop := context.WithCancel(context.Background())
	stop()
	watchReader(stopped, w2, func() { t.Error("the reader is still there") })
}
