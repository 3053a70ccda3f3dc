package store

import (
	"context"
	"database/sql"
	"strings"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// Contact is a contact of a user: another user, or a conference that the user is in.
type Contact struct {
	ID         int64
	Login      string
	Conference bool
}

// Contacts returns the contacts of a user, without the user, and the user's conferences, by
// login.
func (s *Store) Contacts(ctx context.Context, user int64) ([]Contact, error) {
	return scanContacts(s.read.QueryContext(ctx, `SELECT id, login, conference FROM users WHERE removed IS NULL AND id IN (
		SELECT contact FROM contacts WHERE user = ?1 AND contact <> ?1 UNION ALL
		SELECT conference FROM members WHERE user = ?1) ORDER BY login`, user))
}

func scanContacts(rows *sql.Rows, err error) ([]Contact, error) {
	if err != nil {
		return nil, err
	}
	return collect(rows, func(c *Contact) []any { return []any{&c.ID, &c.Login, &c.Conference} })
}

// searchForm is LoginForm for a part of a login, which may be any text.
var searchForm = precis.NewFreeform(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

// Search finds the users whose login contains a text, by login, and reports whether there
// are more than the limit. Every character stands for itself.
func (s *Store) Search(ctx context.Context, text string, limit int) (list []Contact, more bool, err error) {
	if len(text) > maxSpelled {
		return nil, false, nil // longer than any login
	}
	part, err := searchForm.String(strings.ToValidUTF8(text, "\uFFFD"))
	if err != nil {
		return nil, false, nil // no login contains it
	}
	list, err = scanContacts(s.read.QueryContext(ctx,
		"SELECT id, login, conference FROM users WHERE NOT conference AND removed IS NULL AND instr(login, ?) > 0 ORDER BY login LIMIT ?", part, limit+1))
	if len(list) > limit {
		return list[:limit], true, err
	}
	return list, false, err
}

// AddContact makes a user a contact of another one.
func (s *Store) AddContact(user, contact int64) error {
	return s.performFor(user, func() error { return s.addContact(user, contact) })
}

// RemoveContact removes a contact of a user, until there is a message between them. The
// error may be ErrNoContact.
func (s *Store) RemoveContact(user, contact int64) error {
	return s.performFor(user, func() error {
		n, err := s.change("DELETE FROM contacts WHERE user = ? AND contact = ?", user, contact)
		delete(s.known, [2]int64{user, contact})
		if err == nil && n == 0 {
			err = ErrNoContact
		}
		return err
	})
}

// addContacts makes two users contacts of each other, inside the writing goroutine.
func (s *Store) addContacts(a, b int64) error {
	if err := s.addContact(a, b); err != nil {
		return err
	}
	return s.addContact(b, a)
}

// addContact is AddContact inside the writing goroutine.
func (s *Store) addContact(user, contact int64) error {
	pair := [2]int64{user, contact}
	if s.known[pair] {
		return nil
	}
	err := s.exec("INSERT OR IGNORE INTO contacts (user, contact) VALUES (?, ?)", user, contact)
	if err == nil {
		cache(s.known, cachedContacts, pair, true)
	}
	return err
}
