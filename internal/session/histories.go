package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// histories is the catchUp for a server without the extension updates. It fetches the
// histories of every dialog, and delivers the messages that are not in the seen set.
type histories struct {
	stage stage
	seen  *seenSet
	held  held // what was pushed during begin

	// fetched counts the messages that were delivered from a history of this
	// connection: the server may push the same messages afterwards.
	fetched map[fingerprint]int
}

func newHistories(start *Bound, resume *Position) *histories {
	switch {
	case resume != nil && resume.ID == 0:
		return &histories{stage: claimed, seen: seenUpTo(*resume)}
	case start != nil:
		return &histories{stage: claimed, seen: seenBefore(*start)}
	}
	return &histories{stage: unset, seen: &seenSet{}} // an id says nothing on such a server
}

func (h *histories) position() (Position, stage) { return h.seen.position(), h.stage }

// withIDs returns the catchUp for the same server after it has gained the extension updates.
func (h *histories) withIDs(start *Bound) *updates {
	if h.stage == unset {
		return newUpdates(start, nil)
	}
	return &updates{stage: h.stage, start: start, older: h.seen}
}

func (h *histories) first() proto.Request { return proto.GetContacts() }

// begin puts the messages that the server has into the seen set, so that they do not count
// as missed later. What it pushes meanwhile is new; with positionFirst, that is held.
func (h *histories) begin(ctx context.Context, c *subscription) error {
	h.held = held{}
	var delivered []proto.Message
	flush := func() error {
		return h.held.flush(func(m proto.Message) error {
			return c.hand(m, func() { delivered = append(delivered, m) })
		})
	}
	push := c.messages(func(m proto.Message) error {
		if h.held.add(m); c.positionFirst && !h.held.full() {
			return nil
		}
		return flush()
	})
	old, err := h.present(ctx, c, push)
	var stopped *stop
	if err != nil && ctx.Err() == nil && !errors.As(err, &stopped) {
		err = cmp.Or(flush(), err) // the next connection would take them for old
	}
	h.note(c, old, delivered) // even after an error
	if err == nil {
		h.stage = agreed
	}
	return err
}

// present returns the histories of all dialogs, or some of them with an error.
func (h *histories) present(ctx context.Context, c *subscription, push func(proto.Frame) error) (old [][]proto.Message, err error) {
	r, err := c.await(ctx, push, c.first.Wait)
	dialogs, err := h.dialogs(c, r, err)
	if err == nil {
		err = h.ask(ctx, c, dialogs, push, func(history []proto.Message) { old = append(old, history) })
	}
	return old, err
}

// note adds the messages of histories and the delivered pushes to the seen set. It leaves
// out the held pushes, even if a history has them.
func (h *histories) note(c *subscription, old [][]proto.Message, delivered []proto.Message) {
	later, have := countsOf(h.held.messages), map[fingerprint]int{}
	for _, m := range byDate(old) {
		f := fingerprintOf(m)
		if later[f] > 0 {
			later[f]--
			continue
		}
		have[f]++
		h.seen.add(m, m.Dialog(c.own))
	}
	for _, m := range delivered {
		if f := fingerprintOf(m); have[f] > 0 {
			have[f]-- // a history had it already
		} else {
			h.seen.add(m, m.Dialog(c.own))
		}
	}
	for _, m := range h.held.messages {
		h.seen.addDialog(m.Dialog(c.own)) // so that the next run asks for its history, if this run does not deliver it
	}
}

// meanwhile delivers what was held during begin.
func (h *histories) meanwhile(_ context.Context, c *subscription) error {
	return h.held.flush(func(m proto.Message) error { return h.deliver(c, m) })
}

func countsOf(messages []proto.Message) map[fingerprint]int {
	counts := map[fingerprint]int{}
	for _, m := range messages {
		counts[fingerprintOf(m)]++
	}
	return counts
}

// fetch delivers what the histories of all dialogs have and the seen set has not.
func (h *histories) fetch(ctx context.Context, c *subscription) error {
	h.stage = agreed
	h.fetched = map[fingerprint]int{}
	var r round
	contacts, err := c.ask(ctx, proto.GetContacts(), r.hold(c))
	dialogs, err := h.dialogs(c, contacts, err)
	if err != nil {
		return err
	}
	return h.fetchDialogs(ctx, c, dialogs, &r)
}

// push delivers a message. If it looks like a message that was fetched, the history decides
// whether it is another one.
func (h *histories) push(ctx context.Context, c *subscription, m proto.Message) error {
	if h.wasFetched(m) {
		return h.fetchDialogs(ctx, c, []string{m.Dialog(c.own)}, &round{})
	}
	return h.deliver(c, m)
}

