package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// maxLogin is how many characters a login has at most. However it is spelled, it has no
// more than maxSpelled bytes: no character decomposes into more than 12.
const (
	maxLogin   = 64
	maxSpelled = maxLogin * 12
)

// Login returns the stored form of a login for a new account. It fails for what LoginForm
// refuses, and for what the command line of a client can't name.
func Login(s string) (string, error) {
	login, err := LoginForm(s)
	switch {
	case err != nil:
		return "", err
	case strings.Contains(login, ","):
		return "", fmt.Errorf("%q can't be a login: a comma separates two logins", s)
	case strings.HasPrefix(login, "-"):
		return "", fmt.Errorf("%q can't be a login: it looks like a flag", s)
	case slices.Contains(reserved, login):
		return "", fmt.Errorf("%q can't be a login: it is reserved", s)
	case mixesScripts(login):
		return "", fmt.Errorf("%q can't be a login: it mixes letters of several scripts, and could be taken for another login", s)
	}
	return login, nil
}

// reserved are logins that people would take for the operator of the server, or a program for
// a path or a pattern.
var reserved = []string{"admin", "root", ".", "..", "%"}

// LoginForm returns the one form of a login that is stored and compared: PRECIS
// UsernameCaseMapped (RFC 8265, 3.3), so that two accounts never differ only by case or by
// equivalent forms of a letter. It fails for what no account has. Accounts are looked up by
// it, not by Login, which was less strict in earlier versions.
func LoginForm(s string) (string, error) {
	if len(s) > maxSpelled { // spares the work of normalizing it
		return "", tooLong(utf8.RuneCountInString(s))
	}
	login, err := precis.UsernameCaseMapped.String(s)
	if err != nil || !utf8.ValidString(s) {
		return "", fmt.Errorf("%q can't be a login: it may have letters, digits and most symbols, but no spaces", s)
	}
	if n := utf8.RuneCountInString(login); n < 1 || n > maxLogin {
		return "", tooLong(n)
	}
	return login, nil
}

func tooLong(n int) error {
	return fmt.Errorf("a login has 1 to %d characters, this one has %d", maxLogin, n)
}

// User is an account.
type User struct {
	ID      int64
	Login   string
	Token   proto.Token
	Created time.Time
	// Revision grows with every new password, an equal one too. A session lasts while its
	// user has the revision that it was made with.
	Revision int64
	Disabled bool // it can't log in
}

// UserState is an account as its administrator sees it.
type UserState struct {
	User
	LastLogin time.Time // zero means never
	Online    bool      // a connection is logged in
}

// AddUser makes an account. The login must come from Login. The error may be ErrTaken or
// ErrIsConference.
func (s *Store) AddUser(login string, token proto.Token, now time.Time) error {
	return s.perform(func() error {
		_, err := s.insertUser(login, token, now)
		return err
	})
}

// insertUser is AddUser inside the writing goroutine. It returns the id of the account.
func (s *Store) insertUser(login string, token proto.Token, now time.Time) (int64, error) {
	if err := s.checkFree(login); err != nil {
		return 0, err
	}
	return s.insertHolder(login, token.Bytes(), false, now)
}

// Free returns an error if a user (ErrTaken) or a conference (ErrIsConference) has a name.
func (s *Store) Free(name string) error { return s.perform(func() error { return s.checkFree(name) }) }

// checkFree is Free inside the writing goroutine.
func (s *Store) checkFree(name string) error {
	switch h, err := s.holderOf(name); {
	case errors.Is(err, ErrNoUser):
		return nil
	case err != nil:
		return err
	case h.conference:
		return ErrIsConference
	}
	return ErrTaken
}

// insertHolder makes a user or a conference, whose name is free.
func (s *Store) insertHolder(name string, token []byte, conference bool, now time.Time) (int64, error) {
	id, _, err := s.insert("INSERT INTO users (login, token, conference, created) VALUES (?, ?, ?, ?)", name, token, conference, toMicros(now))
	return id, err
}

// SetToken changes a password, and ends the user's sessions. The error may be ErrNoUser.
func (s *Store) SetToken(login string, token proto.Token) error {
	return s.changeUser(login, func(id int64) error {
		return s.exec("UPDATE users SET token = ?, revision = revision + 1 WHERE id = ?", token.Bytes(), id)
	})
}

// RemoveUser removes an account, takes it out of its conferences, and ends its sessions. The
// error may be ErrNoUser. Its messages are still delivered, and shown to the other side.
func (s *Store) RemoveUser(login string, now time.Time) error {
	return s.changeUser(login, func(id int64) error {
		s.clearCaches()
		if err := s.exec("DELETE FROM members WHERE user = ?", id); err != nil {
			return err
		}
		return s.exec("UPDATE users SET removed = ?, revision = revision + 1 WHERE id = ?", toMicros(now), id)
	})
}

