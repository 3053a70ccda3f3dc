package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// delivery says what became of a message that sendOrSpool got: it was sent, it waits in the
// spool, or Err says why it was not delivered.
type delivery struct {
	session.Result
	spooled *account.SpoolEntry // not nil if it counts as spooled: it waits, or another process has taken it
}

// sendOrSpool sends messages of an account, after those that wait in the spool for it. A
// message that can't be delivered now stays in the spool. It returns what became of each
// message, and an error for anything else that a person must know. If the list is empty,
// nothing was done. `send --spool` and `run --spool` use it.
//
// The messages are in the spool before the first byte leaves, so that none is lost or
// delivered twice, at whatever moment the process is killed. If the spool can't take them,
// because the disk is full for example, they are sent without it, when nothing else waits.
func (f *Factory) sendOrSpool(ctx context.Context, acct Account, retry cli.Duration, messages []session.Message) ([]delivery, error) {
	r := &spoolRun{f: f, acct: acct, retry: retry}
	lines := make([]json.RawMessage, len(messages))
	for i, m := range messages {
		lines[i] = spoolLine(m)
		if _, err := parseSpoolLine(lines[i]); err != nil {
			return nil, cli.Usage(fmt.Sprintf("the message to %s can't be spooled: %v", output.Login(m.To), err), "send it without --spool")
		}
		r.own = append(r.own, &spoolItem{message: m, own: true})
	}
	var err error
	if r.spool, err = account.OpenSpool(acct.files); err != nil {
		return nil, err
	}
	entries, err := r.spool.Add(acct.key(), lines)
	r.notAdded, r.notAddedN = err, len(entries)
	for i, e := range entries {
		r.own[i].entry = e
	}
	r.failed = func(err error) { _ = f.report(err) }
	var list []delivery
	_ = r.run(ctx, func(cause error) {
		for _, item := range r.own {
			list = append(list, r.deliveryOf(item, cause))
		}
	})
	for _, err := range r.wrong {
		f.notice("%v", err)
	}
	for i, err := range r.problems {
		r.problems[i] = fmt.Errorf("send: %w", err) // each is reported by itself, with its hint
	}
	return list, errors.Join(r.problems...)
}

// spoolLine is a message as a line of `send --json`.
func spoolLine(m session.Message) json.RawMessage {
	var b bytes.Buffer
	_ = output.WriteOutgoing(&b, outgoing(m)) // a Buffer takes everything
	return b.Bytes()
}

// outgoing is a message as `send --json` takes it.
func outgoing(m session.Message) output.Outgoing {
	return output.NewOutgoing(m.To, m.Body, m.Fields, m.Key)
}

// parseSpoolLine reads what spoolLine has written.
func parseSpoolLine(line []byte) (session.Message, error) {
	m, err := parseJSONLine(line, false, false)
	switch {
	case err != nil:
		return session.Message{}, err
	case len(m.to) != 1 || m.body == "":
		return session.Message{}, errors.New("it is not a text to one recipient")
	}
	return record{body: m.body, fields: m.fields, key: m.key}.message(m.to[0], false), nil
}

// badMessage returns the error for an entry with a message that can't be read.
func badMessage(e *account.SpoolEntry, err error) error {
	return &cli.Error{
		Msg: fmt.Sprintf("message %d of the spool can't be read, and was left as it is", e.ID), Err: err,
		Hint: fmt.Sprintf("remove it with `skaroctl spool drop %d`", e.ID),
	}
}

// spoolRun sends what waits for one account, in order, one message at a time: then none
// overtakes another, and one at most is in doubt if the connection is lost.
type spoolRun struct {
	f     *Factory
	acct  Account
	retry cli.Duration
	spool *account.Spool
	hold  *account.SpoolHold
	own   []*spoolItem // what sendOrSpool got; nil for `spool flush`

	notAdded  error // why the spool did not take all own messages
	notAddedN int   // how many own messages are in the spool, or were given to the outbox without it

	sent     func(session.Result) error // gets the confirmed messages that are not own; may be nil
	failed   func(error)                // gets what became of a message that is not own, if a person has to decide
	wrong    []error                    // entries that can't be read: the feeder's, until it has ended
	problems []error                    // changes of the spool that failed
}

// spoolItem is a message on its way.
type spoolItem struct {
	message session.Message
	entry   *account.SpoolEntry // nil if it could not be added to the spool
	own     bool
	left    bool  // this run has noted that the message leaves
	removed error // why this run took the entry out of the spool before the message left; may be nil
	known   bool  // result is set
	result  session.Result
}

