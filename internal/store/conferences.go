package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Conference is a group with a name.
type Conference struct {
	Name    string
	Created time.Time
	Members []string // their logins, in order
}

// MaxMembers is how many members a conference may have, unless Store.MaxMembers says otherwise:
// each message is pushed to all of them.
const MaxMembers = 1000

// CreateConference makes a conference with members: all or nothing. The name must come from
// Login. The error may be ErrIsConference, ErrTaken, ErrNoUser or ErrTooMany.
func (s *Store) CreateConference(name string, logins []string, now time.Time) error {
	return s.perform(func() error {
		if err := s.checkFree(name); err != nil {
			return err
		}
		users, err := s.userIDs(logins)
		if err != nil {
			return err
		}
		if err := s.checkSize(nil, users); err != nil {
			return err
		}
		id, err := s.insertHolder(name, []byte{}, true, now)
		if err != nil {
			return err
		}
		return s.insertMembers(id, users)
	})
}

// AddMembers adds users to a conference, all or none of them, and returns those that were
// members already. The error may be ErrNoConference, ErrNoUser or ErrTooMany.
func (s *Store) AddMembers(name string, logins []string) (already []string, err error) {
	err = s.changeConference(name, logins, func(id int64, users []int64) error {
		members, err := s.membersOf(id)
		if err != nil {
			return err
		}
		if err := s.checkSize(members, users); err != nil {
			return err
		}
		already = filter(logins, users, func(user int64) bool { return contains(members, user) })
		return s.insertMembers(id, users)
	})
	return already, err
}

// RemoveMembers takes users out of a conference, all or none of them. The error may be
// ErrNoConference, ErrNoUser or ErrNotMember.
func (s *Store) RemoveMembers(name string, logins []string) error {
	return s.changeConference(name, logins, func(id int64, users []int64) error {
		members, err := s.membersOf(id)
		if err != nil {
			return err
		}
		if others := filter(logins, users, func(user int64) bool { return !contains(members, user) }); len(others) > 0 {
			return fmt.Errorf("%s: %w", quoted(others), ErrNotMember)
		}
		for _, user := range users {
			if err := s.exec("DELETE FROM members WHERE conference = ? AND user = ?", id, user); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkSize returns ErrTooMany if a conference would have too many members with some more users.
func (s *Store) checkSize(members, more []int64) error {
	more = slices.Compact(slices.Sorted(slices.Values(more)))
	more = slices.DeleteFunc(more, func(user int64) bool { return contains(members, user) })
	if n := len(members) + len(more); len(more) > 0 && n > s.MaxMembers {
		return fmt.Errorf("%w: it would have %d, at most %d are allowed", ErrTooMany, n, s.MaxMembers)
	}
	return nil
}

// contains reports whether a sorted list has a user.
func contains(members []int64, user int64) bool {
	_, in := slices.BinarySearch(members, user)
	return in
}

// filter returns the logins of the wanted users.
func filter(logins []string, users []int64, wanted func(int64) bool) (found []string) {
	for i, user := range users {
		if wanted(user) {
			found = append(found, logins[i])
		}
	}
	return found
}

// DeleteConference deletes a conference. Its messages are still delivered to its members.
// The error may be ErrNoConference.
func (s *Store) DeleteConference(name string, now time.Time) error {
	return s.changeConference(name, nil, func(id int64, _ []int64) error {
		delete(s.names, name)
		return s.exec("UPDATE users SET removed = ? WHERE id = ?", toMicros(now), id)
	})
}

// changeConference changes a conference in a way that concerns some users.
func (s *Store) changeConference(name string, logins []string, change func(id int64, users []int64) error) error {
	return s.perform(func() error {
		conference, err := s.holderOf(name)
		if errors.Is(err, ErrNoUser) || err == nil && !conference.conference {
			return ErrNoConference
		}
		if err != nil {
			return err
		}
		users, err := s.userIDs(logins)
		if err != nil {
			return err
		}
		defer delete(s.members, conference.id)
		return change(conference.id, users)
	})
}

// insertMembers adds users to a conference, inside the writing goroutine.
func (s *Store) insertMembers(conference int64, users []int64) error {
	for _, user := range users {
		if err := s.exec("INSERT OR IGNORE INTO members (conference, user) VALUES (?, ?)", conference, user); err != nil {
			return err
		}
	}
	return nil
}

// userIDs returns the ids of users, inside the writing goroutine. Its ErrNoUser names every
// login that no user has.
func (s *Store) userIDs(logins []string) ([]int64, error) {
	var ids []int64
	var unknown []string
	for _, login := range logins {
		id, err := s.userID(login)
		switch {
		case errors.Is(err, ErrNoUser):
			unknown = append(unknown, login)
		case err != nil:
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("%s: %w", quoted(unknown), ErrNoUser)
	}
	return ids, nil
}

func quoted(names []string) string {
	var q []string
	for _, name := range names {
		q = append(q, strconv.Quote(name))
	}
	return strings.Join(q, ", ")
}

// membersOf returns the ids of a conference's members, in order, inside the writing goroutine.
func (s *Store) membersOf(conference int64) ([]int64, error) {
	if members, ok := s.members[conference]; ok {
		return members, nil
	}
	members, err := s.column("SELECT user FROM members WHERE conference = ? ORDER BY user", conference)
	if err == nil {
		cache(s.members, cachedConferences, conference, members)
	}
	return members, err
}

// Members returns the members of a conference, by login.
func (s *Store) Members(ctx context.Context, conference int64) ([]Contact, error) {
	return scanContacts(s.read.QueryContext(ctx, "SELECT u.id, u.login, u.conference FROM members m JOIN users u ON u.id = m.user WHERE m.conference = ? ORDER BY u.login", conference))
}

// Conferences returns all conferences, by name.
func (s *Store) Conferences(ctx context.Context) ([]Conference, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT c.login, c.created, u.login FROM users c
		LEFT JOIN members m ON m.conference = c.id LEFT JOIN users u ON u.id = m.user
		WHERE c.conference AND c.removed IS NULL ORDER BY c.login, u.login`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Conference
	for rows.Next() {
		var name string
		var created int64
		var member sql.NullString
		if err := rows.Scan(&name, &created, &member); err != nil {
			return nil, err
		}
		if len(list) == 0 || list[len(list)-1].Name != name {
			list = append(list, Conference{Name: name, Created: fromMicros(created)})
		}
		if member.Valid {
			c := &list[len(list)-1]
			c.Members = append(c.Members, member.String)
		}
	}
	return list, rows.Err()
}
