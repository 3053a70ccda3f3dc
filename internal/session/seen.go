package session

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// fingerprint identifies a message on a server without ids.
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

// Bounds of what a seen set and the Position made of it remember.
const (
	seenMost    = 1 << 14 // messages
	undatedMost = 1 << 10 // messages without a date
	dialogsMost = 1 << 8  // dialogs
	dialogBytes = 1 << 8  // of the name of a dialog; a longer one is not remembered
)

// seenSet knows the messages that were delivered on a server without ids. It knows the
// newest ones by their fingerprints, and counts equal ones; it knows older ones by
// their date alone.
type seenSet struct {
	since   time.Time           // a message with an earlier date counts as seen
	forgot  bool                // messages with fingerprints were forgotten
	counts  map[fingerprint]int // the messages with each fingerprint
	order   []seenMessage       // the same messages, oldest first
	dialogs []string            // the last dialogs that had messages

	newest   time.Time
	atNewest []fingerprint // the messages with that date
	undated  []fingerprint // the last messages without a date

	frozen *Position // position returns it; nil means that the set is not frozen
	later  sightings // what was added since the set was frozen
}

type seenMessage struct {
	fingerprint
	date time.Time // zero if the message has none
}

// seenBefore returns the set for a listener that begins at a bound.
func seenBefore(b Bound) *seenSet { return &seenSet{since: b.Time} }

// seenUpTo returns the set for a listener that resumes at a position.
func seenUpTo(p Position) *seenSet {
	s := &seenSet{since: p.Date, dialogs: slices.Clone(p.Dialogs), forgot: !p.Date.IsZero() || len(p.Undated) > 0}
	s.addTexts(p.Seen, p.Date)
	s.addTexts(p.Undated, time.Time{})
	s.newest = p.Date
	return s
}

// addTexts adds the messages whose fingerprints a Position holds as text.
func (s *seenSet) addTexts(texts []string, date time.Time) {
	for _, text := range texts {
		var f fingerprint
		if b, err := base64.RawStdEncoding.DecodeString(text); err == nil && len(b) == len(f) {
			s.addOne(seenMessage{fingerprint(b), date})
		}
	}
}

// position returns the Position from which seenUpTo makes an equivalent set.
func (s *seenSet) position() Position {
	if s.frozen != nil {
		return *s.frozen
	}
	p := Position{Date: s.from(), Undated: texts(s.undated), Dialogs: slices.Clone(s.dialogs)}
	if p.Date.Equal(s.newest) {
		p.Seen = texts(s.atNewest)
	}
	return p
}

func texts(list []fingerprint) []string {
	var texts []string
	for _, f := range list {
		texts = append(texts, base64.RawStdEncoding.EncodeToString(f[:]))
	}
	return texts
}

// from returns the date before which every message is seen.
func (s *seenSet) from() time.Time {
	if s.since.After(s.newest) {
		return s.since
	}
	return s.newest
}

// add adds a message of a dialog. It was delivered, or is to be skipped.
func (s *seenSet) add(m proto.Message, dialog string) {
	if s.frozen != nil {
		s.later.addNext(m, dialog)
		return
	}
	s.addOne(seenMessage{fingerprintOf(m), m.Date.Time})
	s.addDialog(dialog)
}

// see adds a message.
func (s *seenSet) see(m sighting) {
	s.addOne(m.seenMessage)
	s.addDialog(m.dialog)
}

// freeze keeps the position where it is until thaw: messages are added out of order, and a
// position after one of them would pass over others. After a lost connection, and in a run
// that resumes, these messages come again.
func (s *seenSet) freeze() {
	if s.frozen == nil {
		p := s.position()
		s.frozen = &p
	}
}

// thaw adds what was added since freeze, in the order of dates.
func (s *seenSet) thaw() {
	if s.frozen == nil {
		return
	}
	later := s.later
	s.unfreeze()
	later.each(s, s.see)
}

// unfreeze forgets what was added since freeze.
func (s *seenSet) unfreeze() { s.frozen, s.later = nil, sightings{} }

// addDialog notes that a dialog has had a message.
func (s *seenSet) addDialog(dialog string) {
	if n := len(s.dialogs); dialog == "" || len(dialog) > dialogBytes || n > 0 && s.dialogs[n-1] == dialog {
		return
	}
	if i := slices.Index(s.dialogs, dialog); i >= 0 {
		s.dialogs = slices.Delete(s.dialogs, i, i+1)
	} else if len(s.dialogs) == dialogsMost {
		s.dialogs = slices.Delete(s.dialogs, 0, 1)
	}
	s.dialogs = append(s.dialogs, dialog)
}

