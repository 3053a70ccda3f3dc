package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// This file is the catch-up on a server without the extension updates. What was
// missed is found in the histories of every dialog, by leaving out what was
// delivered already. Messages have no ids there: they are told apart by sender,
// recipient, date and body, and counted, so that two equal ones stay two.

// fingerprint stands for a message.
type fingerprint [16]byte

func fingerprintOf(m proto.Message) fingerprint {
	date := ""
	switch {
	case !m.Date.Time.IsZero():
		date = m.Date.Time.UTC().Format(time.RFC3339Nano)
	case m.Date.Raw != nil:
		date = fmt.Sprint(m.Date.Raw)
	}
	var b []byte
	for _, s := range []string{m.From, m.To, date, m.Body} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return fingerprint(sum[:])
}

// Bounds of what a ledger remembers.
const (
	ledgerMost  = 1 << 14 // messages
	undatedMost = 1 << 10 // messages without a date that a Position holds
	dialogsMost = 1 << 8  // dialogs
	heldMost    = 1 << 12 // pushes that wait for the end of a catch-up
)

// entry is a message in a ledger.
type entry struct {
	fingerprint
	date time.Time
}

// ledger is what is known of the messages of a server without ids. The newest are
// known one by one, older ones by their date alone.
type ledger struct {
	known bool // it means something: what it does not know is to be delivered

	since time.Time           // every dated message from before is old
	cut   bool                // messages were forgotten
	seen  map[fingerprint]int // how many there are of each
	order []entry             // the same, oldest first

	newest   time.Time
	atNewest []fingerprint // those with that date
	undated  []fingerprint // the last ones without a date
	dialogs  []string      // the last ones that had messages

	// fetched counts what was delivered from a history of this connection: a push
	// of the same may still be on its way.
	fetched map[fingerprint]int
}

// start begins with the messages from a bound on.
func (g *ledger) start(b Bound) { g.known, g.since = true, b.Time }

// from is a date before which no message is wanted.
func (g *ledger) from() time.Time {
	if g.since.After(g.newest) {
		return g.since
	}
	return g.newest
}

// resume begins where a Position was taken.
func (g *ledger) resume(p Position) {
	g.known, g.since, g.dialogs = true, p.Date, slices.Clone(p.Dialogs)
	g.cut = !p.Date.IsZero() || len(p.Undated) > 0
	for _, list := range []struct {
		texts []string
		date  time.Time
	}{{p.Seen, p.Date}, {p.Undated, time.Time{}}} {
		for _, s := range list.texts {
			var f fingerprint
			if b, err := base64.RawStdEncoding.DecodeString(s); err == nil && len(b) == len(f) {
				g.add(entry{fingerprint(b), list.date})
			}
		}
	}
	g.newest = p.Date
}

func (g *ledger) position() Position {
	text := func(list []fingerprint) (texts []string) {
		for _, f := range list {
			texts = append(texts, base64.RawStdEncoding.EncodeToString(f[:]))
		}
		return texts
	}
	p := Position{Date: g.from(), Undated: text(g.undated), Dialogs: slices.Clone(g.dialogs)}
	if p.Date.Equal(g.newest) {
		p.Seen = text(g.atNewest)
	}
	return p
}

// remember notes a message that was delivered, or that is from before our time.
func (g *ledger) remember(m proto.Message, dialog string) {
	g.add(entry{fingerprintOf(m), m.Date.Time})
	if n := len(g.dialogs); n > 0 && g.dialogs[n-1] == dialog || dialog == "" {
		return
	}
	if i := slices.Index(g.dialogs, dialog); i >= 0 {
		g.dialogs = slices.Delete(g.dialogs, i, i+1)
	} else if len(g.dialogs) == dialogsMost {
		g.dialogs = slices.Delete(g.dialogs, 0, 1)
	}
	g.dialogs = append(g.dialogs, dialog)
}

