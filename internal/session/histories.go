package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
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
	t := &beginning{subscription: c}
	err := h.present(ctx, c, t)
	var stopped *stop
	if err != nil && ctx.Err() == nil && !errors.As(err, &stopped) {
		err = cmp.Or(t.flush(ctx), err) // the next connection would take them for old
	}
	h.held = t.held
	t.note(h.seen) // even after an error
	if err == nil {
		h.stage = agreed
	}
	return err
}

// present asks for the histories of all dialogs.
func (h *histories) present(ctx context.Context, c *subscription, t *beginning) error {
	r, err := c.await(ctx, t, c.first.Wait)
	dialogs, err := h.dialogs(ctx, c, r, err)
	if err != nil {
		return err
	}
	return h.ask(ctx, c, dialogs, t, func(history []proto.Message) error {
		t.old.add(history, c.own)
		return nil
	})
}

// beginning is what a server without ids has, and pushes, while a listener begins.
type beginning struct {
	*subscription
	held                // what was pushed, and is not delivered yet
	old       sightings // what the histories have
	delivered sightings // what was pushed and delivered
}

// take implements taker.
func (b *beginning) take(ctx context.Context, m proto.Message) error {
	if b.add(m); b.positionFirst && !b.held.full() {
		return nil
	}
	return b.flush(ctx)
}

// full implements taker. It reports false, because take delivers what it can't hold.
func (b *beginning) full() bool { return false }

// flush delivers what is held.
func (b *beginning) flush(ctx context.Context) error {
	return b.held.flush(ctx, func(m proto.Message) error {
		return b.hand(m, func() { b.delivered.addNext(m, m.Dialog(b.own)) })
	})
}

// note adds the messages of the histories and the delivered pushes to a seen set. It leaves
// out the held pushes, even if a history has them.
func (b *beginning) note(seen *seenSet) {
	later, have := countsOf(b.held.messages), map[fingerprint]int{}
	b.old.each(seen, func(m sighting) {
		if later[m.fingerprint] > 0 {
			later[m.fingerprint]--
			return
		}
		have[m.fingerprint]++
		seen.see(m)
	})
	b.delivered.each(seen, func(m sighting) {
		if have[m.fingerprint] > 0 {
			have[m.fingerprint]-- // a history had it already
		} else {
			seen.see(m)
		}
	})
	for _, m := range b.held.messages {
		seen.addDialog(m.Dialog(b.own)) // so that the next run asks for its history, if this run does not deliver it
	}
}

// meanwhile delivers what was held during begin.
func (h *histories) meanwhile(ctx context.Context, c *subscription) error {
	return h.held.flush(ctx, func(m proto.Message) error { return h.deliver(c, m) })
}

func countsOf(messages []proto.Message) map[fingerprint]int {
	counts := map[fingerprint]int{}
	for _, m := range messages {
		counts[fingerprintOf(m)]++
	}
	return counts
}

// fetch delivers the messages of all histories that are not in the seen set.
func (h *histories) fetch(ctx context.Context, c *subscription) error {
	h.stage = agreed
	h.fetched = map[fingerprint]int{}
	h.seen.unfreeze() // what the last connection delivered out of order comes again
	r := round{own: c.own}
	contacts, err := c.ask(ctx, proto.GetContacts(), &r)
	dialogs, err := h.dialogs(ctx, c, contacts, err)
	if err != nil {
		return err
	}
	return h.fetchDialogs(ctx, c, dialogs, &r)
}

// push delivers a message. If it looks like a message that was fetched, the history is
// fetched again, which shows whether it is a new one.
func (h *histories) push(ctx context.Context, c *subscription, m proto.Message) error {
	if h.wasFetched(m) {
		return h.fetchDialogs(ctx, c, []string{m.Dialog(c.own)}, &round{own: c.own})
	}
	return h.deliver(c, m)
}

// round is what the server pushes while histories are fetched.
type round struct {
	own   string
	held                      // to be delivered after the messages of the histories
	again map[string]struct{} // dialogs that need another round
	names int                 // bytes in again
}

// take implements taker. The history will have what there is no room for.
func (r *round) take(_ context.Context, m proto.Message) error {
	if r.held.full() {
		r.repeat(m.Dialog(r.own))
	} else {
		r.add(m)
	}
	return nil
}

