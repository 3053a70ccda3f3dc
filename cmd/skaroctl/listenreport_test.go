package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// newTestReport makes the report of a run with options that prints JSON to streams.
func newTestReport(t *testing.T, ctx context.Context, o listenOptions, streams terminal.Streams) *listenReport {
	t.Helper()
	f := newTestFactory(t, streams, nil)
	return &listenReport{
		signaled: ctx, f: f, o: &o, server: "ws://x/", filter: newFilter(&o, "ws://x/", f.notice), printer: f.Printer(),
		position: func() (session.Position, bool) { return session.Position{}, false },
	}
}

func newTestMessage(id int64) session.Event {
	return session.Event{Message: &proto.Message{ID: id, From: "bob", To: "alice", Body: fmt.Sprint(id)}, Own: "alice"}
}

// The table of how a run can end, and what the program makes of it.
func TestListenReportEnds(t *testing.T) {
	down := &session.Error{Kind: session.KindUnreachable, Msg: "can't reach it"}
	failed := &cli.Error{Kind: cli.KindInternal, Msg: "--exec failed"}
	interrupt := &terminal.Interrupt{Signal: os.Interrupt}
	backwards := func(b session.Backwards) error {
		return fmt.Errorf("x: %w", &session.Error{Kind: session.KindIDsBackwards, Msg: "ids", Backwards: &b})
	}
	date := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for name, c := range map[string]struct {
		o      listenOptions
		before func(*listenReport)
		signal error
		err    error
		exit   int    // the status; 0 for no error
		want   string // a part of what is on standard error; "" for nothing
	}{
		"enough":                         {exit: 0},
		"time up":                        {before: func(r *listenReport) { r.connected = true }, err: errTimeUp},
		"time up while behind":           {before: func(r *listenReport) { r.connected, r.behind = true, true }, err: errTimeUp, want: "before all earlier messages were fetched"},
		"time up, too few":               {o: listenOptions{count: 3, length: cli.Duration(time.Second)}, before: func(r *listenReport) { r.connected, r.shown = true, 2 }, err: errTimeUp, exit: 6, want: "the time ran out after 1s: 2 of 3 messages came\n"},
		"time up, too few, offline":      {o: listenOptions{count: 3}, before: func(r *listenReport) { r.lost = down }, err: errTimeUp, exit: 6, want: "0 of 3 messages came; the last error: can't reach it"},
		"time up, too few, after a loss": {o: listenOptions{count: 3, length: cli.Duration(time.Second)}, before: func(r *listenReport) { r.connected, r.shown, r.lost = true, 2, down }, err: errTimeUp, exit: 6, want: "2 of 3 messages came; the last error: can't reach it"},
		"time up, too few, no answer":    {o: listenOptions{count: 3}, err: errTimeUp, exit: 6, want: "0 of 3 messages came; ws://x/ has not answered the login"},
		"time up, never connected":       {o: listenOptions{length: cli.Duration(time.Second)}, err: errTimeUp, exit: 6, want: "no answer from ws://x/ within 1s"},
		"time up, offline":               {before: func(r *listenReport) { r.lost = down }, err: errTimeUp, exit: 4, want: "can't reach it"},
		"time up after a loss":           {before: func(r *listenReport) { r.connected, r.lost = true, down }, err: errTimeUp},
		"time up while draining":         {o: listenOptions{drain: true, length: cli.Duration(time.Second)}, before: func(r *listenReport) { r.connected, r.behind = true, true }, err: errTimeUp, exit: 6, want: "the time ran out after 1s, before all earlier messages were fetched from ws://x/\nhint: give it more time"},
		"time up while draining, lost":   {o: listenOptions{drain: true}, before: func(r *listenReport) { r.connected, r.lost = true, down }, err: errTimeUp, exit: 6, want: "from ws://x/; the last error: can't reach it"},
		"time up during a bad --exec":    {before: func(r *listenReport) { r.connected, r.failed = true, failed }, err: errTimeUp, exit: 1, want: "--exec failed"},
		"lost":                           {err: down, exit: 4, want: "can't reach it"},
		"reader gone":                    {err: cli.ErrReaderGone},
		"interrupted":                    {signal: interrupt, err: interrupt, exit: 130},
		"interrupted during a bad --exec": {
			before: func(r *listenReport) { r.failed = failed }, signal: interrupt, err: interrupt, exit: 130, want: "listen: --exec failed",
		},
		"bad --exec": {before: func(r *listenReport) { r.failed = failed }, err: failed, exit: 1, want: "--exec failed"},
		"ids went backwards": {
			o: listenOptions{command: "skaroctl listen --resume"}, err: backwards(session.Backwards{ID: 1, Position: 3, Date: date}), exit: 1,
			want: "hint: continue after the last message that was shown, by running once `skaroctl listen --resume --since 2026-01-02T03:04:05.000000006Z`",
		},
		"ids went backwards, no date": {
			o: listenOptions{command: "skaroctl listen"}, err: backwards(session.Backwards{ID: 1, Position: 3}), exit: 1, want: "`skaroctl listen --since all`",
		},
		"an id that was never reached": {err: backwards(session.Backwards{ID: 1, Position: 3, Start: true}), exit: 1, want: "hint: write a time as"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if c.signal != nil {
				cancel(c.signal)
			}
			var errs strings.Builder
			r := newTestReport(t, ctx, c.o, terminal.Streams{Err: &errs})
			if c.before != nil {
				c.before(r)
			}
			exit, said := 0, ""
			if err := r.end(c.err); err != nil {
				exit, said = report(t, err)
			}
			if said = errs.String() + said; exit != c.exit || !strings.Contains(said, c.want) || c.want == "" && said != "" {
				t.Errorf("exit status %d, not %d, and %q", exit, c.exit, said)
			}
		})
	}
}

