package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

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
	}{"many": {"x", inboxSize}, "large": {strings.Repeat("x", inboxBytes/2), 2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in, closing := newInbox(), make(chan struct{})
				push := newPush(t, map[string]any{"type": "info", "info": c.body})
				reader := make(chan struct{})
				go func() {
					defer close(reader)
					for range c.fits + 3 {
						in.push(push, closing)
					}
				}()
				synctest.Wait()
				if n := len(in.queue); n != c.fits {
					t.Errorf("the reader waits after %d pushes, not %d", n, c.fits)
				}
				for range 2 {
					in.take(<-in.queue)
					synctest.Wait()
					if n := len(in.queue); n != c.fits {
						t.Errorf("%d pushes after one was taken, not %d", n, c.fits)
					}
				}
				close(closing)
				<-reader
			})
		})
	}
}

// No push follows one that was left out because the connection is closing, even if there is
// room again: the position would pass over the one that was left out.
func TestInboxTakesNothingAfterClosing(t *testing.T) {
	in, closing := newInbox(), make(chan struct{})
	close(closing)
	for range 100 {
		in.push(newPush(t, incoming(1)), closing)
	}
	if n := len(in.queue); n != 0 {
		t.Errorf("%d pushes are queued", n)
	}
}

// What is pushed before a reply, and can't be fetched later, is held up to a bound. Then the
// connection is not read: the pushes stay in the inbox, and the server has to wait.
func TestAwaitHoldsOnlySoMuch(t *testing.T) {
	name := func(i int) string { return fmt.Sprint("user", i) }
	for test, c := range map[string]struct {
		fits    int // pushes that are taken
		left    int // pushes that are left in the inbox
		taker   taker
		message func(i int) map[string]any
	}{
		"without ids": {heldMost + 1, inboxSize, &arrivals{}, func(i int) map[string]any { return message(0, "bob", "alice", "x") }},
		"large logins": {5, 3, &arrivals{}, func(i int) map[string]any {
			return message(0, strings.Repeat("l", heldBytes/4), "alice", "")
		}},
		"large extra fields": {5, 3, &arrivals{}, func(i int) map[string]any {
			m := message(0, "bob", "alice", "")
			m["x"] = map[string]any{"y": []any{strings.Repeat("z", heldBytes/4)}}
			return m
		}},
		"of many dialogs": {2 * heldMost, inboxSize, &round{own: "alice"}, func(i int) map[string]any { return message(0, name(i), "alice", "x") }},
		"of dialogs with long names": {heldMost + 4, 3, &round{own: "alice"}, func(i int) map[string]any {
			if i < heldMost {
				return message(0, "bob", "alice", "x")
			}
			return message(0, name(i)+strings.Repeat("l", namesBytes/4), "alice", "x")
		}},
	} {
		t.Run(test, func(t *testing.T) {
			sub := &subscription{own: "alice", inbox: newInbox()}
			_, err := sub.await(bounded(t), c.taker, func(ctx context.Context) (proto.Reply, error) {
				for i := range c.fits + c.left {
					sub.inbox.push(newPush(t, c.message(i)), ctx.Done())
				}
				return proto.Reply{}, ctx.Err()
			})
			if left := len(sub.inbox.queue); err != nil || left != c.left {
				t.Errorf("%v, and %d pushes are left in the inbox, not %d", err, left, c.left)
			}
		})
	}
}

// A push that came before the end of the connection is taken, whichever is noticed first.
func TestAwaitTakesWhatCameBeforeTheEnd(t *testing.T) {
	push, lost := newPush(t, pushed(said("bob", "early", 1))), errors.New("the connection is lost")
	for range 50 {
		sub := &subscription{own: "alice", inbox: newInbox()}
		b := &beginning{subscription: sub}
		b.positionFirst = true // it is held
		_, err := sub.await(t.Context(), b, func(context.Context) (proto.Reply, error) {
			sub.inbox.push(push, nil)
			return proto.Reply{}, lost
		})
		if !errors.Is(err, lost) || len(b.messages) != 1 {
			t.Fatalf("%v, and %d messages are held", err, len(b.messages))
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