// run sends everything that waits, and returns why it ended; nil means that everything was
// sent. It calls ended with the same error, under the lock of the account if it got that.
func (r *spoolRun) run(ctx context.Context, ended func(cause error)) error {
	wait, cancel := r.f.withTimeout(ctx) // also with --retry: the other process may send for long
	hold, err := r.spool.Hold(wait, r.acct.key())
	cancel()
	if err == nil {
		r.hold = hold
		defer hold.Release()
		err = r.send(ctx)
	}
	ended(err)
	return err
}

// send sends what waits, with one connection or more. It needs none if nothing waits.
func (r *spoolRun) send(ctx context.Context) error {
	first := r.next()
	if first == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, fed := make(chan session.Message), make(chan struct{})
	go func() {
		defer close(fed)
		defer close(in)
		for item := first; item != nil; item = r.next() {
			select {
			case in <- item.forOutbox():
			case <-ctx.Done():
				return
			}
		}
	}()
	o := &sendOptions{inFlight: 1, retry: r.retry}
	box := o.outbox(ctx, r.f, r.acct, r.f.Printer())
	box.Sending = r.leaves
	err := box.Run(ctx, in, r.take)
	cancel()
	<-fed
	return r.acct.hintLogin(err)
}

// next returns the next message to be sent, or nil: first what waits, then what could not be
// added.
func (r *spoolRun) next() *spoolItem {
	for {
		e, err := r.hold.Next()
		switch {
		case err != nil:
			r.wrong = append(r.wrong, err)
		case e == nil:
			return r.nextNotAdded()
		default:
			if item := r.item(e); item != nil {
				return item
			}
		}
	}
}

// nextNotAdded is next for the own messages that the spool could not take.
func (r *spoolRun) nextNotAdded() *spoolItem {
	if r.notAdded == nil || r.notAddedN == len(r.own) {
		return nil
	}
	r.notAddedN++
	return r.own[r.notAddedN-1]
}

// item returns the item of an entry, or nil if its message can't be read.
func (r *spoolRun) item(e *account.SpoolEntry) *spoolItem {
	for _, item := range r.own {
		if item.entry != nil && item.entry.ID == e.ID && item.entry.Nonce == e.Nonce {
			item.entry = e
			return item
		}
	}
	m, err := parseSpoolLine(e.Message)
	if err != nil {
		r.wrong = append(r.wrong, badMessage(e, err))
		return nil
	}
	return &spoolItem{message: m, entry: e}
}

// forOutbox is the message for the outbox.
func (i *spoolItem) forOutbox() session.Message {
	m := i.message
	m.Ref = i
	if i.entry != nil {
		m.Nonce, m.Attempted = i.entry.Nonce, i.entry.Attempted
	}
	return m
}

// leaves notes on disk that a message is about to leave.
func (r *spoolRun) leaves(m session.Message, at time.Time, repeatable bool) error {
	item := m.Ref.(*spoolItem)
	if !item.spooled() {
		return nil
	}
	first := item.entry.Attempted.IsZero()
	err := r.hold.Attempt(item.entry, at, repeatable)
	item.left = err == nil
	if err == nil || !item.own || !first || r.hold.Remove(item.entry) != nil {
		return err
	}
	item.removed = err // the disk is full: the message leaves without the spool
	return nil
}

// spooled reports whether the message is in the spool.
func (i *spoolItem) spooled() bool { return i.entry != nil && i.removed == nil }

// take takes the result of a message, and notes it on disk. Its error ends the run: nothing
// may overtake a message that the server refused for now.
func (r *spoolRun) take(result session.Result) error {
	item := result.Message.Ref.(*spoolItem)
	item.known, item.result = true, result
	if item.spooled() {
		if err := r.note(item); err != nil {
			r.problems = append(r.problems, err)
			return err
		}
	}
	switch {
	case delayed(result):
		return result.Err
	case !item.own && result.State == session.StateConfirmed && r.sent != nil:
		return r.sent(result)
	}
	return nil
}

// delayed reports whether the server refused a message for now.
func delayed(r session.Result) bool {
	return r.State == session.StateRefused && session.Temporary(r.Err)
}

// note writes to the spool what became of a message.
func (r *spoolRun) note(item *spoolItem) error {
	e, result := item.entry, item.result
	switch {
	case result.State == session.StateConfirmed:
		return r.hold.Remove(e)
	case result.State == session.StateUnknown && !result.Final:
		return r.hold.Keep(e, account.SpoolAttempted, reason(result.Err))
	case result.State == session.StateUnsent, delayed(result):
		if !item.left && !e.Attempted.IsZero() {
			return nil // an earlier attempt may have succeeded
		}
		err := r.hold.Wait(e, reason(result.Err))
		if !item.left {
			return unlessReasonOnly(err)
		}
		return err
	case result.State == session.StateRefused && item.own:
		return r.hold.Remove(e) // the command that sends it reports the error
	}
	if !item.own {
		err := fmt.Errorf("message %d to %s stays in the spool: %w", e.ID, output.Login(item.message.To), result.Err)
		r.failed(cli.WithHint(err, decideHint(e.ID, result.State)))
	}
	if result.State == session.StateRefused {
		return r.hold.Keep(e, account.SpoolRefused, reason(result.Err))
	}
	return r.hold.Keep(e, account.SpoolUnknown, reason(result.Err))
}

