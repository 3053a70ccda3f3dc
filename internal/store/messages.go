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
	To     string // a login that has been through Login
	Body   string
	Nonce  string // "": none
	Date   time.Time
}

// Stored is a message that is on disk.
type Stored struct {
	ID        int64
	Date      time.Time
	Recipient int64
	Repeated  bool // the nonce was known: this is the first one again
}

// Send stores a message. done is called when it is on disk, from the writing
// goroutine, in the order of the ids: it must not wait. Its error is ErrNoUser,
// ErrNonce, or what kept the message from the disk.
func (s *Store) Send(l Letter, done func(Stored, error)) {
	var stored Stored
	s.begin(func() (err error) {
		stored, err = s.insert(l)
		return err
	}, func(err error) { done(stored, err) })
}

func (s *Store) insert(l Letter) (Stored, error) {
	to, err := s.userID(l.To)
	if errors.Is(err, ErrNoUser) && l.Nonce != "" {
		// The recipient may have been removed since the first time.
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
	r, err := st.Exec(micros(l.Date), l.Sender, to, l.Body, sql.NullString{String: l.Nonce, Valid: l.Nonce != ""})
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
	return Stored{ID: id, Date: fromMicros(micros(l.Date)), Recipient: to}, s.pair(l.Sender, to)
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
	var id int64
	err := s.read.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM messages").Scan(&id)
	return id, err
}

// Page says which messages are wanted: those with After < id < Before, and of
// them no more than Limit, and no more than fit into Bytes of body (at least one
// is returned, however long).
type Page struct {
	After, Before int64 // Before 0: no bound
	Limit         int
	Bytes         int
}

// Each half of these is a range of one index in the order of the ids, and SQLite
// merges the two: nothing is sorted, and nothing beyond the limit is read.
const (
	columns      = "SELECT m.id, m.date, s.login, r.login, m.body FROM messages m CROSS JOIN users s ON s.id = m.sender CROSS JOIN users r ON r.id = m.recipient "
	historyQuery = columns + "WHERE m.sender = ?1 AND m.recipient = ?2 AND m.id > ?3 AND m.id < ?4 UNION ALL " +
		columns + "WHERE m.sender = ?2 AND m.recipient = ?1 AND m.id > ?3 AND m.id < ?4 AND ?1 <> ?2 ORDER BY m.id DESC LIMIT ?5"
	// A message to oneself is in both halves, and is wanted once.
	updatesQuery = columns + "WHERE m.recipient = ?1 AND m.id > ?2 AND m.id < ?3 UNION ALL " +
		columns + "WHERE m.sender = ?1 AND +m.recipient <> ?1 AND m.id > ?2 AND m.id < ?3 ORDER BY m.id LIMIT ?4"
)

// History returns the newest messages of a page of the dialog of two users,
// oldest first, and whether older ones of the page were left out.
func (s *Store) History(ctx context.Context, a, b int64, p Page) ([]proto.Message, bool, error) {
	list, more, err := s.messages(ctx, p, historyQuery, a, b, p.After, p.before(), p.Limit+1)
	slices.Reverse(list)
	return list, more, err
}

// Updates returns the oldest messages of a page of everything a user sent or got,
// oldest first, and whether newer ones of the page were left out.
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
		if err := rows.Scan(&m.ID, &date, &m.From, &m.To, &m.Body); err != nil {
			return nil, false, err
		}
		m.Date.Time = fromMicros(date)
		size += len(m.Body) + 150
		if len(list) == p.Limit || len(list) > 0 && size > p.Bytes {
			return list, true, nil
		}
		list = append(list, m)
	}
	return list, false, rows.Err()
}
