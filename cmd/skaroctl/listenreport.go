package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// listenReport writes, counts and saves what a run of listen delivers, and tells the user
// what happens.
type listenReport struct {
	signaled context.Context // ends at a signal, but not after --for
	f        *Factory
	o        *listenOptions
	server   string // its URL

	filter   *filter
	printer  *output.Printer
	hook     *hook                           // nil means that events are printed
	saved    *account.PositionFile           // nil means that no position is saved
	acks     *acks                           // nil means that what is written counts as handled
	position func() (session.Position, bool) // of the listener

	shown     int   // messages
	connected bool  // a login has succeeded
	behind    bool  // earlier messages may still be missing
	lost      error // why the last connection was lost or failed; nil after the listener caught up
	failed    error // of the command of --exec
	warned    bool  // that the reader of a pipe may lose messages

	limited      context.Context // ends with the run
	stopWatching func()          // ends limited, and the watching of the output
}

// run listens until one of the limits is reached, and returns the error of the run.
func (r *listenReport) run(l *session.Listener) error {
	limited, stop := r.o.limit(r.signaled, r.f.streams.Out)
	defer stop()
	r.limited, r.stopWatching = limited, stop
	if r.acks != nil {
		r.limited = r.acks.start(limited, r.saved.Save)
	}
	return r.end(l.Run(r.limited, r.deliver))
}

// deliver shows an event that the filter wants.
func (r *listenReport) deliver(e session.Event) error {
	if !r.filter.wants(e) {
		r.noticeError(e.Push)
		return nil
	}
	if err := r.expectAck(e); err != nil {
		return err
	}
	if r.printer.Full() { // so that the position follows a slow reader, too
		if err := r.settle(); err != nil {
			return err
		}
	}
	if err := r.show(e); err != nil {
		return err
	}
	if e.Message != nil {
		r.shown++
	}
	if r.o.count > 0 && r.shown == r.o.count {
		return session.ErrEnough
	}
	return nil
}

// noticeError tells the user of an error that the server has pushed.
func (r *listenReport) noticeError(push proto.Frame) {
	if push.Type() == proto.TypeError {
		r.f.notice("%s reports an error: %s", r.server, proto.Excerpt(push.Text("info")))
	}
}

// show prints an event, or runs the command of --exec for it.
func (r *listenReport) show(e session.Event) error {
	switch {
	case r.hook != nil:
		if err := r.save(); err != nil { // the commands before this one have succeeded
			return err
		}
		r.failed = r.hook.handle(r.limited, r.signaled, e)
		return r.failed
	case e.Message != nil:
		r.warnOfPipe()
		return r.printer.Message(*e.Message, e.Own)
	}
	return r.printer.Push(e.Push)
}

// settle writes what was shown, and then saves the position.
func (r *listenReport) settle() error {
	if err := r.printer.Flush(); err != nil {
		return err
	}
	return r.save()
}

// save saves the position of the listener. It is called only after everything up to that
// position was written, or the command has succeeded for it.
func (r *listenReport) save() error {
	if r.saved == nil {
		return nil
	}
	p, ok := r.position()
	switch {
	case !ok:
		return nil
	case r.acks != nil:
		return r.acks.settle(p)
	}
	return r.saved.Save(p)
}

// expectAck waits until there is room for another unacknowledged message, and notes that
// one is about to be shown.
func (r *listenReport) expectAck(e session.Event) error {
	if r.acks == nil || e.Message == nil {
		return nil
	}
	if e.Message.ID == 0 {
		return &cli.Error{Kind: cli.KindRefused, Msg: r.server + " sent a message without an id, which can't be acknowledged", Hint: "use --exec instead, which needs no ids"}
	}
	if err := r.awaitRoom(); err != nil {
		return err
	}
	before, ok := r.position()
	r.acks.add(e.Message.ID, before, ok)
	return nil
}

// awaitRoom writes what is shown, and waits, if too many messages are unacknowledged.
func (r *listenReport) awaitRoom() error {
	if r.acks.hasRoom() {
		return nil
	}
	if err := r.settle(); err != nil {
		return err
	}
	return r.acks.wait(r.limited, r.acks.room)
}