func (g *ledger) add(e entry) {
	if g.seen == nil {
		g.seen = map[fingerprint]int{}
	}
	g.seen[e.fingerprint]++
	g.order = append(g.order, e)
	switch {
	case e.date.IsZero():
		g.undated = append(g.undated, e.fingerprint)
		if len(g.undated) > undatedMost {
			g.undated = slices.Delete(g.undated, 0, 1)
		}
	case e.date.After(g.newest):
		g.newest, g.atNewest = e.date, []fingerprint{e.fingerprint}
	case e.date.Equal(g.newest) && len(g.atNewest) < ledgerMost:
		g.atNewest = append(g.atNewest, e.fingerprint)
	}
	if len(g.order) <= ledgerMost {
		return
	}
	old := g.order[0]
	g.order = g.order[1:] // append moves it to a new array now and then
	g.cut = true
	if g.seen[old.fingerprint]--; g.seen[old.fingerprint] == 0 {
		delete(g.seen, old.fingerprint)
	}
	if old.date.After(g.since) {
		g.since = old.date
	}
}

// before reports whether a message of a server with ids is one that was delivered
// when the same server had none.
func (g *ledger) before(m proto.Message) bool {
	if g.newest.IsZero() || m.Date.Time.IsZero() {
		return false
	}
	return m.Date.Time.Before(g.newest) || m.Date.Time.Equal(g.newest) && slices.Contains(g.atNewest, fingerprintOf(m))
}

// unknown is what of a history, oldest first, was not delivered yet. left is how
// many of each message are still to be left out.
func (g *ledger) unknown(history []proto.Message, left map[fingerprint]int) []proto.Message {
	var fresh []proto.Message
	first := -1 // the place in fresh of the first message after one that is known
	for _, m := range history {
		f := fingerprintOf(m)
		n, ok := left[f]
		if !ok {
			n = g.seen[f]
		}
		if n > 0 {
			left[f] = n - 1
			if first < 0 {
				first = len(fresh)
			}
			continue
		}
		if !m.Date.Time.IsZero() && m.Date.Time.Before(g.since) {
			continue
		}
		fresh = append(fresh, m)
	}
	if first < 1 || !g.cut {
		return fresh
	}
	// Something was forgotten. Where a date does not tell, what comes before a
	// message that is known was delivered before it.
	kept := fresh[:0]
	for i, m := range fresh {
		if i >= first || m.Date.Time.After(g.since) {
			kept = append(kept, m)
		}
	}
	return kept
}

// dialogsToAsk are the dialogs that may have had messages: with our contacts, and
// those that had some before, conferences for example.
func (k *link) dialogsToAsk(ctx context.Context, push func(proto.Frame) error) ([]string, error) {
	dialogs := slices.Clone(k.ledger.dialogs)
	r, err := k.ask(ctx, proto.GetContacts(), push)
	if err != nil {
		return dialogs, ignoreRefusal(err)
	}
	contacts, err := proto.ParseContacts(r.Fields)
	if err != nil {
		return nil, k.s.wrongReply(err)
	}
	for _, c := range contacts {
		if c.Login != "" && !slices.Contains(dialogs, c.Login) {
			dialogs = append(dialogs, c.Login)
		}
	}
	return dialogs, nil
}

// ignoreRefusal is nil for a refusal that will come again: a conference whose
// history nobody may see, say.
func ignoreRefusal(err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) && !Temporary(err) {
		return nil
	}
	return err
}

// histories asks for the histories of dialogs, and gives each to take.
func (k *link) histories(ctx context.Context, dialogs []string, push func(proto.Frame) error, take func([]proto.Message)) error {
	for _, dialog := range dialogs {
		r, err := k.ask(ctx, proto.GetHistory(dialog, proto.Page{}), push)
		if err != nil {
			if err := ignoreRefusal(err); err != nil {
				return fmt.Errorf("the history with %s: %w", dialog, err)
			}
			continue
		}
		messages, err := proto.ParseMessages(r.Fields, "history")
		if err != nil {
			return k.s.wrongReply(err)
		}
		take(messages)
	}
	return nil
}

// byDate puts messages of several histories in the order of their dates. One
// without a date stays behind the one before it in its own history.
func byDate(histories [][]proto.Message) []proto.Message {
	type placed struct {
		proto.Message
		at time.Time
	}
	var all []placed
	for _, h := range histories {
		var at time.Time
		for _, m := range h {
			if m.Date.Time.After(at) {
				at = m.Date.Time
			}
			all = append(all, placed{m, at})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return a.at.Compare(b.at) })
	messages := make([]proto.Message, len(all))
	for i, p := range all {
		messages[i] = p.Message
	}
	return messages
}