// With --ack, a consumer that ends before everything was shown is an error, even if it has
// acknowledged everything so far.
func TestListenReportTellsOfAConsumerThatEndsEarly(t *testing.T) {
	for name, c := range map[string]struct {
		o      listenOptions
		behind bool
		err    error
		exit   int
	}{
		"caught up, reader gone":       {listenOptions{}, false, cli.ErrReaderGone, 0},
		"caught up, FILE ended":        {listenOptions{}, false, errAckEnded, 0},
		"behind, reader gone":          {listenOptions{}, true, cli.ErrReaderGone, 1},
		"behind, FILE ended":           {listenOptions{}, true, errAckEnded, 1},
		"behind, time up":              {listenOptions{}, true, errTimeUp, 0},
		"--drain, reader gone":         {listenOptions{drain: true}, false, cli.ErrReaderGone, 1},
		"--drain, FILE ended":          {listenOptions{drain: true}, false, errAckEnded, 1},
		"--drain, nothing to show":     {listenOptions{drain: true}, false, nil, 0},
		"--count, reader gone":         {listenOptions{count: 2}, false, cli.ErrReaderGone, 1},
		"--count, FILE ended":          {listenOptions{count: 2}, false, errAckEnded, 1},
		"--count, all of them handled": {listenOptions{count: 2}, false, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestReport(t, t.Context(), c.o, terminal.Streams{Err: io.Discard})
			r.acks = &acks{name: "acks", news: make(chan struct{}, 1)}
			r.connected, r.behind, r.limited, r.stopWatching = true, c.behind, t.Context(), func() {}
			exit, said := 0, ""
			if err := r.end(c.err); err != nil {
				exit, said = report(t, err)
			}
			if exit != c.exit || strings.Contains(said, "the consumer ended before all messages were shown\nhint: run it again") != (c.exit == 1) {
				t.Errorf("exit status %d, not %d, and %q", exit, c.exit, said)
			}
		})
	}
}

// If the first --resume ends before the server has given a position, the user learns that
// no position was saved. An interrupt keeps its exit status.
func TestListenReportTellsOfNoPosition(t *testing.T) {
	refused := &session.Error{Kind: session.KindRefused, Msg: "refused"}
	interrupt := &terminal.Interrupt{Signal: os.Interrupt}
	for name, c := range map[string]struct {
		before func(*listenReport)
		err    error
		exit   int
		told   bool
	}{
		"time up":             {nil, errTimeUp, 6, true},
		"enough":              {nil, nil, 6, true},
		"interrupted":         {nil, interrupt, 130, true},
		"reader gone":         {nil, cli.ErrReaderGone, 6, true},
		"refused":             {nil, refused, 5, true},
		"time up, too few":    {func(r *listenReport) { r.o.count = 1 }, errTimeUp, 6, true},
		"never connected":     {func(r *listenReport) { r.connected = false }, errTimeUp, 6, false},
		"reader gone at once": {func(r *listenReport) { r.connected = false }, cli.ErrReaderGone, 0, false},
		"saved at the end": {func(r *listenReport) {
			r.position = func() (session.Position, bool) { return session.Position{}, true }
		}, errTimeUp, 0, false},
		"saved by a run before": {func(r *listenReport) { _ = r.saved.Save(session.Position{ID: 1}) }, errTimeUp, 0, false},
		"no --resume":           {func(r *listenReport) { r.saved = nil }, errTimeUp, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := account.OpenPosition(account.Files{State: t.TempDir()}, account.Key{Server: "ws://127.0.0.1/", Login: "alice"})
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			var errs strings.Builder
			r := newTestReport(t, t.Context(), listenOptions{resume: true}, terminal.Streams{Err: &errs})
			r.saved, r.connected = file, true
			if c.before != nil {
				c.before(r)
			}
			exit, said := 0, ""
			if err := r.end(c.err); err != nil {
				exit, said = report(t, err)
			}
			if said = errs.String() + said; exit != c.exit || strings.Contains(said, "no position was saved") != c.told {
				t.Errorf("exit status %d, not %d, and %q", exit, c.exit, said)
			}
		})
	}
}

