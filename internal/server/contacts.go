package server

import (
	"context"
	"errors"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// other reads a field that is somebody's login or the name of a conference.
func (c *conn) other(ctx context.Context, f proto.Frame, field string) (store.Party, error) {
	given, ok := f.ExactText(field)
	if !ok {
		return store.Party{}, refuse(proto.StatusBadRequest, "%s is a login", field)
	}
	login, err := store.LoginForm(given)
	if err != nil {
		return store.Party{}, noUser(given)
	}
	o, err := c.server.o.Store.FindParty(ctx, login, c.user().user.ID)
	if errors.Is(err, store.ErrNoUser) {
		err = noUser(given)
	}
	if err == nil && o.Conference && !o.Member {
		err = notMember(o.Login)
	}
	return o, err
}

// noUser refuses what is for somebody who does not exist, in words that are no longer
// than a login, whatever was given for one.
func noUser(given string) error {
	return refuse(proto.StatusNotFound, "there is no user %.64q", given)
}

// notMember refuses what is for the members of a conference.
func notMember(conference string) error {
	return refuse(proto.StatusForbidden, "you are not in the conference %q: whoever runs the server can add you", conference)
}

// person is other for what a conference can't be.
func (c *conn) person(ctx context.Context, f proto.Frame, field string) (store.Party, error) {
	o, err := c.other(ctx, f, field)
	if err == nil && o.Conference {
		err = refuse(proto.StatusForbidden, "%q is a conference: whoever runs the server says who is in it", o.Login)
	}
	return o, err
}

// about is a user or a conference as others see them.
func (c *conn) about(id int64, login string, conference bool) map[string]any {
	if conference {
		return map[string]any{"login": login, "conference": true}
	}
	return map[string]any{"login": login, "online": c.server.isOnline(id)}
}

func (c *conn) people(list []store.Contact) []any {
	data := make([]any, len(list))
	for i, k := range list {
		data[i] = c.about(k.ID, k.Login, k.Conference)
	}
	return data
}

func (c *conn) getContacts(ctx context.Context, _ proto.Frame) (map[string]any, error) {
	contacts, err := c.server.o.Store.Contacts(ctx, c.user().user.ID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"data": c.people(contacts)}, nil
}

func (c *conn) addContact(ctx context.Context, f proto.Frame) (map[string]any, error) {
	u, err := c.person(ctx, f, "login")
	if err != nil {
		return nil, err
	}
	if err := c.know(u); err != nil {
		return nil, err
	}
	return map[string]any{"contact": c.about(u.ID, u.Login, false)}, nil
}

// know makes somebody a contact of ours.
func (c *conn) know(u store.Party) error {
	own := c.user().user
	if u.ID == own.ID {
		return refuse(proto.StatusBadRequest, "you can't be your own contact")
	}
	return c.server.o.Store.AddContact(own.ID, u.ID)
}

func (c *conn) delContact(ctx context.Context, f proto.Frame) (map[string]any, error) {
	u, err := c.person(ctx, f, "login")
	if err != nil {
		return nil, err
	}
	err = c.server.o.Store.RemoveContact(c.user().user.ID, u.ID)
	if errors.Is(err, store.ErrNoContact) {
		err = refuse(proto.StatusNotFound, "%q is no contact", u.Login)
	}
	return nil, err
}

// searchMost is how many users one search finds at most.
const searchMost = 100

func (c *conn) searchContacts(ctx context.Context, f proto.Frame) (map[string]any, error) {
	text, ok := f.ExactText("text")
	if !ok || text == "" {
		return nil, refuse(proto.StatusBadRequest, "text is a part of a login, and not empty")
	}
	list, more, err := c.server.o.Store.Search(ctx, text, searchMost)
	if err != nil {
		return nil, err
	}
	return withMore(map[string]any{"data": c.people(list)}, more), nil
}

func (c *conn) getUserData(ctx context.Context, f proto.Frame) (map[string]any, error) {
	add, _ := f.Bool("add_contact")
	find := c.other
	if add {
		find = c.person
	}
	o, err := find(ctx, f, "login")
	if err == nil && add {
		err = c.know(o)
	}
	if err != nil {
		return nil, err
	}
	data := c.about(o.ID, o.Login, o.Conference)
	data["created"] = proto.Seconds(o.Created)
	return map[string]any{"user": data}, nil
}
