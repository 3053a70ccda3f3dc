package session

import (
	"context"
	"errors"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Contacts asks for everyone we know.
func (s *Session) Contacts(ctx context.Context) ([]proto.Contact, error) {
	r, err := s.Do(ctx, proto.TypeGetContacts, nil)
	if err != nil {
		return nil, err
	}
	contacts, err := proto.ParseContacts(r.Fields)
	if err != nil {
		return nil, s.wrongReply(err)
	}
	return contacts, nil
}

// Person asks for somebody, or for a conference, by a login in any spelling that the
// server takes, and returns them with the one it uses (docs/protocol.md, "get_user_data").
func (s *Session) Person(ctx context.Context, login string) (proto.Contact, error) {
	r, err := s.Do(ctx, proto.TypeGetUserData, map[string]any{"login": login})
	if err != nil {
		return proto.Contact{}, err
	}
	user, ok := r.Fields.Map("user")
	if !ok || user.Text("login") == "" {
		return proto.Contact{}, s.wrongReply(errors.New("it does not say whose data that is"))
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
	var refused *RefusedError
	if !errors.As(err, &refused) {
		return found, err
	}
	if code := proto.StatusCode(refused.Status); code == "403" || code == "404" || refused.Temporary() {
		return given, err
	}
	return given, nil
}

// SearchContacts asks for the users whose login holds a text, and tells whether
// there are more than the server has listed (docs/protocol.md, "contacts").
func (s *Session) SearchContacts(ctx context.Context, text string) (found []proto.Contact, more bool, err error) {
	r, err := s.Do(ctx, proto.TypeSearchContacts, map[string]any{"text": text})
	if err != nil {
		return nil, false, err
	}
	if found, err = proto.ParseContacts(r.Fields); err != nil {
		return nil, false, s.wrongReply(err)
	}
	more, _ = r.Fields.Bool("more")
	return found, more, nil
}

// AddContact makes somebody a contact of ours, and returns what the server tells of
// them. Its errors are those of Change.
func (s *Session) AddContact(ctx context.Context, login string) (proto.Contact, error) {
	r, err := s.Change(ctx, proto.TypeAddContact, map[string]any{"login": login})
	if err != nil {
		return proto.Contact{}, err
	}
	if c, ok := r.Fields.Map("contact"); ok && c.Text("login") != "" {
		return proto.ParseContact(c), nil
	}
	return proto.Contact{Login: login}, nil
}

// RemoveContact makes the server forget a contact of ours. Its errors are those of
// Change.
func (s *Session) RemoveContact(ctx context.Context, login string) error {
	_, err := s.Change(ctx, proto.TypeDelContact, map[string]any{"login": login})
	return err
}