// full implements taker.
func (r *round) full() bool { return len(r.again) >= heldMost || r.names >= namesBytes }

// repeat notes that a dialog needs another round.
func (r *round) repeat(dialog string) {
	if r.again == nil {
		r.again = map[string]struct{}{}
	}
	if _, ok := r.again[dialog]; !ok {
		r.again[dialog] = struct{}{}
		r.names += len(dialog)
	}
}

// fetchDialogs delivers the messages in the histories of dialogs that are not in the seen
// set, in as many rounds as it takes. r is the first round, which has begun.
func (h *histories) fetchDialogs(ctx context.Context, c *subscription, dialogs []string, r *round) error {
	for {
		if err := h.fetchRound(ctx, c, dialogs, r); err != nil {
			return err
		}
		if len(r.again) == 0 {
			return nil
		}
		dialogs, r = slices.Sorted(maps.Keys(r.again)), &round{own: c.own}
	}
}

// fetchRound delivers what one request for each dialog brings. A round of more than
// missedMost messages or missedBytes is sorted by date in parts of that size, and the
// position stays where it was until the last part is delivered.
func (h *histories) fetchRound(ctx context.Context, c *subscription, dialogs []string, r *round) error {
	left := map[fingerprint]int{}
	late := &missed{}
	err := h.ask(ctx, c, dialogs, r, func(history []proto.Message) error {
		if late.add(h.seen.unseen(history, left)); !late.full() {
			return nil
		}
		h.seen.freeze()
		part := late
		late = &missed{}
		return h.deliverMissed(ctx, c, part)
	})
	if err != nil {
		return err
	}
	if err := h.deliverMissed(ctx, c, late); err != nil {
		return err
	}
	h.seen.thaw()
	for _, m := range r.messages {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// A message of a dialog that needs another round waits for that round, so that it
		// does not overtake others. The history will have it.
		dialog := m.Dialog(c.own)
		if _, again := r.again[dialog]; again || h.wasFetched(m) {
			r.repeat(dialog)
		} else if err := h.deliver(c, m); err != nil {
			return err
		}
	}
	return nil
}

// deliverMissed delivers missed messages in the order of their dates.
func (h *histories) deliverMissed(ctx context.Context, c *subscription, missed *missed) error {
	for _, m := range byDate(missed.histories) {
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
	return nil
}

// missed are the messages of a catch-up that are to be delivered, one list for each dialog.
type missed struct {
	histories [][]proto.Message
	count     int // of the messages
	size      int // of the messages, as sizeOf counts
}

// Bounds of the messages that are sorted together; the last history may exceed them.
const (
	missedMost  = 1 << 14
	missedBytes = 8 << 20
)

func (m *missed) add(history []proto.Message) {
	if len(history) == 0 {
		return
	}
	m.histories = append(m.histories, history)
	m.count += len(history)
	for _, message := range history {
		m.size += sizeOf(message)
	}
}

func (m *missed) full() bool { return m.count >= missedMost || m.size >= missedBytes }

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
func (h *histories) dialogs(ctx context.Context, c *subscription, r proto.Reply, err error) ([]string, error) {
	dialogs := slices.Clone(h.seen.dialogs)
	if err != nil {
		return dialogs, ignoreRefusal(err)
	}
	contacts, err := proto.ParseContacts(r.Fields)
	if err != nil {
		return nil, c.session.invalidReply(err)
	}
	known := map[string]bool{"": true}
	for _, dialog := range dialogs {
		known[dialog] = true
	}
	for _, contact := range contacts {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !known[contact.Login] {
			known[contact.Login] = true
			dialogs = append(dialogs, contact.Login)
		}
	}
	return dialogs, nil
}

// ask requests the histories of dialogs, and passes each one to take.
func (h *histories) ask(ctx context.Context, c *subscription, dialogs []string, t taker, take func([]proto.Message) error) error {
	for _, dialog := range dialogs {
		r, err := c.ask(ctx, proto.GetHistory(dialog, proto.Page{}), t)
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
		if err := take(messages); err != nil {
			return err
		}
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