// round is what the server pushes while histories are fetched.
type round struct {
	held           // to be delivered after the messages of the histories
	again []string // dialogs that need another round
}

// hold returns the function that takes the pushes of the round.
func (r *round) hold(c *subscription) func(proto.Frame) error {
	return c.messages(func(m proto.Message) error {
		if r.full() {
			r.again = append(r.again, m.Dialog(c.own))
		} else {
			r.add(m)
		}
		return nil
	})
}

// fetchDialogs delivers what the histories of dialogs have and the seen set has not, in
// as many rounds as it takes. r has begun, and is the first of them.
func (h *histories) fetchDialogs(ctx context.Context, c *subscription, dialogs []string, r *round) error {
	for {
		if err := h.fetchRound(ctx, c, dialogs, r); err != nil {
			return err
		}
		if len(r.again) == 0 {
			return nil
		}
		slices.Sort(r.again)
		dialogs, r = slices.Compact(r.again), &round{}
	}
}

func (h *histories) fetchRound(ctx context.Context, c *subscription, dialogs []string, r *round) error {
	left := map[fingerprint]int{}
	var missed [][]proto.Message
	err := h.ask(ctx, c, dialogs, r.hold(c), func(history []proto.Message) { missed = append(missed, h.seen.unseen(history, left)) })
	if err != nil {
		return err
	}
	for _, m := range byDate(missed) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := h.deliver(c, m); err != nil {
			return err
		}
		if len(h.fetched) >= seenMost {
			clear(h.fetched)
		}
		h.fetched[fingerprintOf(m)]++
	}
	for _, m := range r.messages {
		// A message of a dialog that needs another round waits for that round, so that it
		// does not overtake others. The history will have it.
		if dialog := m.Dialog(c.own); slices.Contains(r.again, dialog) || h.wasFetched(m) {
			r.again = append(r.again, dialog)
		} else if err := h.deliver(c, m); err != nil {
			return err
		}
	}
	return nil
}

// wasFetched reports whether a push may repeat a message that a history already had. Each
// message of a history accounts for one push.
func (h *histories) wasFetched(m proto.Message) bool {
	f := fingerprintOf(m)
	if h.fetched[f] == 0 {
		return false
	}
	h.fetched[f]--
	return true
}

// deliver delivers a message and adds it to the seen set.
func (h *histories) deliver(c *subscription, m proto.Message) error {
	return c.hand(m, func() { h.seen.add(m, m.Dialog(c.own)) })
}

// dialogs returns the dialogs that may have had messages: those with our contacts, and
// those that had some before, such as conferences. r and err are the answer to the request
// for our contacts.
func (h *histories) dialogs(c *subscription, r proto.Reply, err error) ([]string, error) {
	dialogs := slices.Clone(h.seen.dialogs)
	if err != nil {
		return dialogs, ignoreRefusal(err)
	}
	contacts, err := proto.ParseContacts(r.Fields)
	if err != nil {
		return nil, c.session.invalidReply(err)
	}
	for _, contact := range contacts {
		if contact.Login != "" && !slices.Contains(dialogs, contact.Login) {
			dialogs = append(dialogs, contact.Login)
		}
	}
	return dialogs, nil
}

// ask requests the histories of dialogs, and passes each one to take.
func (h *histories) ask(ctx context.Context, c *subscription, dialogs []string, push func(proto.Frame) error, take func([]proto.Message)) error {
	for _, dialog := range dialogs {
		r, err := c.ask(ctx, proto.GetHistory(dialog, proto.Page{}), push)
		if err != nil {
			if err := ignoreRefusal(err); err != nil {
				return fmt.Errorf("the history with %s: %w", dialog, err)
			}
			continue
		}
		messages, err := proto.ParseMessages(r.Fields, "history")
		if err != nil {
			return c.session.invalidReply(err)
		}
		take(messages)
	}
	return nil
}

// ignoreRefusal returns nil for a refusal that would be repeated, such as that of a
// conference whose history we may not see.
func ignoreRefusal(err error) error {
	if KindOf(err) == KindRefused && !Temporary(err) {
		return nil
	}
	return err
}

// byDate puts the messages of several histories in the order of their dates. A message
// without a date stays behind the one before it in its own history.
func byDate(histories [][]proto.Message) []proto.Message {
	type dated struct {
		proto.Message
		at time.Time
	}
	var all []dated
	for _, history := range histories {
		var at time.Time
		for _, m := range history {
			if m.Date.Time.After(at) {
				at = m.Date.Time
			}
			all = append(all, dated{m, at})
		}
	}
	slices.SortStableFunc(all, func(a, b dated) int { return a.at.Compare(b.at) })
	messages := make([]proto.Message, len(all))
	for i, d := range all {
		messages[i] = d.Message
	}
	return messages
}
