package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
)

// testAcks are acks whose file is a pipe.
type testAcks struct {
	*acks
	t       *testing.T
	ctx     context.Context
	w       *os.File
	notices []string
	saved   []int64 // ids
}

func newTestAcks(t *testing.T) *testAcks {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a := &testAcks{t: t, w: w}
	a.acks = &acks{
		name: "acks", open: func() (*os.File, error) { return r, nil }, news: make(chan struct{}, 1),
		notice: func(format string, args ...any) { a.notices = append(a.notices, fmt.Sprintf(format, args...)) },
	}
	a.ctx = a.start(t.Context(), func(p any) error {
		if id := p.(session.Position).ID; len(a.saved) == 0 || a.saved[len(a.saved)-1] != id {
			a.saved = append(a.saved, id)
		}
		return nil
	})
	t.Cleanup(func() { w.Close(); <-a.ctx.Done(); r.Close() })
	return a
}

// shows adds messages as the listener does, and settles them.
func (a *testAcks) shows(ids ...int64) {
	for _, id := range ids {
		a.add(id, session.Position{ID: id - 1}, true)
	}
	if err := a.settle(session.Position{ID: ids[len(ids)-1]}); err != nil {
		a.t.Error(err)
	}
}

// ends writes lines, ends the file, and returns how many messages are unacknowledged.
func (a *testAcks) ends(text string) int {
	if _, err := a.w.WriteString(text); err != nil {
		a.t.Error(err)
	}
	a.w.Close()
	<-a.ctx.Done()
	if err := context.Cause(a.ctx); err != errAckEnded {
		a.t.Error(err)
	}
	unacked, err := a.close()
	if err != nil {
		a.t.Error(err)
	}
	return unacked
}

// The position is the highest id up to which everything is acknowledged.
func TestAcksMoveThePosition(t *testing.T) {
	for name, c := range map[string]struct {
		lines   string
		last    int64 // position
		unacked int
		notices []string
	}{
		"nothing":           {"", 4, 4, nil},
		"in order":          {"5\n6\n", 6, 2, nil},
		"in disorder":       {"8\n5\n7\n6\n", 9, 0, nil},
		"a gap":             {"5\n7\n8\n", 5, 1, nil},
		"twice":             {"5\n5\n7\n7\n", 5, 2, nil},
		"a part of a line":  {"5\n6", 5, 3, nil},
		"not shown":         {"4\n9\n-1\n5\n", 5, 3, []string{"--ack: no message with the id 4 was shown", "--ack: no message with the id 9 was shown", "--ack: no message with the id -1 was shown"}},
		"no id":             {"x\n99999999999999999999\n 5 \r\n", 5, 3, []string{`--ack: "x" is not the id of a message`, `--ack: "99999999999999999999" is not the id of a message`}},
		"a line too long":   {strings.Repeat("5", 2*ackLine) + "\n5\n", 5, 3, []string{"--ack: a line has more than 4096 bytes"}},
		"a line that fills": {strings.Repeat(" ", ackLine-2) + "5\n6\n", 6, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAcks(t)
			a.shows(5, 6, 7, 8)
			if err := a.settle(session.Position{ID: 9}); err != nil { // 9 was left out by a filter
				t.Error(err)
			}
			unacked := a.ends(c.lines)
			if got := a.saved[len(a.saved)-1]; got != c.last || unacked != c.unacked || !slices.IsSorted(a.saved) || !slices.Equal(a.notices, c.notices) {
				t.Errorf("saved %d, %d unacknowledged, notices %q", a.saved, unacked, a.notices)
			}
		})
	}
}

// What is acknowledged before it is settled does not move the position, and after the end nothing is saved.
func TestAcksBeforeSettling(t *testing.T) {
	a := newTestAcks(t)
	a.shows(5)
	a.add(6, session.Position{ID: 5}, true)
	if unacked := a.ends("5\n6\n"); unacked != 0 || !slices.Equal(a.saved, []int64{4}) {
		t.Errorf("saved %d, %d unacknowledged", a.saved, unacked)
	}
	if err := a.settle(session.Position{ID: 6}); err != nil || !slices.Equal(a.saved, []int64{4}) {
		t.Errorf("saved %d after the end, %v", a.saved, err)
	}
}

func TestAcksAreBounded(t *testing.T) {
	a := newTestAcks(t)
	for id := range int64(ackWindow) {
		if !a.hasRoom() {
			t.Fatalf("no room for message %d", id)
		}
		a.add(id+1, session.Position{ID: id}, true)
	}
	if a.hasRoom() {
		t.Error("there is room for one more")
	}
	fmt.Fprintln(a.w, ackWindow) // the first one keeps the window
	fmt.Fprintln(a.w, 1)
	if err := a.wait(t.Context(), a.room); err != nil {
		t.Error(err)
	}
	a.ends(strings.Repeat("x\n", 2*ackNotices))
	if n := len(a.notices); n != ackNotices || !strings.HasSuffix(a.notices[n-1], "further lines like that are not reported") {
		t.Errorf("%d notices: %q", n, a.notices)
	}
}

func TestAckRefusesWhatIsNoPipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, filepath.Dir(file), file + "x", "/dev/fd/x", "/dev/fd/-1", "/dev/fd/12345", os.DevNull} {
		if _, err := newAcks(name, nil); kindOf(err) != cli.KindUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}
