// Package account knows who we are: the profiles of the config file, and where
// the token and the SID of each account are kept: the keyring of the operating
// system, a private file, or the environment.
package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Key names the credentials of one account.
type Key struct {
	Server string // the server's URL, as the profile has it
	Login  string
}

// FileName is the name of a file that is about the account and no other.
func (k Key) FileName() string {
	sum := sha256.Sum256([]byte(k.Server + "\n" + k.Login))
	return hex.EncodeToString(sum[:12]) + ".json"
}

// Credentials are what a store keeps of an account. They print as
// "[credentials]".
type Credentials struct {
	Token   proto.Token // zero when only a SID was saved
	SID     string      // "" when none is known
	SIDUsed time.Time   // when the SID last worked
}

// String hides the credentials from every %v and %s.
func (c Credentials) String() string { return "[credentials]" }

// GoString hides the credentials from %#v.
func (c Credentials) GoString() string { return "[credentials]" }

// Format hides the credentials from every other verb.
func (c Credentials) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[credentials]")) }

// A server restores a session for five minutes after its last use
// (docs/protocol.md, "Sessions"). A SID near that end would often be
// refused, which costs a round trip, so it is given up a little earlier. The
// same margin is granted to a clock that was set back.
const (
	sidLife   = 5 * time.Minute
	sidMargin = 15 * time.Second
)

// SIDFresh reports whether there is a SID that the server most likely still
// knows. A SIDUsed further in the future than a clock drifts says nothing, and
// is not fresh.
func (c Credentials) SIDFresh(now time.Time) bool {
	age := now.Sub(c.SIDUsed)
	return c.SID != "" && age >= -sidMargin && age <= sidLife-sidMargin
}

// Store keeps credentials. Every method may be called at the same time by many
// goroutines and processes, and ends with an error when ctx does.
type Store interface {
	// Name is what OpenStore was given: "keyring" or "file".
	Name() string
	// Get reads the credentials of an account. The error is of KindNone when
	// there are none.
	Get(ctx context.Context, key Key) (Credentials, error)
	// Set saves the credentials of an account, in place of what was there.
	Set(ctx context.Context, key Key, c Credentials) error
	// Delete forgets an account. One that is not there is no error.
	Delete(ctx context.Context, key Key) error

	// update changes the credentials of an account that is there, with no other
	// change in between. The error is of KindNone when it is not.
	update(ctx context.Context, key Key, change func(*Credentials)) error
}

// OpenStore returns the store of that name: "keyring", which "" means too, or
// "file". It touches neither.
func OpenStore(name string, files Files) (Store, error) {
	switch name {
	case "", "keyring":
		return newKeyringStore(files), nil
	case "file":
		return &fileStore{path: files.Credentials}, nil
	}
	return nil, &Error{Msg: fmt.Sprintf("there is no credential store %q", name), Hint: "the stores are keyring and file"}
}

// UpdateSID saves the SID of an account, and when it last worked. Nothing else
// of the account changes, and an account that was deleted meanwhile stays
// deleted: then the error is of KindNone.
func UpdateSID(ctx context.Context, store Store, key Key, sid string, used time.Time) error {
	return store.update(ctx, key, func(c *Credentials) { c.SID, c.SIDUsed = sid, used })
}

// item is the JSON form of credentials, in the keyring and in the file. All are
// strings: then no message of a decoder quotes them. An empty item, left by a
// SID that was taken back and had no token beside it, counts as none.
type item struct {
	Token   string `json:"token,omitempty"`
	SID     string `json:"sid,omitempty"`
	SIDUsed string `json:"sid_used,omitempty"` // RFC 3339
}

func newItem(key Key, c Credentials) (item, error) {
	for what, text := range map[string]string{"server": key.Server, "login": key.Login, "SID": c.SID} {
		if !utf8.ValidString(text) { // JSON would change it
			return item{}, fmt.Errorf("the %s is not valid UTF-8", what)
		}
	}
	it := item{SID: c.SID}
	if !c.Token.IsZero() {
		it.Token = c.Token.Text()
	}
	if c.SID != "" && !c.SIDUsed.IsZero() {
		text, err := c.SIDUsed.UTC().MarshalText()
		if err != nil {
			return item{}, fmt.Errorf("the time of the SID: %w", err)
		}
		it.SIDUsed = string(text)
	}
	return it, nil
}

func (it item) credentials() (Credentials, error) {
	c := Credentials{SID: it.SID}
	var err error
	if it.Token != "" {
		if c.Token, err = proto.ParseToken(it.Token); err != nil {
			return Credentials{}, err
		}
	}
	if it.SIDUsed != "" {
		if err := c.SIDUsed.UnmarshalText([]byte(it.SIDUsed)); err != nil {
			return Credentials{}, errors.New("sid_used is not an RFC 3339 date")
		}
	}
	return c, nil
}

// describeJSON says what is wrong with JSON without quoting it, and at which
// offset, in bytes: JSON of a credential store is full of secrets.
func describeJSON(err error) (what string, offset int64) {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return "this is not JSON", syntax.Offset
	case errors.As(err, &kind) && kind.Field != "":
		field := kind.Field[strings.LastIndexByte(kind.Field, '.')+1:] // without the Go type it is in
		return fmt.Sprintf("%s must not be a JSON %s", field, kindWord(kind.Value)), kind.Offset
	case errors.As(err, &kind):
		return fmt.Sprintf("this must not be a JSON %s", kindWord(kind.Value)), kind.Offset
	}
	return "there is a field that this version does not know", 0
}

// kindWord is the first word of what encoding/json calls a value: behind it, a
// number is quoted.
func kindWord(value string) string {
	word, _, _ := strings.Cut(value, " ")
	return word
}