// Disable keeps an account from logging in, and ends its sessions. The error may be ErrNoUser.
// Messages to it are still stored, for the time when it can log in again.
func (s *Store) Disable(login string, now time.Time) error {
	return s.changeUser(login, func(id int64) error {
		return s.exec("UPDATE users SET disabled = coalesce(disabled, ?), revision = revision + 1 WHERE id = ?", toMicros(now), id)
	})
}

// Enable lets a disabled account log in again. The error may be ErrNoUser.
func (s *Store) Enable(login string) error {
	return s.perform(func() error {
		id, err := s.userID(login)
		if err != nil {
			return err
		}
		return s.exec("UPDATE users SET disabled = NULL WHERE id = ?", id)
	})
}

// changeUser changes a user in a way that ends the user's sessions.
func (s *Store) changeUser(login string, change func(id int64) error) error {
	return s.perform(func() error {
		id, err := s.userID(login)
		if err != nil {
			return err
		}
		if err := change(id); err != nil {
			return err
		}
		return s.exec("DELETE FROM sessions WHERE user = ?", id)
	})
}

// holder is the user or the conference that has a name.
type holder struct {
	id         int64
	conference bool
}

// holderOf looks up a name, inside the writing goroutine. The error may be ErrNoUser.
func (s *Store) holderOf(name string) (holder, error) {
	if h, ok := s.names[name]; ok {
		return h, nil
	}
	var h holder
	err := s.row("SELECT id, conference FROM users WHERE login = ? AND removed IS NULL", name).Scan(&h.id, &h.conference)
	if errors.Is(err, sql.ErrNoRows) {
		return h, ErrNoUser
	}
	if err == nil {
		cache(s.names, cachedNames, name, h)
	}
	return h, err
}

// userID returns the id of a user, inside the writing goroutine, or ErrNoUser.
func (s *Store) userID(login string) (int64, error) {
	h, err := s.holderOf(login)
	if err == nil && h.conference {
		err = ErrNoUser
	}
	return h.id, err
}

const (
	userColumns = "id, login, token, created, revision, disabled IS NOT NULL"
	areUsers    = " FROM users WHERE NOT conference AND removed IS NULL"
	selectUser  = "SELECT " + userColumns + areUsers
)

// scanUser reads userColumns, and further columns into more.
func scanUser(row scanner, more ...any) (User, error) {
	var u User
	var token []byte
	var created int64
	err := row.Scan(append([]any{&u.ID, &u.Login, &token, &created, &u.Revision, &u.Disabled}, more...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return u, ErrNoUser
	}
	if err != nil {
		return u, err
	}
	u.Created = fromMicros(created)
	u.Token, err = proto.TokenFromBytes(token)
	return u, err
}

// User returns the account with a login, or ErrNoUser.
func (s *Store) User(ctx context.Context, login string) (User, error) {
	return scanUser(s.logins.QueryRowContext(ctx, selectUser+" AND login = ?", login))
}

// UserByID returns the account with an id, or ErrNoUser if it was removed.
func (s *Store) UserByID(ctx context.Context, id int64) (User, error) {
	return scanUser(s.read.QueryRowContext(ctx, selectUser+" AND id = ?", id))
}

// aliveTime is how long after the last Alive of a server its connections count: it calls Alive
// more often than that.
const aliveTime = 90 * time.Second

// Users returns all accounts, by login.
func (s *Store) Users(ctx context.Context, now time.Time) ([]UserState, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT "+userColumns+`, last_login,
		EXISTS (SELECT 1 FROM sessions WHERE user = users.id AND ended IS NULL) AND (SELECT alive FROM server) > ?`+areUsers+" ORDER BY login",
		toMicros(now.Add(-aliveTime)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var users []UserState
	for rows.Next() {
		var u UserState
		var login sql.NullInt64
		if u.User, err = scanUser(rows, &login, &u.Online); err != nil {
			return nil, err
		}
		if login.Valid {
			u.LastLogin = fromMicros(login.Int64)
		}
		users = append(users, u)
	}
	return users, rows.Err()
}

// Party is a user or a conference, as the asking user sees it.
type Party struct {
	ID         int64
	Login      string // or the name of the conference
	Created    time.Time
	Conference bool
	Member     bool // the asking user is in the conference
}

// FindParty looks up the user or the conference with a name. The error may be ErrNoUser.
func (s *Store) FindParty(ctx context.Context, name string, asking int64) (Party, error) {
	var p Party
	var created int64
	err := s.read.QueryRowContext(ctx, `SELECT id, login, created, conference, EXISTS (SELECT 1 FROM members WHERE conference = u.id AND user = ?2)
		FROM users u WHERE login = ?1 AND removed IS NULL`, name, asking).Scan(&p.ID, &p.Login, &created, &p.Conference, &p.Member)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNoUser
	}
	p.Created = fromMicros(created)
	return p, err
}
