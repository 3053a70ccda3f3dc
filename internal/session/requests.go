package session

import (
	"context"
	"errors"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// RegisterType asks for the server's registration policy: open, invite, closed,
// or the server's own word (docs/protocol.md, "register_type").
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

// NewAccount is who wants an account.
type NewAccount struct {
	Login  string
	Token  proto.Token
	Invite string // the code of an invitation; "" where everybody may
}

// Register makes an account (docs/protocol.md, "register"), and returns its login
// as the server has it.
func (s *Session) Register(ctx context.Context, a NewAccount) (string, error) {
	r, err := s.Do(ctx, proto.Register(a.Login, a.Token, a.Invite))
	if err != nil {
		return "", err
	}
	if user, ok := r.Fields.Map("user"); ok && user.Text("login") != "" {
		return user.Text("login"), nil
	}
	return a.Login, nil
}

// Contacts asks for everyone we know.
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

// Person asks for somebody, or for a conference, by a login in any spelling that the
// server takes, and returns them with the one it uses (docs/protocol.md, "get_user_data").
func (s *Session) Person(ctx context.Context, login string) (proto.Contact, error) {
	r, err := s.Do(ctx, proto.GetUserData(login))
	if err != nil {
		return proto.Contact{}, err
	}
	user, ok := r.Fields.Map("user")
	if !ok || user.Text("login") == "" {
		return proto.Contact{}, s.invalidReply(errors.New("it does not say whose data that is"))
	}
	return proto.ParseContact(user), nil
}

// Spelling asks for a login or the name of a conference as the server spells it. Where
// the server says that nobody has it, that it is not for us, or that it can't say now,
// that refusal is the error. Where the server does not know the question, or can't be asked,
// as one without extensions may not answer it at all, the login is as it was given.
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

// SearchContacts asks for the users whose login holds a text, and tells whether
// there are more than the server has listed (docs/protocol.md, "contacts").
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

// AddContact makes somebody a contact of ours, and returns what the server tells of
// them.
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

// RemoveContact makes the server forget a contact of ours.
func (s *Session) RemoveContact(ctx context.Context, login string) error {
	_, err := s.Do(ctx, proto.DelContact(login))
	return err
}

// Sent is a message that the server has confirmed.
type Sent struct {
	ID    int64 // zero if the server gives none
	Date  proto.Date
	To    string
	Extra map[string]any
}

// parseSent reads the reply to a send_message.
func parseSent(r proto.Reply, to string) Sent {
	sent := Sent{To: to, Date: r.Fields.Date("date")}
	known := []string{"type", "for", "id", "status", "date", "session_id"} // a SID must not be printed
	if id, ok := r.Fields.Int("message_id"); ok {
		sent.ID = id
		known = append(known, "message_id")
	}
	sent.Extra = r.Fields.Extra(known...)
	return sent
}

// invalidReply is the error for a reply that lacks what its request is for.
func (s *Session) invalidReply(err error) error {
	return notSkaro(s.conn.endpoint.URL, "it sent an invalid reply: "+err.Error(), "")
}

// RoundTrip measures how long the server takes to answer a ping.
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
