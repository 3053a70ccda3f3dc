// Package account keeps the accounts of a user: the profiles of the config file, and the
// credentials of each, in the keyring of the operating system, in a private file or in the
// environment. It also keeps what belongs to an account on this machine: the position of
// a listener, messages that wait to be sent, and contacts for completion. It knows no
// connection.
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

// FileName returns the name for a file of this account alone.
func (k Key) FileName() string {
	sum := sha256.Sum256([]byte(k.Server + "\n" + k.Login))
	return hex.EncodeToString(sum[:12]) + ".json"
}

// Credentials are what a store has of an account: a token or, after a login with
// --session-only, a SID. They print as "[credentials]".
type Credentials struct {
	Token   proto.Token // zero if there is a SID
	SID     string      // "" if there is a token
	SIDUsed time.Time   // the last use of the SID that was stored
}

// String hides the credentials from every %v and %s.
func (c Credentials) String() string { return "[credentials]" }

// GoString hides the credentials from %#v.
func (c Credentials) GoString() string { return "[credentials]" }

// Format hides the credentials from every other verb.
func (c Credentials) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[credentials]")) }

const (
	sessionLife  = 5 * time.Minute // a server ends a session this long after its last use (docs/protocol.md, "Sessions")
	sessionRenew = time.Minute     // a SID's last use is written at most this often
)

// SessionEnded reports whether the SID is so old that the server has ended its session.
func (c Credentials) SessionEnded(now time.Time) bool {
	return c.Token.IsZero() && now.Sub(c.SIDUsed) > sessionLife
}

// Store keeps credentials. Every method may be called at the same time by many goroutines
// and processes, and ends with an error when ctx does.
type Store interface {
	// Name returns what OpenStore was given: "keyring" or "file".
	Name() string
	// Get reads the credentials of an account. The error is of KindNone if there are none.
	Get(ctx context.Context, key Key) (Credentials, error)
	// Set saves the credentials of an account, in place of what was there.
	Set(ctx context.Context, key Key, c Credentials) error
	// Renew saves the SID of an account and the time of its use. If the account has a token
	// or is gone, nothing changes, and the error is of KindNone.
	Renew(ctx context.Context, key Key, sid string, used time.Time) error
	// Delete removes the credentials of an account, if there are any.
	Delete(ctx context.Context, key Key) error
}

// OpenStore returns the store with a name: "file" or "keyring", which "" means too. It
// accesses neither.
func OpenStore(name string, files Files) (Store, error) {
	switch name {
	case "", "keyring":
		return newKeyringStore(files), nil
	case "file":
		return &fileStore{path: files.Credentials}, nil
	}
	return nil, &Error{Msg: fmt.Sprintf("there is no credential store %q", name), Hint: "give keyring or file"}
}

// RenewSession records that a command has used the SID of a login with --session-only.
// stored is what the store had before: if that is recent, RenewSession writes nothing.
func RenewSession(ctx context.Context, store Store, key Key, stored Credentials, sid string) error {
	now := time.Now()
	age := now.Sub(stored.SIDUsed)
	if stored.SID == "" || sid == "" || sid == stored.SID && age >= 0 && age < sessionRenew {
		return nil
	}
	return store.Renew(ctx, key, sid, now)
}

// item is the JSON form of credentials, in the keyring and in the file. All fields are
// strings, because an error of the decoder quotes a number. An empty item counts as none.
// Earlier versions kept a SID beside the token: it is ignored, and gone after the next write.
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
	if !c.Token.IsZero() {
		return item{Token: c.Token.Text()}, nil
	}
	it := item{SID: c.SID}
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
	if it.Token != "" {
		token, err := proto.ParseToken(it.Token)
		return Credentials{Token: token}, err
	}
	c := Credentials{SID: it.SID}
	if it.SIDUsed != "" {
		if err := c.SIDUsed.UnmarshalText([]byte(it.SIDUsed)); err != nil {
			return Credentials{}, errors.New("sid_used is not an RFC 3339 date")
		}
	}
	return c, nil
}

// describeJSON says what is wrong with the JSON of a credential store, and at which offset
// in bytes. It quotes no secret.
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

// kindWord returns the first word of what encoding/json calls a value: after it, a number
// is quoted.
func kindWord(value string) string {
	word, _, _ := strings.Cut(value, " ")
	return word
}