func (s *seenSet) addOne(m seenMessage) {
	if s.counts == nil {
		s.counts = map[fingerprint]int{}
	}
	s.counts[m.fingerprint]++
	s.order = append(s.order, m)
	switch {
	case m.date.IsZero():
		s.undated = append(s.undated, m.fingerprint)
		if len(s.undated) > undatedMost {
			s.undated = s.undated[1:] // append moves the rest to a new array now and then
		}
	case m.date.After(s.newest):
		s.newest, s.atNewest = m.date, []fingerprint{m.fingerprint}
	case m.date.Equal(s.newest) && len(s.atNewest) < seenMost:
		s.atNewest = append(s.atNewest, m.fingerprint)
	}
	if len(s.order) > seenMost {
		s.forgetOldest()
	}
}

func (s *seenSet) forgetOldest() {
	old := s.order[0]
	s.order = s.order[1:] // append moves the rest to a new array now and then
	s.forgot = true
	if s.counts[old.fingerprint]--; s.counts[old.fingerprint] == 0 {
		delete(s.counts, old.fingerprint)
	}
	if old.date.After(s.since) {
		s.since = old.date
	}
}

// sighting is a message of a dialog that is to be added to a seen set.
type sighting struct {
	seenMessage
	dialog string
	at     time.Time // where it stands in the order: its date, or that of the one before it
}

// sightings are the newest messages to be added to a seen set, as many as it can have.
type sightings struct {
	list   []sighting
	last   time.Time // where the last one stands
	forgot bool      // an older message was left out
	since  time.Time // the latest date of those
}

// add adds the messages of a history.
func (s *sightings) add(history []proto.Message, own string) {
	s.last = time.Time{}
	for _, m := range history {
		if m.Date.Time.After(s.last) {
			s.last = m.Date.Time
		}
		s.put(m, m.Dialog(own))
	}
}

// addNext adds a message, which stays behind the one before it if it has no date.
func (s *sightings) addNext(m proto.Message, dialog string) {
	if !m.Date.Time.IsZero() {
		s.last = m.Date.Time
	}
	s.put(m, dialog)
}

func (s *sightings) put(m proto.Message, dialog string) {
	if len(dialog) > dialogBytes {
		dialog = ""
	}
	s.list = append(s.list, sighting{seenMessage{fingerprintOf(m), m.Date.Time}, dialog, s.last})
	if len(s.list) < 2*seenMost {
		return
	}
	s.sort()
	older := len(s.list) - seenMost
	for _, m := range s.list[:older] {
		if m.date.After(s.since) {
			s.since = m.date
		}
	}
	s.list, s.forgot = slices.Delete(s.list, 0, older), true
}

func (s *sightings) sort() {
	slices.SortStableFunc(s.list, func(a, b sighting) int { return a.at.Compare(b.at) })
}

// each calls see for each message, oldest first; see adds it to set. In set, the messages that put
// has left out count as seen by their date.
func (s *sightings) each(set *seenSet, see func(sighting)) {
	if s.forgot {
		set.forgot = true
		if s.since.After(set.since) {
			set.since = s.since
		}
	}
	s.sort()
	for _, m := range s.list {
		see(m)
	}
}

// has reports whether a message was delivered, by its date. It is for a server that has
// begun to give ids: its messages are requested by date.
func (s *seenSet) has(m proto.Message) bool {
	if s.newest.IsZero() || m.Date.Time.IsZero() {
		return false
	}
	return m.Date.Time.Before(s.newest) || m.Date.Time.Equal(s.newest) && slices.Contains(s.atNewest, fingerprintOf(m))
}

// unseen returns the messages of a history, oldest first, that were not delivered yet.
// left counts, for each fingerprint, the seen messages that no history has shown yet; it
// is one map for all histories that are fetched together.
func (s *seenSet) unseen(history []proto.Message, left map[fingerprint]int) []proto.Message {
	var fresh []proto.Message
	first := -1 // the index in fresh of the first message that follows a seen one
	for _, m := range history {
		f := fingerprintOf(m)
		n, ok := left[f]
		if !ok {
			n = s.counts[f]
		}
		switch {
		case n > 0:
			left[f] = n - 1
			if first < 0 {
				first = len(fresh)
			}
		case m.Date.Time.IsZero() || !m.Date.Time.Before(s.since):
			fresh = append(fresh, m)
		}
	}
	if first < 1 || !s.forgot {
		return fresh
	}
	// The set may have forgotten a message that comes before a seen one. So such a message counts
	// as delivered, unless its date is later than those of all forgotten messages.
	kept := fresh[:0]
	for i, m := range fresh {
		if i >= first || m.Date.Time.After(s.since) {
			kept = append(kept, m)
		}
	}
	return kept
}