// beginPlain learns what there is already, so that it is not taken for missed
// later. What is pushed meanwhile is new, and is delivered.
func (k *link) beginPlain(ctx context.Context) error {
	g := &k.ledger
	if !k.Reconnect && k.Settled == nil {
		g.known = true // nothing will ever be caught up with
		return nil
	}
	var pushed []proto.Message
	push := func(f proto.Frame) error {
		if f.Type() != proto.TypeShowMessage {
			return k.event(ctx, f)
		}
		m := proto.ParseMessage(f)
		return k.hand(m, func() { pushed = append(pushed, m) })
	}
	dialogs, err := k.dialogsToAsk(ctx, push)
	var old [][]proto.Message
	if err == nil {
		err = k.histories(ctx, dialogs, push, func(h []proto.Message) { old = append(old, h) })
	}
	// What was delivered is remembered whatever happened.
	have := map[fingerprint]int{}
	for _, m := range byDate(old) {
		have[fingerprintOf(m)]++
		g.remember(m, m.Dialog(k.account.Login))
	}
	for _, m := range pushed {
		if f := fingerprintOf(m); have[f] > 0 {
			have[f]-- // the history had it already
		} else {
			g.remember(m, m.Dialog(k.account.Login))
		}
	}
	g.known = err == nil
	return err
}

// catchUpPlain delivers what the histories have and we have not. dialogs nil is
// all of them.
func (k *link) catchUpPlain(ctx context.Context, dialogs []string) error {
	g := &k.ledger
	for all := dialogs == nil; all || len(dialogs) > 0; all = false {
		if all {
			g.fetched = map[fingerprint]int{}
		}
		var held []proto.Message
		size := 0
		var again []string // dialogs to look at once more
		hold := func(f proto.Frame) error {
			if f.Type() != proto.TypeShowMessage {
				return k.event(ctx, f)
			}
			m := proto.ParseMessage(f)
			if len(held) < heldMost && size < inboxBytes {
				size += len(m.Body)
				held = append(held, m)
			} else {
				again = append(again, m.Dialog(k.account.Login))
			}
			return nil
		}
		if all {
			var err error
			if dialogs, err = k.dialogsToAsk(ctx, hold); err != nil {
				return err
			}
		}
		left := map[fingerprint]int{}
		var missed [][]proto.Message
		err := k.histories(ctx, dialogs, hold, func(h []proto.Message) { missed = append(missed, g.unknown(h, left)) })
		if err != nil {
			return err
		}
		for _, m := range byDate(missed) {
			if ctx.Err() != nil {
				return ended(ctx)
			}
			if err := k.take(m); err != nil {
				return err
			}
			if len(g.fetched) >= ledgerMost {
				clear(g.fetched)
			}
			g.fetched[fingerprintOf(m)]++
		}
		for _, m := range held {
			// Where one waits for another look at the history, those behind it must not
			// overtake it: they are found there as well.
			if dialog := m.Dialog(k.account.Login); slices.Contains(again, dialog) || k.fetched(m) {
				again = append(again, dialog)
			} else if err := k.take(m); err != nil {
				return err
			}
		}
		slices.Sort(again)
		dialogs = slices.Compact(again)
	}
	return nil
}

// take delivers a message and remembers it.
func (k *link) take(m proto.Message) error {
	return k.hand(m, func() { k.ledger.remember(m, m.Dialog(k.account.Login)) })
}

// fetched reports whether a push may be of a message that a history had before.
func (k *link) fetched(m proto.Message) bool {
	f := fingerprintOf(m)
	if k.ledger.fetched[f] == 0 {
		return false
	}
	k.ledger.fetched[f]--
	return true
}

// eventPlain delivers a message that was pushed. Where it looks like one that was
// fetched, the history tells whether it is another one.
func (k *link) eventPlain(ctx context.Context, m proto.Message) error {
	if k.fetched(m) {
		return k.catchUpPlain(ctx, []string{m.Dialog(k.account.Login)})
	}
	return k.take(m)
}