// warnOfPipe warns once that messages are lost if the reader of a pipe fails. With --count it does
// not warn: the reader asked for that number of messages.
func (r *listenReport) warnOfPipe() {
	if r.warned || r.saved == nil || r.acks != nil || r.o.count > 0 || !isPipe(r.f.streams.Out) {
		return
	}
	r.warned = true
	r.f.notice("a message counts as handled when it is in the pipe, and is lost if the reader of the pipe fails: use --ack FILE, or --exec")
}

// lostConnection tells the user of a lost or failed connection.
func (r *listenReport) lostConnection(err error, pause time.Duration) {
	r.lost = err
	if _, ok := r.position(); ok {
		r.behind = true
	}
	r.f.noticeLost(err, pause)
}

// caughtUp tells the user that all earlier messages were shown.
func (r *listenReport) caughtUp(got session.Account) {
	again := r.lost != nil
	r.lost, r.behind = nil, false
	switch login := output.Login(got.Login); {
	case again:
		r.f.notice("connected to %s again", r.server)
	case r.f.flags.verbose:
		r.f.stderr.line(fmt.Sprintf("listening as %s at %s", login, r.server))
	case r.f.streams.ErrTerminal && !r.o.drain:
		r.f.notice("listening as %s at %s", login, r.server)
	}
}

// end settles what was shown last, after the listener returned err, and returns the error
// of the run.
func (r *listenReport) end(err error) error {
	if settleErr := r.settle(); settleErr != nil && !errors.Is(err, settleErr) {
		err = settleErr
	}
	if r.acks != nil {
		err = r.endAcks(err)
	}
	if errors.Is(err, errTimeUp) && r.connected && r.behind && !r.o.drain {
		r.f.notice("--for ended before all earlier messages were fetched from %s", r.server)
	}
	return r.withoutPosition(r.errorOf(err))
}

// endAcks waits for acknowledgements after the last message, if the run has reached its goal
// or the reader of the output has gone. It returns the error of the run.
func (r *listenReport) endAcks(err error) error {
	early := err != nil && (r.o.drain || r.o.count > 0 || r.behind) // something may be left to show
	switch {
	case err == nil:
		err = r.awaitAcks()
	case cli.ReaderGone(err):
		ctx, cancel := context.WithTimeout(r.signaled, ackGrace)
		_ = r.acks.wait(ctx, r.acks.complete) // the count below decides
		cancel()
	}
	unacked, saveErr := r.acks.close()
	if saveErr != nil {
		return saveErr
	}
	gone := errors.Is(err, errAckEnded) || cli.ReaderGone(err)
	switch {
	case gone && (unacked > 0 || early):
		return r.consumerEnded(unacked)
	case errors.Is(err, errAckEnded):
		return nil
	case unacked == 0:
		return err
	case errors.Is(err, errTimeUp) && (r.o.drain || r.o.count > 0 && r.shown == r.o.count):
		return &cli.Error{
			Kind: cli.KindTimeout, Msg: fmt.Sprintf("the time ran out after %v: %s not acknowledged", time.Duration(r.o.length), messages(unacked)),
			Hint: "give it more time with --for: the next --resume shows them again",
		}
	}
	r.f.notice("%s not acknowledged: the next --resume shows them again", messages(unacked))
	return err
}

// consumerEnded returns the error of a run whose consumer ended too early.
func (r *listenReport) consumerEnded(unacked int) error {
	msg, again := "the consumer ended before all messages were shown", "the rest"
	if unacked > 0 {
		msg, again = fmt.Sprintf("the consumer ended, and did not acknowledge %s to %s", messages(unacked), r.acks.name), "them again"
	}
	return &cli.Error{
		Kind: cli.KindInternal, Msg: msg,
		Hint: "run it again: the next --resume shows " + again + ". If the consumer still runs, let it keep the file open, with `done 3<>FILE` after its loop",
	}
}

