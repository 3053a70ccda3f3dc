package server

import (
	"context"
	"errors"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// findParty reads a field with a login or the name of a conference, and looks that up.
func (c *conn) findParty(ctx context.Context, f proto.Frame, field string) (store.Party, error) {
	given, ok := f.ExactText(field)
	if !ok {
		return store.Party{}, refuse(proto.StatusBadRequest, "%s must be a login", field)
	}
	login, err := store.LoginForm(given)
	if err != nil {
		return store.Party{}, noUser(given)
	}
	o, err := c.server.o.Store.FindParty(ctx, login, c.currentSession().user.ID)
	if errors.Is(err, store.ErrNoUser) {
		err = noUser(given)
	}
	if err == nil && o.Conference && !o.Member {
		err = notMember(o.Login)
	}
	return o, err
}

// findUser is findParty for a request that does not apply to conferences.
func (c *conn) findUser(ctx context.Context, f proto.Frame, field string) (store.Party, error) {
	o, err := c.findParty(ctx, f, field)
	if err == nil && o.Conference {
		err = refuse(proto.StatusForbidden, "%q is a conference: only the administrator of the server changes its members", o.Login)
	}
	return o, err
}

// describe returns a user or a conference as other users see it.
func (c *conn) describe(id int64, login string, conference bool) map[string]any {
	if conference {
		return map[string]any{"login": login, "conference": true}
	}
	return map[string]any{"login": login, "online": c.server.isOnline(id)}
}

func (c *conn) describeAll(list []store.Contact) []any {
	data := make([]any, len(list))
	for i, k := range list {
		data[i] = c.describe(k.ID, k.Login, k.Conference)
	}
	return data
}

func (c *conn) getContacts(ctx context.Context, _ proto.Frame) (map[string]any, error) {
	contacts, err := c.server.o.Store.Contacts(ctx, c.currentSession().user.ID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"data": c.describeAll(contacts)}, nil
}

func (c *conn) addContact(ctx context.Context, f proto.Frame) (map[string]any, error) {
	u, err := c.findUser(ctx, f, "login")
	if err != nil {
		return nil, err
	}
	if err := c.makeContact(u); err != nil {
		return nil, err
	}
	return map[string]any{"contact": c.describe(u.ID, u.Login, false)}, nil
}

// makeContact makes a user a contact of the connection's user.
func (c *conn) makeContact(u store.Party) error {
	own := c.currentSession().user
	if u.ID == own.ID {
		return refuse(proto.StatusBadRequest, "you can't be your own contact")
	}
	if err := c.server.checkSpace(); err != nil {
		return err
	}
	return c.server.o.Store.AddContact(own.ID, u.ID)
}

func (c *conn) delContact(ctx context.Context, f proto.Frame) (map[string]any, error) {
	u, err := c.findUser(ctx, f, "login")
	if err != nil {
		return nil, err
	}
	err = c.server.o.Store.RemoveContact(c.currentSession().user.ID, u.ID)
	switch {
	case errors.Is(err, store.ErrNoContact):
		return nil, refuse(proto.StatusNotFound, "%q is not a contact", u.Login)
	case err != nil:
		return nil, err
	}
	return map[string]any{"contact": c.describe(u.ID, u.Login, false)}, nil
}

// maxFound is how many users one search finds at most.
const maxFound = 100

func (c *conn) searchContacts(ctx context.Context, f proto.Frame) (map[string]any, error) {
	text, ok := f.ExactText("text")
	if !ok || text == "" {
		return nil, refuse(proto.StatusBadRequest, "text must be a part of a login, and not empty")
	}
	list, more, err := c.server.o.Store.Search(ctx, text, maxFound)
	if err != nil {
		return nil, err
	}
	return withMore(map[string]any{"data": c.describeAll(list)}, more), nil
}

func (c *conn) getUserData(ctx context.Context, f proto.Frame) (map[string]any, error) {
	add, _ := f.Bool("add_contact")
	find := c.findParty
	if add {
		find = c.findUser
	}
	o, err := find(ctx, f, "login")
	if err == nil && add {
		err = c.makeContact(o)
	}
	if err != nil {
		return nil, err
	}
	data := c.describe(o.ID, o.Login, o.Conference)
	data["created"] = proto.Seconds(o.Created)
	return map[string]any{"user": data}, nil
}

// getMembers lists the members of a conference for one of them.
func (c *conn) getMembers(ctx context.Context, f proto.Frame) (map[string]any, error) {
	o, err := c.findParty(ctx, f, "login")
	if err == nil && !o.Conference {
		err = refuse(proto.StatusNotFound, "%q is not a conference", o.Login)
	}
	if err != nil {
		return nil, err
	}
	members, err := c.server.o.Store.Members(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	return map[string]any{"members": c.describeAll(members)}, nil
}
