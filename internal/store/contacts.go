package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// ErrNoContact is the error for somebody a user does not know.
var ErrNoContact = errors.New("no such contact")

// Contact is somebody a user knows, or a conference that a user is in.
type Contact struct {
	ID         int64
	Login      string
	Conference bool
}

// Contacts are everyone a user knows, themselves left out, and the conferences that
// they are in, by login.
func (s *Store) Contacts(ctx context.Context, user int64) ([]Contact, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, login, conference FROM users WHERE removed IS NULL AND id IN (
		SELECT contact FROM contacts WHERE user = ?1 AND contact <> ?1 UNION ALL
		SELECT conference FROM members WHERE user = ?1) ORDER BY login`, user)
	if err != nil {
		return nil, err
	}
	return scanContacts(rows)
}

func scanContacts(rows *sql.Rows) ([]Contact, error) {
	defer rows.Close()
	var list []Contact
	for rows.Next() {
		var c Contact
		if err := rows.Scan(&c.ID, &c.Login, &c.Conference); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// searchForm is a part of a login in the form that logins are stored in (see Login):
// any text, since a part of a login need not be one.
var searchForm = precis.NewFreeform(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

// Search finds the users whose login holds a text, by login, and whether there are
// more than the limit. Every character stands for itself.
func (s *Store) Search(ctx context.Context, text string, limit int) (list []Contact, more bool, err error) {
	if len(text) > maxSpelled {
		return nil, false, nil // longer than any login
	}
	part, err := searchForm.String(strings.ToValidUTF8(text, "\uFFFD"))
	if err != nil {
		return nil, false, nil // it holds what no login holds
	}
	rows, err := s.read.QueryContext(ctx, "SELECT id, login, conference FROM users WHERE NOT conference AND removed IS NULL AND instr(login, ?) > 0 ORDER BY login LIMIT ?", part, limit+1)
	if err != nil {
		return nil, false, err
	}
	if list, err = scanContacts(rows); len(list) > limit {
		return list[:limit], true, err
	}
	return list, false, err
}

// AddContact makes somebody a contact of a user, but not the user one of theirs.
func (s *Store) AddContact(user, contact int64) error {
	return s.do(func() error { return s.know(user, contact) })
}

// RemoveContact makes a user forget a contact, until a message goes between them;
// ErrNoContact.
func (s *Store) RemoveContact(user, contact int64) error {
	return s.do(func() error {
		n, err := s.changed("DELETE FROM contacts WHERE user = ? AND contact = ?", user, contact)
		delete(s.pairs, [2]int64{user, contact})
		if err == nil && n == 0 {
			err = ErrNoContact
		}
		return err
	})
}

// pair makes two users contacts of each other.
func (s *Store) pair(a, b int64) error {
	if err := s.know(a, b); err != nil {
		return err
	}
	return s.know(b, a)
}

// know makes somebody a contact of a user.
func (s *Store) know(user, contact int64) error {
	p := [2]int64{user, contact}
	if s.pairs[p] {
		return nil
	}
	if err := s.exec("INSERT OR IGNORE INTO contacts (user, contact) VALUES (?, ?)", user, contact); err != nil {
		return err
	}
	if len(s.pairs) >= 1<<18 {
		clear(s.pairs)
	}
	s.pairs[p] = true
	return nil
}
