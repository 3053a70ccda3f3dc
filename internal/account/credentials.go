package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Credentials are what logs an account in. They print as "[credentials]".
type Credentials struct {
	Token   proto.Token // zero: none
	SID     string      // "": none
	SIDUsed time.Time   // when the SID last worked
}

// String hides the credentials.
func (Credentials) String() string { return "[credentials]" }

// GoString hides the credentials from %#v.
func (Credentials) GoString() string { return "[credentials]" }

// sidLife is how long after its last use a SID is worth trying: the five minutes
// of docs/protocol.md, less what a slow network and a coarse clock may take.
const sidLife = 5*time.Minute - 10*time.Second

// SIDFresh reports whether there is a SID that the server should still know. A
// last use in the future, by a clock that was set back, does not count.
func (c Credentials) SIDFresh(now time.Time) bool {
	age := now.Sub(c.SIDUsed)
	return c.SID != "" && age < sidLife && age > -sidLife
}

// Key names an account in a store.
type Key struct{ Server, Login string }

func (k Key) String() string { return k.Login + " at " + k.Server }

// ErrNone is the error of Get where the store has nothing for the account.
var ErrNone = errors.New("no credentials are stored")

// Store keeps credentials. Every call is bounded in time.
type Store interface {
	Name() string // keyring or file
	Get(context.Context, Key) (Credentials, error)
	Set(context.Context, Key, Credentials) error
	// Delete of what is not there is no error.
	Delete(context.Context, Key) error
	// update changes what is there, and does nothing where nothing is.
	update(context.Context, Key, func(*Credentials)) error
}

const (
	storeKeyring = "keyring"
	storeFile    = "file"
)

// OpenStore is the store of that name: keyring or file. It touches neither yet.
func OpenStore(name string, files Files) (Store, error) {
	switch name {
	case storeKeyring:
		return keyringStore{bound: keyringBound}, nil
	case storeFile:
		return fileStore{files.Credentials}, nil
	}
	return nil, fmt.Errorf("there is no store %q", name)
}

// UpdateSID stores a new SID, or a new time of its last use, for an account that
// the store still knows; where somebody has logged out meanwhile, nothing comes back.
func UpdateSID(ctx context.Context, s Store, k Key, sid string, used time.Time) error {
	return s.update(ctx, k, func(c *Credentials) { c.SID, c.SIDUsed = sid, used })
}

// item is the stored form of credentials, in both stores.
type item struct {
	Server  string     `json:"server"`
	Login   string     `json:"login"`
	Token   string     `json:"token,omitempty"`
	SID     string     `json:"sid,omitempty"`
	SIDUsed *time.Time `json:"sid_used,omitempty"`
}

func newItem(k Key, c Credentials) item {
	it := item{Server: k.Server, Login: k.Login, SID: c.SID}
	if !c.Token.IsZero() {
		it.Token = c.Token.Text()
	}
	if c.SID != "" {
		used := c.SIDUsed.UTC().Truncate(time.Second)
		it.SIDUsed = &used
	}
	return it
}

func (it item) credentials() (Credentials, error) {
	c := Credentials{SID: it.SID}
	if it.SIDUsed != nil {
		c.SIDUsed = *it.SIDUsed
	}
	if it.Token != "" {
		var err error
		if c.Token, err = proto.ParseToken(it.Token); err != nil {
			return Credentials{}, fmt.Errorf("the entry of %s: %w", it.Login, err)
		}
	}
	return c, nil
}

// plain turns a JSON error into one that quotes nothing of what was read.
func plain(err error) error {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return errors.New("it is not JSON")
	case errors.As(err, &typ):
		return fmt.Errorf("its field %q is not what it should be", typ.Field)
	}
	return errors.New("it can't be read as JSON")
}
