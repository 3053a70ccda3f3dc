package store

import (
	"context"
	"database/sql"
	"time"
)

// MinKeep is how long messages are kept at least: a sender may repeat one that long.
const MinKeep = NonceLife

// Bounds of a transaction of Prune, for which other messages wait. What is deleted is overwritten
// (eraseDeleted), so its size counts too.
const (
	deleteBatch = 500     // messages
	deleteBytes = 1 << 20 // of their bodies and fields; one message may have more
)

// lastOfBatch is the query for the last message of a transaction.
const lastOfBatch = `SELECT max(id) FROM (
	SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM (
		SELECT id, octet_length(body) + coalesce(octet_length(fields), 0) AS size FROM messages WHERE id > ? AND id < ? AND date < ? ORDER BY id LIMIT ?))
	WHERE before < ?`

// Prune deletes the messages from before a time, and returns how many. SQLite gives the id above
// the highest that exists, so the newest message stays if it is old, without its contents: no id
// is given twice.
func (s *Store) Prune(ctx context.Context, before time.Time) (deleted int64, err error) {
	newest, err := s.LastID(ctx)
	if err != nil {
		return 0, err
	}
	for after := int64(-1); ; {
		var last sql.NullInt64
		err := s.read.QueryRowContext(ctx, lastOfBatch, after, newest, toMicros(before), deleteBatch, deleteBytes).Scan(&last)
		if err != nil {
			return deleted, err
		}
		if !last.Valid {
			n, err := s.emptyNewest(newest, before)
			return deleted + n, err
		}
		n, err := s.deleteMessages(after, last.Int64, before)
		if deleted += n; err != nil {
			return deleted, err
		}
		after = last.Int64
	}
}

// deleteMessages deletes the messages from before a time with after < id <= last.
func (s *Store) deleteMessages(after, last int64, before time.Time) (deleted int64, err error) {
	err = s.perform(func() error {
		deleted, err = s.change("DELETE FROM messages WHERE id > ? AND id <= ? AND date < ?", after, last, toMicros(before))
		return err
	})
	return deleted, err
}

// emptyNewest takes the contents of the newest message if it is from before a time. No user has
// the number 0.
func (s *Store) emptyNewest(id int64, before time.Time) (emptied int64, err error) {
	err = s.perform(func() error {
		emptied, err = s.change("UPDATE messages SET sender = 0, recipient = 0, body = '', fields = NULL, nonce = NULL WHERE id = ? AND date < ? AND sender <> 0", id, toMicros(before))
		return err
	})
	return emptied, err
}