// An error that the server pushes is a notice, unless --events shows it, or --quiet is given.
func TestListenReportNoticesErrors(t *testing.T) {
	push := newTestPush(t, map[string]any{"type": "error", "info": "too\nbad"})
	for name, c := range map[string]struct {
		o     listenOptions
		quiet bool
		want  string
	}{
		"plainly":  {listenOptions{}, false, "skaroctl: ws://x/ reports an error: too\\nbad\n"},
		"--events": {listenOptions{events: true}, false, ""},
		"--quiet":  {listenOptions{}, true, ""},
	} {
		var errs strings.Builder
		r := newTestReport(t, t.Context(), c.o, terminal.Streams{Out: &strings.Builder{}, Err: &errs})
		r.f.given.quiet = c.quiet
		if err := r.deliver(push); err != nil || errs.String() != c.want {
			t.Errorf("%s: %v, %q", name, err, &errs)
		}
	}
}

// newTestPush makes a push that is not a message.
func newTestPush(t *testing.T, fields map[string]any) session.Event {
	t.Helper()
	b, err := proto.Encode(fields)
	if err != nil {
		t.Fatal(err)
	}
	f, err := proto.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return session.Event{Push: f, Own: "alice"}
}

// What was shown is counted, and the run ends with the last message of --count.
func TestListenReportCounts(t *testing.T) {
	var out strings.Builder
	r := newTestReport(t, t.Context(), listenOptions{count: 2, events: true, from: []string{"bob"}}, terminal.Streams{Out: &out})
	unwanted := newTestMessage(2)
	unwanted.Message.From = "carol"
	push := session.Event{Push: proto.Frame{}, Own: "alice"}
	for i, c := range []struct {
		e    session.Event
		want error
	}{{newTestMessage(1), nil}, {unwanted, nil}, {push, nil}, {newTestMessage(3), session.ErrEnough}} {
		if err := r.deliver(c.e); err != c.want {
			t.Errorf("event %d: %v, not %v", i, err, c.want)
		}
	}
	if err := r.end(nil); err != nil || strings.Count(out.String(), "\n") != 3 || strings.Contains(out.String(), `"id":2`) {
		t.Errorf("%v, and the output is %q", err, &out)
	}
}

// The position is saved only after the line is written.
func TestListenReportSavesAfterWriting(t *testing.T) {
	file, err := account.OpenPosition(account.Files{State: t.TempDir()}, account.Key{Server: "ws://127.0.0.1/", Login: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	saved := func() int64 {
		var p session.Position
		if _, err := file.Read(&p); err != nil {
			t.Error(err)
		}
		return p.ID
	}
	out := &failingWriter{}
	r := newTestReport(t, t.Context(), listenOptions{}, terminal.Streams{Out: out})
	r.saved = file
	at, known := int64(0), false
	r.position = func() (session.Position, bool) { return session.Position{ID: at}, known }
	if err := r.settle(); err != nil || saved() != 0 {
		t.Errorf("an unknown position: %v, %d is saved", err, saved())
	}
	known = true
	for at = 1; at <= 2; at++ {
		if err := r.deliver(newTestMessage(at)); err != nil || saved() != at-1 {
			t.Errorf("before message %d is written: %v, %d is saved", at, err, saved())
		}
		if err := r.settle(); err != nil || saved() != at {
			t.Errorf("after message %d is written: %v, %d is saved", at, err, saved())
		}
	}
	out.err = errors.New("disk full")
	_ = r.deliver(newTestMessage(3))
	if err := r.end(nil); !errors.Is(err, out.err) || saved() != 2 {
		t.Errorf("a message that can't be written: %v, %d is saved", err, saved())
	}
}

// failingWriter fails if err is set.
type failingWriter struct{ err error }

func (w *failingWriter) Write(b []byte) (int, error) { return len(b), w.err }

func TestListenReportNotices(t *testing.T) {
	down := errors.New("down")
	got := session.Account{Login: "alice"}
	for name, c := range map[string]struct {
		terminal bool
		run      func(*listenReport)
		want     string
	}{
		"no terminal": {false, func(r *listenReport) { r.caughtUp(got) }, ""},
		"a terminal":  {true, func(r *listenReport) { r.caughtUp(got) }, "skaroctl: listening as alice at ws://x/\n"},
		"a loss": {false, func(r *listenReport) {
			r.lostConnection(down, 1234*time.Millisecond)
			r.caughtUp(got)
			r.caughtUp(got)
		}, "skaroctl: down; trying again in 1.2s\nskaroctl: connected to ws://x/ again\n"},
	} {
		var errs strings.Builder
		c.run(newTestReport(t, t.Context(), listenOptions{}, terminal.Streams{Err: &errs, ErrTerminal: c.terminal, Plain: true}))
		if errs.String() != c.want {
			t.Errorf("%s: %q", name, &errs)
		}
	}
}

// A signal that reaches listen and its command at once decides the exit status, even if the
// listener returns the failure of the command.
func TestSignalDecidesBesideAFailedCommand(t *testing.T) {
	signaled, stop := context.WithCancelCause(t.Context())
	interrupt := &terminal.Interrupt{Signal: os.Interrupt}
	stop(interrupt)
	r := &listenReport{signaled: signaled, failed: errors.New("the command failed")}
	err := r.errorOf(r.failed)
	if !errors.Is(err, interrupt) || strings.Count(err.Error(), "the command failed") != 1 {
		t.Errorf("%v", err)
	}
}
