package store

import (
	"context"
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
	var nonce any
	if l.Nonce != "" {
		nonce = l.Nonce
	}
	for {
		id, err := s.add(l, to, nonce)
		if err != nil {
			return Stored{}, err
		}
		if id != 0 {
			return Stored{ID: id, Date: fromMicros(micros(l.Date)), Recipient: to}, s.pair(l.Sender, to)
		}
		first, known, err := s.first(l, to)
		if known || err != nil {
			return first, err
		}
	}
}

// add inserts a message; 0 means that the sender has used the nonce before.
func (s *Store) add(l Letter, to int64, nonce any) (id int64, err error) {
	st, err := s.stmt(`INSERT INTO messages (date, sender, recipient, body, nonce) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (sender, nonce) WHERE nonce IS NOT NULL DO NOTHING`)
	if err != nil {
		return 0, err
	}
	r, err := st.Exec(micros(l.Date), l.Sender, to, l.Body, nonce)
	if err != nil {
		return 0, err
	}
	if n, err := r.RowsAffected(); n == 0 || err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// first finds the message that a nonce was used for. A nonce that is too old is
// forgotten.
func (s *Store) first(l Letter, to int64) (m Stored, known bool, err error) {
	var date int64
	var body string
	err = s.row("SELECT id, date, recipient, body FROM messages WHERE sender = ? AND nonce = ?", l.Sender, l.Nonce).Scan(&m.ID, &date, &m.Recipient, &body)
	if err != nil {
		return m, false, err
	}
	m.Date, m.Repeated = fromMicros(date), true
	if l.Date.Sub(m.Date) > NonceLife {
		return m, false, s.exec("UPDATE messages SET nonce = NULL WHERE id = ?", m.ID)
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

// pruneMost is how many messages one write looks at for nonces to forget.
const pruneMost = 5000

// PruneNonces forgets the nonces of messages older than NonceLife, which makes
// the index of nonces smaller; a nonce that is too old counts as forgotten all the
// same.
func (s *Store) PruneNonces(now time.Time) error {
	for {
		var from, to int64
		err := s.do(func() error {
			err := s.row(`SELECT pruned, coalesce((SELECT max(id) FROM (SELECT id, date FROM messages WHERE id > pruned ORDER BY id LIMIT ?) WHERE date < ?), pruned) FROM server`,
				pruneMost, micros(now.Add(-NonceLife))).Scan(&from, &to)
			if err != nil || from == to {
				return err
			}
			if err := s.exec("UPDATE messages SET nonce = NULL WHERE id > ? AND id <= ? AND nonce IS NOT NULL", from, to); err != nil {
				return err
			}
			return s.exec("UPDATE server SET pruned = ?", to)
		})
		if err != nil || to-from < pruneMost {
			return err
		}
	}
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
