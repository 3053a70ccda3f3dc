package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Letter is a message to be stored.
type Letter struct {
	Sender int64
	To     string // a login or the name of a conference, in the form of LoginForm
	Body   string
	Nonce  string // "": none
	Date   time.Time
}

// Stored is a message that is on disk.
type Stored struct {
	ID        int64
	Date      time.Time
	Recipient int64
	Members   []int64 // of the conference that it went to, the sender among them; to a user: nil
	Repeated  bool    // the nonce was known: this is the first one again
}

// Send stores a message. done is called when it is on disk, from the writing
// goroutine, in the order of the ids: it must not wait. Its error is ErrNoUser,
// ErrNotMember, ErrNonce, or what kept the message from the disk.
func (s *Store) Send(l Letter, done func(Stored, error)) {
	var stored Stored
	s.begin(func() (err error) {
		stored, err = s.insert(l)
		return err
	}, func(err error) { done(stored, err) })
}

func (s *Store) insert(l Letter) (Stored, error) {
	to, members, err := s.recipient(l)
	if l.Nonce != "" && (errors.Is(err, ErrNoUser) || errors.Is(err, ErrNotMember)) {
		// The recipient may have been removed since the first time, or we from the conference.
		if first, err := s.first(l); !errors.Is(err, sql.ErrNoRows) {
			return first, err
		}
	}
	if err != nil {
		return Stored{}, err
	}
	st, err := s.stmt("INSERT INTO messages (date, sender, recipient, body, nonce) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
	if err != nil {
		return Stored{}, err
	}
	r, err := st.Exec(micros(l.Date), l.Sender, to.id, l.Body, sql.NullString{String: l.Nonce, Valid: l.Nonce != ""})
	if err != nil {
		return Stored{}, err
	}
	switch n, err := r.RowsAffected(); {
	case err != nil:
		return Stored{}, err
	case n == 0: // the nonce is there
		return s.first(l)
	}
	id, err := r.LastInsertId()
	if err != nil {
		return Stored{}, err
	}
	stored := Stored{ID: id, Date: fromMicros(micros(l.Date)), Recipient: to.id, Members: members}
	if to.conference {
		return stored, nil
	}
	return stored, s.pair(l.Sender, to.id)
}

// recipient is whom a letter is for, and the members where that is a conference;
// ErrNoUser, ErrNotMember.
func (s *Store) recipient(l Letter) (to named, members []int64, err error) {
	if to, err = s.named(l.To); err != nil || !to.conference {
		return to, nil, err
	}
	if members, err = s.membersOf(to.id); err != nil {
		return to, nil, err
	}
	if _, in := slices.BinarySearch(members, l.Sender); !in {
		return to, nil, ErrNotMember
	}
	return to, members, nil
}

// first is the outcome of a message whose nonce was used before: that of the
// first one, or sql.ErrNoRows where there is none.
func (s *Store) first(l Letter) (Stored, error) {
	var m Stored
	var date int64
	var body, to string
	err := s.row(`SELECT m.id, m.date, m.recipient, m.body, r.login FROM messages m JOIN users r ON r.id = m.recipient WHERE m.sender = ? AND m.nonce = ?`,
		l.Sender, l.Nonce).Scan(&m.ID, &date, &m.Recipient, &body, &to)
	if err != nil {
		return Stored{}, err
	}
	m.Date, m.Repeated = fromMicros(date), true
	if l.Date.Sub(m.Date) > NonceLife {
		if err := s.exec("UPDATE messages SET nonce = NULL WHERE id = ?", m.ID); err != nil {
			return Stored{}, err
		}
		return s.insert(l)
	}
	if to != l.To || body != l.Body {
		return Stored{}, ErrNonce
	}
	return m, nil
}

// pruneBatch bounds how long PruneNonces keeps messages waiting.
const pruneBatch = 2000

// PruneNonces forgets the nonces of messages older than NonceLife. It looks at
// each message once: ids grow with the dates, near enough, and what is passed
// over is old all the same when its nonce comes again.
func (s *Store) PruneNonces(now time.Time) error {
	before := micros(now.Add(-NonceLife))
	for {
		var upTo sql.NullInt64
		err := s.do(func() error {
			err := s.row(`SELECT max(id) FROM (SELECT id, date FROM messages WHERE id > (SELECT nonceless FROM server) ORDER BY id LIMIT ?) WHERE date < ?`,
				pruneBatch, before).Scan(&upTo)
			if err != nil || !upTo.Valid {
				return err
			}
			if err := s.exec("UPDATE messages SET nonce = NULL WHERE id > (SELECT nonceless FROM server) AND id <= ? AND date < ? AND nonce IS NOT NULL",
				upTo.Int64, before); err != nil {
				return err
			}
			return s.exec("UPDATE server SET nonceless = ?", upTo.Int64)
		})
		if err != nil || !upTo.Valid {
			return err
		}
	}
}

// LastID is the id of the newest message of all.
func (s *Store) LastID(ctx context.Context) (int64, error) {
	return lastID(ctx, s.read)
}

// Page says which messages are wanted: those with After < id < Before, and of
// them no more than Limit, and no more than fit into Bytes on the wire (at least one
// is returned, however long).
type Page struct {
	After, Before int64 // Before 0: no bound
	Limit         int
	Bytes         int
}

// However many messages there are, no query reads much more than its limit, or sorts
// messages: each part is a range of one index in the order of the ids, and SQLite merges
// the parts. Only in updatesQuery it sorts, and no more than ids: the first so many of
// each conference. And it passes over what its user said in conferences that they are
// no longer in, half a microsecond for each.
const (
	columns      = "SELECT m.id, m.date, s.login, r.login, r.conference, m.body FROM messages m CROSS JOIN users s ON s.id = m.sender CROSS JOIN users r ON r.id = m.recipient "
	historyQuery = columns + "WHERE m.sender = ?1 AND m.recipient = ?2 AND m.id > ?3 AND m.id < ?4 UNION ALL " +
		columns + "WHERE m.sender = ?2 AND m.recipient = ?1 AND m.id > ?3 AND m.id < ?4 AND ?1 <> ?2 ORDER BY m.id DESC LIMIT ?5"
	conferenceQuery = columns + "WHERE m.recipient = ?1 AND m.id > ?2 AND m.id < ?3 ORDER BY m.id DESC LIMIT ?4"
	updatesQuery    = columns + `WHERE m.id IN (
		SELECT id FROM messages WHERE recipient = ?1 AND id > ?2 AND id < ?3
		UNION SELECT x.id FROM messages x CROSS JOIN users u ON u.id = x.recipient WHERE x.sender = ?1 AND x.id > ?2 AND x.id < ?3
			AND (NOT u.conference OR EXISTS (SELECT 1 FROM members WHERE conference = u.id AND user = ?1))
		UNION SELECT x.id FROM members k CROSS JOIN messages x ON x.id IN (
			SELECT id FROM messages WHERE recipient = k.conference AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4) WHERE k.user = ?1
		ORDER BY 1 LIMIT ?4) ORDER BY m.id`
)

// History returns the newest messages of a page of the dialog of two users,
// oldest first, and whether older ones of the page were left out.
func (s *Store) History(ctx context.Context, a, b int64, p Page) ([]proto.Message, bool, error) {
	return reversed(s.messages(ctx, p, historyQuery, a, b, p.After, p.before(), p.Limit+1))
}

// ConferenceHistory is History for what was said in a conference.
func (s *Store) ConferenceHistory(ctx context.Context, conference int64, p Page) ([]proto.Message, bool, error) {
	return reversed(s.messages(ctx, p, conferenceQuery, conference, p.After, p.before(), p.Limit+1))
}

func reversed(list []proto.Message, more bool, err error) ([]proto.Message, bool, error) {
	slices.Reverse(list)
	return list, more, err
}

// Updates returns the oldest messages of a page of everything that a user sent or got,
// and of all that was said in the conferences that they are in now, oldest first, and
// whether newer ones of the page were left out.
func (s *Store) Updates(ctx context.Context, user int64, p Page) ([]proto.Message, bool, error) {
	return s.messages(ctx, p, updatesQuery, user, p.After, p.before(), p.Limit+1)
}

func (p Page) before() int64 {
	if p.Before == 0 {
		return 1<<63 - 1
	}
	return p.Before
}

// messages runs a query for one message more than the limit, which tells whether
// there are more.
func (s *Store) messages(ctx context.Context, p Page, query string, args ...any) (list []proto.Message, more bool, err error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	size := 0
	for rows.Next() {
		var m proto.Message
		var date int64
		var conference bool
		if err := rows.Scan(&m.ID, &date, &m.From, &m.To, &conference, &m.Body); err != nil {
			return nil, false, err
		}
		if conference {
			m.Conference = m.To
		}
		m.Date.Time = fromMicros(date)
		size += len(m.Body) + len(m.From) + len(m.To) + len(m.Conference) + 100
		if len(list) == p.Limit || len(list) > 0 && size > p.Bytes {
			return list, true, nil
		}
		list = append(list, m)
	}
	return list, false, rows.Err()
}
