package server

import (
	"context"
	"errors"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// somebody reads a field that is somebody's login.
func (c *conn) somebody(ctx context.Context, f proto.Frame, field string) (store.User, error) {
	given, ok := f.ExactText(field)
	if !ok {
		return store.User{}, refuse(proto.StatusBadRequest, "%s is a login", field)
	}
	login, err := store.LoginForm(given)
	if err != nil {
		return store.User{}, refuse(proto.StatusNotFound, "there is no user %q", given)
	}
	u, err := c.server.o.Store.User(ctx, login)
	if errors.Is(err, store.ErrNoUser) {
		err = refuse(proto.StatusNotFound, "there is no user %q", given)
	}
	return u, err
}

// person is a user as others see them.
func (c *conn) person(id int64, login string) map[string]any {
	return map[string]any{"login": login, "online": c.server.isOnline(id)}
}

func (c *conn) people(list []store.Contact) []any {
	data := make([]any, len(list))
	for i, k := range list {
		data[i] = c.person(k.ID, k.Login)
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
	u, err := c.somebody(ctx, f, "login")
	if err != nil {
		return nil, err
	}
	if err := c.know(u); err != nil {
		return nil, err
	}
	return map[string]any{"contact": c.person(u.ID, u.Login)}, nil
}

// know makes somebody a contact of ours.
func (c *conn) know(u store.User) error {
	own := c.user().user
	if u.ID == own.ID {
		return refuse(proto.StatusBadRequest, "you can't be your own contact")
	}
	return c.server.o.Store.AddContact(own.ID, u.ID)
}

func (c *conn) delContact(ctx context.Context, f proto.Frame) (map[string]any, error) {
	u, err := c.somebody(ctx, f, "login")
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
	u, err := c.somebody(ctx, f, "login")
	if err != nil {
		return nil, err
	}
	if add, _ := f.Bool("add_contact"); add {
		if err := c.know(u); err != nil {
			return nil, err
		}
	}
	data := c.person(u.ID, u.Login)
	data["created"] = proto.Seconds(u.Created)
	return map[string]any{"user": data}, nil
}
