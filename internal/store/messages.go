package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// NonceLife is how long a nonce is remembered (docs/protocol.md, "nonce").
const NonceLife = 24 * time.Hour

// Message is a message to be stored.
type Message struct {
	Sender int64
	To     string // a login or the name of a conference, from LoginForm
	Body   string
	Fields proto.Fields
	Nonce  string // "" means none
	Date   time.Time
}

// Stored is a message that is on disk.
type Stored struct {
	ID        int64
	Date      time.Time
	Recipient int64
	Members   []int64 // of the conference that it went to, with the sender; nil if it went to a user
	Repeated  bool    // its nonce was known: this is the first message with it
}

// Send stores a message. done is called when it is on disk, from the announcing goroutine, in
// the order of the ids; it must not wait for the store. Its error is ErrNoUser, ErrNotMember,
// ErrNonceUsed, or the reason why the message is not on disk. Send waits while the sender has
// more than a share of what may wait for the disk, and reports whether it did.
func (s *Store) Send(m Message, done func(Stored, error)) (waited bool) {
	var stored Stored
	return s.submit(m.Sender, jobCost+len(m.Body)+len(m.Fields), func() (err error) {
		stored, err = s.insertMessage(m)
		return err
	}, func(err error) { done(stored, err) })
}

// insertMessage is Send inside the writing goroutine.
func (s *Store) insertMessage(m Message) (Stored, error) {
	to, members, err := s.recipient(m)
	if m.Nonce != "" && (errors.Is(err, ErrNoUser) || errors.Is(err, ErrNotMember)) {
		// The first message with the nonce counts, even if the recipient was removed since, or
		// the sender from the conference.
		if first, err := s.firstWithNonce(m); !errors.Is(err, sql.ErrNoRows) {
			return first, err
		}
	}
	if err != nil {
		return Stored{}, err
	}
	id, inserted, err := s.insert("INSERT INTO messages (date, sender, recipient, body, fields, nonce) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		toMicros(m.Date), m.Sender, to.id, m.Body, fieldsColumn(m.Fields), sql.NullString{String: m.Nonce, Valid: m.Nonce != ""})
	if err != nil {
		return Stored{}, err
	}
	if !inserted { // the nonce is there
		return s.firstWithNonce(m)
	}
	stored := Stored{ID: id, Date: fromMicros(toMicros(m.Date)), Recipient: to.id, Members: members}
	if to.conference {
		return stored, nil
	}
	return stored, s.addContacts(m.Sender, to.id)
}

// fieldsColumn is the value of the column fields.
func fieldsColumn(f proto.Fields) any {
	if f == "" {
		return nil
	}
	return []byte(f)
}

// recipient looks up the recipient of a message, and the members if that is a conference.
// The error may be ErrNoUser or ErrNotMember.
func (s *Store) recipient(m Message) (to holder, members []int64, err error) {
	if to, err = s.holderOf(m.To); err != nil || !to.conference {
		return to, nil, err
	}
	if members, err = s.membersOf(to.id); err != nil {
		return to, nil, err
	}
	if !contains(members, m.Sender) {
		return to, nil, ErrNotMember
	}
	s.extra += memberCost * len(members)
	return to, members, nil
}

// firstWithNonce returns the message that the sender has stored with the same nonce, or
// sql.ErrNoRows. If that message is older than NonceLife, the new one is stored.
func (s *Store) firstWithNonce(m Message) (Stored, error) {
	var first Stored
	var date int64
	var body, to string
	var fields []byte
	err := s.row(`SELECT m.id, m.date, m.recipient, m.body, m.fields, r.login FROM messages m JOIN users r ON r.id = m.recipient WHERE m.sender = ? AND m.nonce = ?`,
		m.Sender, m.Nonce).Scan(&first.ID, &date, &first.Recipient, &body, &fields, &to)
	if err != nil {
		return Stored{}, err
	}
	first.Date, first.Repeated = fromMicros(date), true
	if m.Date.Sub(first.Date) > NonceLife {
		if err := s.exec("UPDATE messages SET nonce = NULL WHERE id = ?", first.ID); err != nil {
			return Stored{}, err
		}
		return s.insertMessage(m)
	}
	if to != m.To || body != m.Body || proto.Fields(fields) != m.Fields {
		return Stored{}, ErrNonceUsed
	}
	return first, nil
}

// pruneBatch bounds how long PruneNonces keeps messages waiting.
const pruneBatch = 2000

// PruneNonces forgets the nonces of messages older than NonceLife. It looks at each message once,
// in the order of ids. If the clock was set back, it may leave an old nonce, which firstWithNonce
// forgets.
func (s *Store) PruneNonces(now time.Time) error {
	before := toMicros(now.Add(-NonceLife))
	for {
		var upTo sql.NullInt64
		err := s.perform(func() error {
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

// LastID returns the id of the newest message of all, or 0.
func (s *Store) LastID(ctx context.Context) (int64, error) {
	return lastID(ctx, s.read)
}

func lastID(ctx context.Context, db *sql.DB) (id int64, err error) {
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM messages").Scan(&id)
	return id, err
}

// Page says which messages are wanted: those with After < id < Before, no more than Limit,
// and no more than fit into Bytes on the wire, but at least one.
type Page struct {
	After, Before int64 // Before 0 means no bound
	Limit         int
	Bytes         int
}

func (p Page) before() int64 {
	if p.Before == 0 {
		return 1<<63 - 1
	}
	return p.Before
}

// However many messages there are, no query reads much more than its limit, and none sorts
// messages: each part is a range of one index in the order of the ids, and SQLite merges
// the parts. Only updatesQuery sorts, and only ids: of each conference the first ones, up
// to the limit. It skips what its user sent to conferences that the user has left, which
// costs half a microsecond for each message.
const (
	columns      = "SELECT m.id, m.date, s.login, r.login, r.conference, m.body, m.fields FROM messages m CROSS JOIN users s ON s.id = m.sender CROSS JOIN users r ON r.id = m.recipient "
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

// History returns the newest messages of a page of the dialog of two users, oldest first,
// and reports whether the page has older ones.
func (s *Store) History(ctx context.Context, a, b int64, p Page) ([]proto.Message, bool, error) {
	return reversed(s.messages(ctx, p, historyQuery, a, b, p.After, p.before(), p.Limit+1))
}

// ConferenceHistory is History for the messages of a conference.
func (s *Store) ConferenceHistory(ctx context.Context, conference int64, p Page) ([]proto.Message, bool, error) {
	return reversed(s.messages(ctx, p, conferenceQuery, conference, p.After, p.before(), p.Limit+1))
}

func reversed(list []proto.Message, more bool, err error) ([]proto.Message, bool, error) {
	slices.Reverse(list)
	return list, more, err
}

// Updates returns the oldest messages of a page of everything that a user sent or received,
// and of the conferences that the user is in now, oldest first, and reports whether the
// page has newer ones.
func (s *Store) Updates(ctx context.Context, user int64, p Page) ([]proto.Message, bool, error) {
	return s.messages(ctx, p, updatesQuery, user, p.After, p.before(), p.Limit+1)
}

// messages runs a query for one message more than the limit, which shows whether there are
// more.
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
		var fields []byte
		if err := rows.Scan(&m.ID, &date, &m.From, &m.To, &conference, &m.Body, &fields); err != nil {
			return nil, false, err
		}
		if conference {
			m.Conference = m.To
		}
		m.Date.Time, m.Fields = fromMicros(date), proto.Fields(fields)
		size += len(m.Body) + len(fields) + len(m.From) + len(m.To) + len(m.Conference) + 100
		if len(list) == p.Limit || len(list) > 0 && size > p.Bytes {
			return list, true, nil
		}
		list = append(list, m)
	}
	return list, false, rows.Err()
}
