package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// RegisterType asks for the server's registration policy: open, invite, closed, or the
// server's own word (docs/protocol.md, "register_type").
func (s *Session) RegisterType(ctx context.Context) (string, error) {
	r, err := s.Do(ctx, proto.GetRegisterType())
	if err != nil {
		return "", err
	}
	word, ok := r.Fields.TextOK("register_type")
	if !ok {
		return "", s.invalidReply(errors.New("its register_type is missing or not text"))
	}
	return proto.RegisterPolicy(word), nil
}

// NewAccount is an account to be made.
type NewAccount struct {
	Login  string
	Token  proto.Token
	Invite string // the code of an invitation, or ""
}

// Register makes an account (docs/protocol.md, "register"), and returns its login in the
// server's spelling.
func (s *Session) Register(ctx context.Context, a NewAccount) (string, error) {
	r, err := s.Do(ctx, proto.Register(a.Login, a.Token, a.Invite))
	if err != nil {
		return "", err
	}
	l, err := proto.ParseLogin(r.Fields)
	if err != nil {
		return "", s.invalidReply(err)
	}
	return cmp.Or(l.Login, a.Login), nil
}

// Contacts asks for the contacts of the account.
func (s *Session) Contacts(ctx context.Context) ([]proto.Contact, error) {
	r, err := s.Do(ctx, proto.GetContacts())
	if err != nil {
		return nil, err
	}
	contacts, err := proto.ParseContacts(r.Fields)
	if err != nil {
		return nil, s.invalidReply(err)
	}
	return contacts, nil
}

// Person asks for a user or a conference by its login, in any spelling that the server
// takes, and returns it in the server's spelling (docs/protocol.md, "get_user_data").
func (s *Session) Person(ctx context.Context, login string) (proto.Contact, error) {
	r, err := s.Do(ctx, proto.GetUserData(login))
	if err != nil {
		return proto.Contact{}, err
	}
	user, ok := r.Fields.Map("user")
	if !ok || user.Text("login") == "" {
		return proto.Contact{}, s.invalidReply(errors.New("it names no user"))
	}
	return proto.ParseContact(user), nil
}

// Spelling asks for a user or a conference in the server's spelling. It returns a refusal
// as an error if there is no such login, if we may not see it, or if the refusal is
// temporary. If the server can't tell, Spelling returns the login as given. It does not
// ask a server without extensions, which may not answer at all.
func (s *Session) Spelling(ctx context.Context, login string) (proto.Contact, error) {
	given := proto.Contact{Login: login}
	if !s.Greeting().Has(proto.ExtUpdates) {
		return given, nil
	}
	found, err := s.Person(ctx, login)
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindRefused {
		return found, err
	}
	if code := proto.StatusCode(e.Status); code == "403" || code == "404" || Temporary(err) {
		return given, err
	}
	return given, nil
}

// SearchContacts asks for the users whose login contains text (docs/protocol.md,
// "contacts"). more reports whether there are more than the server has listed.
func (s *Session) SearchContacts(ctx context.Context, text string) (found []proto.Contact, more bool, err error) {
	r, err := s.Do(ctx, proto.SearchContacts(text))
	if err != nil {
		return nil, false, err
	}
	if found, err = proto.ParseContacts(r.Fields); err != nil {
		return nil, false, s.invalidReply(err)
	}
	more, _ = r.Fields.Bool("more")
	return found, more, nil
}

// AddContact makes a user a contact, and returns what the server says about them.
func (s *Session) AddContact(ctx context.Context, login string) (proto.Contact, error) {
	r, err := s.Do(ctx, proto.AddContact(login))
	if err != nil {
		return proto.Contact{}, err
	}
	if c, ok := r.Fields.Map("contact"); ok && c.Text("login") != "" {
		return proto.ParseContact(c), nil
	}
	return proto.Contact{Login: login}, nil
}

// RemoveContact removes a contact, and returns its login in the server's spelling, or as
// given if the server does not say it.
func (s *Session) RemoveContact(ctx context.Context, login string) (string, error) {
	r, err := s.Do(ctx, proto.DelContact(login))
	if err != nil {
		return "", err
	}
	removed, _ := r.Fields.Map("contact")
	return cmp.Or(removed.Text("login"), login), nil
}

// Sent is a message that the server has confirmed.
type Sent struct {
	ID    int64 // zero if the server gives none
	Date  proto.Date
	To    string // in the server's spelling, if the server says it
	Extra proto.Extra
}

// parseSent reads the reply to a send_message, which was for the recipient to.
func parseSent(r proto.Reply, to string) Sent {
	sent := proto.ParseSent(r)
	return Sent{ID: sent.ID, Date: sent.Date, To: cmp.Or(sent.To, to), Extra: sent.Extra}
}

// invalidReply returns the error for a reply that lacks what its request asked for. The
// server itself has sent it, and would send it again.
func (s *Session) invalidReply(err error) error {
	e := notSkaro(s.conn.endpoint.URL, "it sent an invalid reply: "+err.Error(), "")
	e.Other = false
	return e
}

// invalidPush returns the error for a message that the server has pushed. why says what is
// wrong with it.
func (s *Session) invalidPush(why string) error {
	e := notSkaro(s.conn.endpoint.URL, "it pushed an invalid message: "+why, "")
	e.Other = false
	return e
}

// lastID returns the last_id of a reply to get_updates.
func (s *Session) lastID(r proto.Reply) (int64, error) {
	last, ok := r.Fields.Int("last_id")
	switch {
	case !ok:
		return 0, s.invalidReply(errors.New("its last_id is missing or not an integer"))
	case last < 0 || last > maxID:
		return 0, s.invalidReply(fmt.Errorf("its last_id is %d", last))
	}
	return last, nil
}

// RoundTrip measures the time until the server answers a ping.
func (s *Session) RoundTrip(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	if err := s.conn.ws.Ping(ctx); err != nil {
		if ctx.Err() != nil {
			return 0, interrupted(ctx, "lost the connection to "+s.conn.endpoint.URL)
		}
		return 0, s.conn.failed(err)
	}
	return time.Since(start), nil
}
