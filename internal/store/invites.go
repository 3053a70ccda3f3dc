package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Invite is an invitation: it lets one person make one account.
type Invite struct {
	ID      int64
	Created time.Time
	Expires time.Time
	User    string // the login of the account that was made with it; "" means none yet
}

// The code of an invitation has 80 random bits, since it is all that an unauthenticated
// client needs, in groups that people can read out on a telephone.
const (
	codeLength = 16
	codeGroup  = 4
)

// newCode makes a code, in the form that people see.
func newCode() string {
	text := strings.ToLower(rand.Text()[:codeLength])
	groups := make([]string, 0, codeLength/codeGroup)
	for i := 0; i < codeLength; i += codeGroup {
		groups = append(groups, text[i:i+codeGroup])
	}
	return strings.Join(groups, "-")
}

// codeKey returns the stored hash of a code. Case, spaces and hyphens don't matter.
func codeKey(code string) []byte {
	plain := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(code))
	sum := sha256.Sum256([]byte(plain))
	return sum[:]
}

// CreateInvite makes an invitation, and returns its code, which is stored only as a hash.
func (s *Store) CreateInvite(now, expires time.Time) (code string, err error) {
	code = newCode()
	return code, s.perform(func() error {
		return s.exec("INSERT INTO invites (code, created, expires) VALUES (?, ?, ?)", codeKey(code), toMicros(now), toMicros(expires))
	})
}

// Invites returns all invitations, oldest first.
func (s *Store) Invites(ctx context.Context) ([]Invite, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT i.id, i.created, i.expires, coalesce(u.login, '') FROM invites i LEFT JOIN users u ON u.id = i.user ORDER BY i.id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Invite
	for rows.Next() {
		var i Invite
		var created, expires int64
		if err := rows.Scan(&i.ID, &created, &expires, &i.User); err != nil {
			return nil, err
		}
		i.Created, i.Expires = fromMicros(created), fromMicros(expires)
		list = append(list, i)
	}
	return list, rows.Err()
}

// RevokeInvite deletes an invitation, by its number or its code. The error may be
// ErrNoInvite or ErrInviteUsed.
func (s *Store) RevokeInvite(which string) error {
	return s.perform(func() error {
		condition, arg := "code = ?", any(codeKey(which))
		if id, err := strconv.ParseInt(which, 10, 64); err == nil && len(which) < codeLength {
			condition, arg = "id = ?", id
		}
		var used bool
		err := s.row("SELECT user IS NOT NULL FROM invites WHERE "+condition, arg).Scan(&used)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrNoInvite
		case err != nil:
			return err
		case used:
			return ErrInviteUsed
		}
		return s.exec("DELETE FROM invites WHERE "+condition, arg)
	})
}

// Redeem makes an account, as AddUser does, and uses up the invitation with a code: both or
// neither. ErrNoInvite means that the code was used, has expired, or never existed. After
// ErrTaken the invitation is still good.
func (s *Store) Redeem(code, login string, token proto.Token, now time.Time) error {
	return s.perform(func() error {
		var invite int64
		err := s.row("SELECT id FROM invites WHERE code = ? AND user IS NULL AND expires > ?", codeKey(code), toMicros(now)).Scan(&invite)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoInvite
		}
		if err != nil {
			return err
		}
		user, err := s.insertUser(login, token, now)
		if err != nil {
			return err
		}
		return s.exec("UPDATE invites SET user = ? WHERE id = ?", user, invite)
	})
}
