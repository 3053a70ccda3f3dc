package server

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// sendMessage submits a message to the store, and does not wait: the reply follows when the
// message is on disk. The reader waits, and so does the sender, while MaxInFlight messages
// are in flight, or while the user has more than a share of what is to be stored or pushed.
func (c *conn) sendMessage(f proto.Frame, id int64) {
	x := c.currentSession()
	if x == nil {
		c.answer(proto.TypeSendMessage, id, nil, notLoggedIn)
		return
	}
	m, err := c.parseMessage(f, x.user.ID)
	if err == nil {
		err = c.server.checkSpace()
	}
	if err != nil {
		c.answer(proto.TypeSendMessage, id, nil, err)
		return
	}
	waited := c.server.turns.admit(x.user.ID)
	c.inFlight <- struct{}{}
	c.sending.Add(1)
	c.server.counter.inFlight.Inc()
	waitedForStore := c.server.o.Store.Send(m, func(stored store.Stored, err error) {
		c.confirm(id, x.user, m, stored, err)
		c.server.counter.inFlight.Dec()
		<-c.inFlight
		c.sending.Done()
	})
	if waited || waitedForStore {
		c.server.bursts.add(burst{eventMessageWaits, c.peer.String(), "the sender has more than a share of what is to be stored or delivered"}, x.user.Login)
	}
}

// confirm delivers a message that is stored, and answers its sender. It runs in the store's
// announcing goroutine, in the order of the ids, and must not wait for the store.
func (c *conn) confirm(id int64, from store.User, m store.Message, stored store.Stored, err error) {
	switch {
	case errors.Is(err, store.ErrNoUser):
		err = noUser(m.To)
	case errors.Is(err, store.ErrNotMember):
		err = notMember(m.To)
	case errors.Is(err, store.ErrNonceUsed):
		err = refuse(proto.StatusConflict, "%v", err)
	default:
		c.server.noteStored(err)
	}
	if err != nil {
		c.answer(proto.TypeSendMessage, id, nil, err)
		return
	}
	if !stored.Repeated {
		c.server.deliver(c, from, m, stored)
	}
	c.enqueue(proto.EncodeSent(id, stored.ID, stored.Date, m.To), from.ID)
}

// parseMessage reads the message of a send_message.
func (c *conn) parseMessage(f proto.Frame, sender int64) (store.Message, error) {
	m := store.Message{Sender: sender, Date: c.server.o.Clock()}
	given := proto.ParseSendMessage(f)
	if given.To == "" {
		return m, refuse(proto.StatusBadRequest, "to must be a login")
	}
	var err error
	if m.To, err = c.recipientForm(given.To); err != nil {
		return m, err
	}
	if m.Body = given.Body; m.Body == "" {
		return m, refuse(proto.StatusBadRequest, "body must be UTF-8 text, and not empty")
	}
	if len(m.Body) > c.server.o.MaxBody {
		return m, refuse(proto.StatusTooLarge, "the body has %d bytes: %s", len(m.Body), c.server.o.limited(maxBody))
	}
	m.Nonce = given.Nonce
	if n := utf8.RuneCountInString(m.Nonce); given.HasNonce && (n < 16 || n > 64) {
		return m, refuse(proto.StatusBadRequest, "nonce must be text of 16 to 64 characters")
	}
	if m.Fields = given.Fields; given.WrongFields != nil {
		return m, refuse(proto.StatusBadRequest, "%v", given.WrongFields)
	}
	return m, nil
}

// recipientForm returns the stored form of a recipient. It remembers the last one, because
// messages in a row mostly go to one recipient.
func (c *conn) recipientForm(to string) (string, error) {
	if to != c.lastTo || c.lastForm == "" {
		form, err := store.LoginForm(to)
		if err != nil {
			return "", noUser(to)
		}
		c.lastTo, c.lastForm = to, form
	}
	return c.lastForm, nil
}

// deliver pushes a stored message to every connection of the recipient, or of the members
// of the conference, and to every other connection of the sender.
func (s *Server) deliver(c *conn, from store.User, m store.Message, stored store.Stored) {
	s.counter.messages.Add(1)
	message := proto.Message{ID: stored.ID, Date: proto.Date{Time: stored.Date}, From: from.Login, To: m.To, Body: m.Body, Fields: m.Fields}
	users := stored.Members
	if users == nil {
		users = []int64{stored.Recipient, from.ID}
	} else {
		message.Conference = m.To
	}
	frame := sync.OnceValue(func() []byte { return proto.EncodePush(message) })
	if slices.ContainsFunc(users, func(id int64) bool { return id != from.ID && s.isOnline(id) }) {
		frame() // push will most likely need it, and holds Server.mu
	}
	s.push(stored.ID, m.Date, frame, c, from.ID, users...)
	if len(users) > 64 {
		runtime.Gosched() // the pushes of many messages take a while
	}
}
