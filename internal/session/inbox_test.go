package session

import (
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// newPush returns a push as the reader gets it.
func newPush(t *testing.T, fields map[string]any) proto.Frame {
	t.Helper()
	b, err := proto.Encode(fields)
	if err != nil {
		t.Fatal(err)
	}
	f, err := proto.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A full inbox holds the reader back, until the listener takes a push out or the
// connection is closed. It is full with many pushes, or with few large ones.
func TestInboxHoldsReaderBack(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		fits int // pushes before the reader waits
	}{"many": {"x", inboxSize}, "large": {strings.Repeat("x", inboxBytes), 1}} {
		in, closing := newInbox(), make(chan struct{})
		push := newPush(t, map[string]any{"type": "info", "info": c.body})
		for range c.fits {
			in.push(push, closing)
		}
		pushed := make(chan struct{})
		go func() {
			defer close(pushed)
			in.push(push, closing)
			in.push(push, closing)
		}()
		select {
		case <-pushed:
			t.Errorf("%s: the reader did not wait", name)
		default:
		}
		for range 2 {
			in.take(<-in.queue)
		}
		<-pushed
		close(closing)
		for range 2 * inboxSize {
			in.push(push, closing) // no room, and no wait
		}
		if len(in.queue) > inboxSize {
			t.Errorf("%s: %d pushes wait", name, len(in.queue))
		}
	}
}

// During a backfill the inbox leaves out messages with an id, and nothing else. The
// backfill ends when the updates contain all of them.
func TestInboxLeavesOutMessagesDuringBackfill(t *testing.T) {
	in := newInbox()
	in.beginBackfill()
	for _, fields := range []map[string]any{incoming(7), incoming(5), incoming(9), message(0, "bob", "alice", "no id"), {"type": "info", "info": "x"}} {
		in.push(newPush(t, fields), nil)
	}
	if len(in.queue) != 2 {
		t.Errorf("%d pushes are queued", len(in.queue))
	}
	if done, lowest := in.endBackfill(8); done || lowest != 5 {
		t.Errorf("up to 8: %v, %d", done, lowest)
	}
	if done, lowest := in.endBackfill(9); !done || lowest != 5 {
		t.Errorf("up to 9: %v, %d", done, lowest)
	}
	if in.push(newPush(t, incoming(10)), nil); len(in.queue) != 3 {
		t.Errorf("%d pushes are queued after the backfill", len(in.queue))
	}
}