// awaitAcks waits until every message is acknowledged. It closes a pipe before: a consumer
// may write the last ids only at the end of its input.
func (r *listenReport) awaitAcks() error {
	r.stopWatching()
	if isPipe(r.f.streams.Out) {
		if c, ok := r.f.streams.Out.(io.Closer); ok {
			c.Close()
		}
	}
	ctx, cancel := r.signaled, context.CancelFunc(func() {})
	if end, ok := r.limited.Deadline(); ok {
		ctx, cancel = context.WithDeadlineCause(ctx, end, errTimeUp)
	}
	defer cancel()
	return r.acks.wait(ctx, r.acks.complete)
}

// messages names a number of messages.
func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// withoutPosition tells the user if the first --resume leaves no position: the run ended
// after the login, and before the server gave a position. err is the error of the run so far,
// which may be nil. withoutPosition returns the error of the run.
func (r *listenReport) withoutPosition(err error) error {
	if r.saved == nil || !r.connected || r.saved.Saved() {
		return err
	}
	unsaved := &cli.Error{
		Kind: cli.KindTimeout, Msg: fmt.Sprintf("no position was saved, because the run ended before %s gave one", r.server),
		Hint: "run it again, for longer: the next --resume begins with new messages. `skaroctl listen --since 1h` shows what came meanwhile",
	}
	var interrupt *terminal.Interrupt
	switch {
	case err == nil:
		return unsaved
	case errors.Is(err, cli.ErrReaderGone), errors.As(err, &interrupt):
		return errors.Join(fmt.Errorf("listen: %w", unsaved), err)
	}
	r.f.notice("%v", unsaved)
	return err
}

// errorOf returns the error of a run whose listener returned err.
func (r *listenReport) errorOf(err error) error {
	var failure *session.Error
	switch {
	case errors.Is(err, cli.ErrReaderGone):
		return cli.ErrReaderGone
	case errors.As(err, &failure) && failure.Kind == session.KindIDsBackwards:
		return &cli.Error{Kind: cli.KindInternal, Hint: backwardsHint(failure.Backwards, r.o.command), Err: err}
	case r.failed != nil && r.signaled.Err() != nil:
		return errors.Join(fmt.Errorf("listen: %w", r.failed), context.Cause(r.signaled)) // err may be r.failed too
	case r.failed != nil:
		return r.failed
	case errors.Is(err, errTimeUp):
		return r.timeUp()
	}
	return err
}

// timeUp returns the error of a run that lasted until the end of --for. It says what
// happened last.
func (r *listenReport) timeUp() error {
	length := time.Duration(r.o.length)
	late := &cli.Error{Kind: cli.KindTimeout}
	switch few := r.shown < r.o.count; {
	case few:
		late.Msg = fmt.Sprintf("the time ran out after %v: %d of %d messages came", length, r.shown, r.o.count)
		switch {
		case r.lost != nil:
			late.Msg += fmt.Sprintf("; the last error: %v", r.lost)
		case !r.connected:
			late.Msg += fmt.Sprintf("; %s has not answered the login", r.server)
		}
	case !r.connected && r.lost != nil:
		return r.lost
	case r.connected && r.o.drain:
		late.Msg = fmt.Sprintf("the time ran out after %v, before all earlier messages were fetched from %s", length, r.server)
		if r.lost != nil {
			late.Msg += fmt.Sprintf("; the last error: %v", r.lost)
		}
		late.Hint = "give it more time with --for"
	case !r.connected:
		late.Msg, late.Hint = fmt.Sprintf("no answer from %s within %v", r.server, length), "give it more time with --for"
	default:
		return nil
	}
	return late
}

// backwardsHint returns a command that continues after the ids of the server went backwards.
// command is the one that failed, without --since.
func backwardsHint(b *session.Backwards, command string) string {
	switch {
	case b.Start:
		return "write a time as 2006-01-02T15:04:05Z, a duration as 90m or 7d: a bare number is the id of a message"
	case b.Date.IsZero():
		return fmt.Sprintf("see everything again and continue, with `%s --since all`; or give --since the time when the server got an older copy of its database", command)
	}
	return fmt.Sprintf("continue after the last message that was shown, by running once `%s --since %s`", command, b.Date.UTC().Format(time.RFC3339Nano))
}
