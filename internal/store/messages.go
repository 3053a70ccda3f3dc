package store

import (
	"context"
	"database/sql"
	"errors"
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
	var refusal error
	s.begin(func() error {
		var err error
		stored, err = s.insert(l)
		if errors.Is(err, ErrNoUser) || errors.Is(err, ErrNonce) {
			refusal = err
			return nil
		}
		return err
	}, func(err error) {
		if err == nil {
			err = refusal
		}
		done(stored, err)
	})
}

func (s *Store) insert(l Letter) (Stored, error) {
	to, err := s.userID(l.To)
	if err != nil {
		return Stored{}, err
	}
	if l.Nonce != "" {
		first, known, err := s.first(l, to)
		if known || err != nil {
			return first, err
		}
	}
	st, err := s.stmt("INSERT INTO messages (date, sender, recipient, body) VALUES (?, ?, ?, ?)")
	if err != nil {
		return Stored{}, err
	}
	r, err := st.Exec(micros(l.Date), l.Sender, to, l.Body)
	if err != nil {
		return Stored{}, err
	}
	id, err := r.LastInsertId()
	if err != nil {
		return Stored{}, err
	}
	if l.Nonce != "" {
		if err := s.exec("INSERT INTO nonces (user, nonce, message) VALUES (?, ?, ?)", l.Sender, l.Nonce, id); err != nil {
			return Stored{}, err
		}
	}
	return Stored{ID: id, Date: fromMicros(micros(l.Date)), Recipient: to}, s.pair(l.Sender, to)
}

// first finds the message that a nonce was used for.
func (s *Store) first(l Letter, to int64) (Stored, bool, error) {
	var m Stored
	var date int64
	var body string
	err := s.row(`SELECT m.id, m.date, m.recipient, m.body FROM nonces n JOIN messages m ON m.id = n.message WHERE n.user = ? AND n.nonce = ?`,
		l.Sender, l.Nonce).Scan(&m.ID, &date, &m.Recipient, &body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return m, false, nil
	case err != nil:
		return m, false, err
	}
	m.Date, m.Repeated = fromMicros(date), true
	if l.Date.Sub(m.Date) > NonceLife {
		return m, false, s.exec("DELETE FROM nonces WHERE user = ? AND nonce = ?", l.Sender, l.Nonce)
	}
	if m.Recipient != to || body != l.Body {
		return m, true, ErrNonce
	}
	return m, true, nil
}

// pair makes two users contacts of each other.
func (s *Store) pair(a, b int64) error {
	for _, p := range [][2]int64{{a, b}, {b, a}} {
		if s.pairs[p] {
			continue
		}
		if err := s.exec("INSERT OR IGNORE INTO contacts (user, contact) VALUES (?, ?)", p[0], p[1]); err != nil {
			return err
		}
		if len(s.pairs) >= 1<<18 {
			clear(s.pairs)
		}
		s.pairs[p] = true
	}
	return nil
}

// PruneNonces forgets the nonces of messages older than NonceLife.
func (s *Store) PruneNonces(now time.Time) error {
	return s.do(func() error {
		// Ids grow with the dates, near enough: the check in first is exact.
		return s.exec(`DELETE FROM nonces WHERE message IN (
			SELECT n.message FROM nonces n JOIN messages m ON m.id = n.message WHERE m.date < ? ORDER BY n.message LIMIT 10000)`, micros(now.Add(-NonceLife)))
	})
}

// Contact is somebody a user knows.
type Contact struct {
	ID    int64
	Login string
}

// Contacts are everyone a user knows, by login, themselves left out.
func (s *Store) Contacts(ctx context.Context, user int64) ([]Contact, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT u.id, u.login FROM contacts c JOIN users u ON u.id = c.contact
		WHERE c.user = ? AND c.contact <> c.user AND u.removed IS NULL ORDER BY u.login`, user)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Contact
	for rows.Next() {
		var c Contact
		if err := rows.Scan(&c.ID, &c.Login); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
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

// History returns the newest messages of a page of the dialog of two users,
// oldest first, and whether older ones of the page were left out.
func (s *Store) History(ctx context.Context, a, b int64, p Page) ([]proto.Message, bool, error) {
	const dialog = `SELECT * FROM messages WHERE sender = ? AND recipient = ? AND id > ? AND id < ?`
	args := []any{a, b, p.After, p.before()}
	query := dialog
	if a != b {
		query += " UNION ALL " + dialog
		args = append(args, b, a, p.After, p.before())
	}
	list, more, err := s.messages(ctx, "SELECT * FROM ("+query+") ORDER BY id DESC LIMIT ?", " DESC", args, p)
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, more, err
}

// Updates returns the oldest messages of a page of everything a user sent or got,
// oldest first, and whether newer ones of the page were left out.
func (s *Store) Updates(ctx context.Context, user int64, p Page) ([]proto.Message, bool, error) {
	// A message to oneself is in both halves, and is wanted once.
	return s.messages(ctx, `SELECT * FROM (
		SELECT * FROM messages WHERE recipient = ? AND id > ? AND id < ?
		UNION ALL
		SELECT * FROM messages WHERE sender = ? AND recipient <> sender AND id > ? AND id < ?
	) ORDER BY id LIMIT ?`, "", []any{user, p.After, p.before(), user, p.After, p.before()}, p)
}

func (p Page) before() int64 {
	if p.Before == 0 {
		return 1<<63 - 1
	}
	return p.Before
}

// messages runs a query for one message more than the limit, which tells whether
// there are more.
func (s *Store) messages(ctx context.Context, inner, order string, args []any, p Page) (list []proto.Message, more bool, err error) {
	query := "SELECT m.id, m.date, s.login, r.login, m.body FROM (" + inner + ") m JOIN users s ON s.id = m.sender JOIN users r ON r.id = m.recipient ORDER BY m.id" + order
	rows, err := s.read.QueryContext(ctx, query, append(args, p.Limit+1)...)
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
