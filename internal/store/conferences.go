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

// Conference is a group that has a name.
type Conference struct {
	Name    string
	Created time.Time
	Members []string // their logins, in order
}

// CreateConference makes a conference with members; ErrIsConference or ErrTaken where
// the name is taken, ErrNoUser. Either all is done or nothing. The name must have been
// through Login.
func (s *Store) CreateConference(name string, logins []string, now time.Time) error {
	return s.do(func() error {
		if err := s.free(name); err != nil {
			return err
		}
		users, err := s.userIDs(logins)
		if err != nil {
			return err
		}
		id, err := s.insertNamed(name, []byte{}, true, now)
		if err != nil {
			return err
		}
		return s.join(id, users)
	})
}

// AddMembers adds users to a conference, and returns who of them were in it already;
// ErrNoConference, ErrNoUser. Either all is done or nothing.
func (s *Store) AddMembers(name string, logins []string) (were []string, err error) {
	err = s.changeConference(name, logins, func(id int64, users []int64) error {
		members, err := s.membersOf(id)
		if err != nil {
			return err
		}
		were = nil
		for i, user := range users {
			if _, in := slices.BinarySearch(members, user); in {
				were = append(were, logins[i])
			}
		}
		return s.join(id, users)
	})
	return were, err
}

// RemoveMembers takes users out of a conference; ErrNoConference, ErrNoUser,
// ErrNotMember. Either all is done or nothing.
func (s *Store) RemoveMembers(name string, logins []string) error {
	return s.changeConference(name, logins, func(id int64, users []int64) error {
		members, err := s.membersOf(id)
		if err != nil {
			return err
		}
		var strangers []string
		for i, user := range users {
			if _, in := slices.BinarySearch(members, user); !in {
				strangers = append(strangers, logins[i])
			}
		}
		if len(strangers) > 0 {
			return fmt.Errorf("%s: %w", quoted(strangers), ErrNotMember)
		}
		for _, user := range users {
			if err := s.exec("DELETE FROM members WHERE conference = ? AND user = ?", id, user); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteConference deletes a conference; ErrNoConference. What was said in it is still
// delivered to its members.
func (s *Store) DeleteConference(name string, now time.Time) error {
	return s.changeConference(name, nil, func(id int64, _ []int64) error {
		delete(s.names, name)
		return s.exec("UPDATE users SET removed = ? WHERE id = ?", micros(now), id)
	})
}

// changeConference is a change of a conference that is about some users.
func (s *Store) changeConference(name string, logins []string, f func(id int64, users []int64) error) error {
	return s.do(func() error {
		who, err := s.named(name)
		if errors.Is(err, ErrNoUser) || err == nil && !who.conference {
			return ErrNoConference
		}
		if err != nil {
			return err
		}
		users, err := s.userIDs(logins)
		if err != nil {
			return err
		}
		defer delete(s.members, who.id)
		return f(who.id, users)
	})
}

// join adds users to a conference, inside the writing goroutine.
func (s *Store) join(conference int64, users []int64) error {
	for _, user := range users {
		if err := s.exec("INSERT OR IGNORE INTO members (conference, user) VALUES (?, ?)", conference, user); err != nil {
			return err
		}
	}
	return nil
}

// userIDs are the ids of users, inside the writing goroutine. Its ErrNoUser names all
// that nobody has.
func (s *Store) userIDs(logins []string) ([]int64, error) {
	var ids []int64
	var nobody []string
	for _, login := range logins {
		id, err := s.userID(login)
		switch {
		case errors.Is(err, ErrNoUser):
			nobody = append(nobody, login)
		case err != nil:
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(nobody) > 0 {
		return nil, fmt.Errorf("%s: %w", quoted(nobody), ErrNoUser)
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

// membersOf are the ids of a conference's members, in order, inside the writing
// goroutine.
func (s *Store) membersOf(conference int64) ([]int64, error) {
	if members, ok := s.members[conference]; ok {
		return members, nil
	}
	st, err := s.stmt("SELECT user FROM members WHERE conference = ? ORDER BY user")
	if err != nil {
		return nil, err
	}
	rows, err := st.Query(conference)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var members []int64
	for rows.Next() {
		var user int64
		if err := rows.Scan(&user); err != nil {
			return nil, err
		}
		members = append(members, user)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(s.members) >= 1<<12 {
		clear(s.members)
	}
	s.members[conference] = members
	return members, nil
}

// Conferences are all conferences, by name.
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

// Other is the other side of a dialog: a user or a conference.
type Other struct {
	ID         int64
	Login      string // or the name of the conference
	Created    time.Time
	Conference bool
	Member     bool // who asks is in the conference
}

// Other is who has a login or name, for a user who asks; ErrNoUser.
func (s *Store) Other(ctx context.Context, login string, asks int64) (Other, error) {
	var o Other
	var created int64
	err := s.read.QueryRowContext(ctx, `SELECT id, login, created, conference, EXISTS (SELECT 1 FROM members WHERE conference = u.id AND user = ?2)
		FROM users u WHERE login = ?1 AND removed IS NULL`, login, asks).Scan(&o.ID, &o.Login, &created, &o.Conference, &o.Member)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoUser
	}
	o.Created = fromMicros(created)
	return o, err
}