// decideHint says what to do about a message that stays in the spool until a person decides.
func decideHint(id int64, state session.State) string {
	retry, drop := fmt.Sprintf("`skaroctl spool retry %d`", id), fmt.Sprintf("`skaroctl spool drop %d`", id)
	if state == session.StateRefused {
		return fmt.Sprintf("if the server would take it now, send it again with %s; otherwise remove it with %s", retry, drop)
	}
	return fmt.Sprintf("look for it with `skaroctl history LOGIN --limit 5`; then remove it with %s, or send it again with %s", drop, retry)
}

// unlessReasonOnly returns the error of a change that gave an entry a new reason and nothing
// else. It is nil if the entry stays as it was: even on a full disk, the message waits.
func unlessReasonOnly(err error) error {
	if account.KindOf(err) == account.KindFile {
		return nil
	}
	return err
}

// reason returns the text of an error as the reason in an entry of the spool.
func reason(err error) string { return proto.Excerpt(err.Error()) }

// errTaken is why this process does not know what became of a message.
var errTaken = errors.New("another skaroctl has sent or dropped it meanwhile")

// deliveryOf says what became of an own message. cause is why the run ended.
func (r *spoolRun) deliveryOf(item *spoolItem, cause error) delivery {
	if !item.known {
		item.result = session.Result{State: session.StateUnsent, Err: cause}
		if item.spooled() && r.hold != nil && !r.lookAgain(item) {
			return delivery{Result: session.Result{Message: item.message, Err: errTaken}, spooled: item.entry}
		}
	}
	d := delivery{Result: item.result}
	d.Message = item.message
	waits := d.State == session.StateUnsent && spoolable(d.Err) || d.State == session.StateUnknown && !d.Final || delayed(d.Result)
	var signal *terminal.Interrupt
	switch {
	case d.State == session.StateConfirmed:
	case item.removed != nil:
		r.problems = append(r.problems, item.removed)
	case item.entry == nil:
		r.reportNotAdded()
	case errors.As(d.Err, &signal) && (waits || d.State == session.StateUnsent):
		d.State = session.StateUnsent
		d.Err = &cli.Error{Kind: cli.KindInterrupted, Err: fmt.Errorf("%w; it waits in the spool", signal)}
	case waits:
		d.spooled = item.entry
		r.reportNotAdded() // a power failure may take it out of the spool
	case d.State == session.StateUnknown:
		d.Err = cli.WithHint(d.Err, decideHint(item.entry.ID, d.State))
	case d.State == session.StateUnsent && r.hold == nil:
		d.Err = fmt.Errorf("it waits in the spool: %w", d.Err)
	case d.State == session.StateUnsent:
		if err := r.hold.Remove(item.entry); err != nil {
			r.problems = append(r.problems, err)
		}
	}
	return d
}

// reportNotAdded makes it a problem that the spool did not take all own messages, once for all
// of them.
func (r *spoolRun) reportNotAdded() {
	if r.notAdded != nil {
		r.problems, r.notAdded = append(r.problems, r.notAdded), nil
	}
}

// lookAgain reads an own message that this run did not send. It reports false if
// another process has sent or dropped it. If that process did not learn whether it was
// delivered, lookAgain sets the result.
func (r *spoolRun) lookAgain(item *spoolItem) bool {
	e, err := r.hold.Read(item.entry)
	switch {
	case err != nil:
		item.result.Err = err
	case e == nil:
		return false
	case e.State == account.SpoolRefused:
		item.result.State, item.result.Err = session.StateRefused, &cli.Error{Kind: cli.KindRefused, Msg: e.Reason}
		err = r.hold.Remove(e)
	case e.State == account.SpoolUnknown:
		item.result.State, item.result.Final = session.StateUnknown, true
		item.result.Err = &cli.Error{Kind: cli.KindUnknown, Msg: e.Reason}
	default:
		item.entry = e
		err = unlessReasonOnly(r.hold.Keep(e, e.State, reason(item.result.Err)))
	}
	if err != nil {
		r.problems = append(r.problems, err)
	}
	return true
}

// spoolable reports whether a message that was not delivered because of err waits in the spool.
func spoolable(err error) bool {
	switch kindOf(err) {
	case cli.KindUnreachable, cli.KindTimeout, cli.KindUnknown:
		return true
	case cli.KindRefused:
		return session.Temporary(err)
	}
	return account.KindOf(err) == account.KindLocked
}
