package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// refusal is an answer with a status other than 200.
type refusal struct{ status, info string }

func (r *refusal) Error() string { return r.status + ": " + r.info }

func refuse(status, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// requestTime bounds what one request may ask of the store.
const requestTime = 30 * time.Second

// handler answers one kind of request with the fields of a successful reply, or
// with an error: a *refusal, or what is the server's own fault.
type handler struct {
	answer func(*conn, context.Context, proto.Frame) (map[string]any, error)
	open   bool // without a login
}

var handlers = map[string]handler{
	proto.TypeRegisterType:   {(*conn).registerType, true},
	proto.TypeRegister:       {(*conn).register, true},
	proto.TypeAuthorize:      {(*conn).authorize, true},
	proto.TypeSessionRestore: {(*conn).sessionRestore, true},
	proto.TypeGetContacts:    {(*conn).getContacts, false},
	proto.TypeAddContact:     {(*conn).addContact, false},
	proto.TypeDelContact:     {(*conn).delContact, false},
	proto.TypeSearchContacts: {(*conn).searchContacts, false},
	proto.TypeGetUserData:    {(*conn).getUserData, false},
	proto.TypeGetHistory:     {(*conn).getHistory, false},
	proto.TypeGetUpdates:     {(*conn).getUpdates, false},
}

// handle answers one frame of the client.
func (c *conn) handle(f proto.Frame) {
	c.server.counter.requests.Add(1)
	typ := f.Type()
	id, ok := f.Int("on_request")
	if !ok || typ == "" {
		c.reply(map[string]any{"type": proto.TypeError, "info": "a request has a type, and an integer on_request"})
		return
	}
	if typ == proto.TypeSendMessage {
		c.sendMessage(f, id)
		return
	}
	// Requests take effect in order: this one sees what was sent before it.
	c.sending.Wait()
	h, ok := handlers[typ]
	switch {
	case !ok:
		c.answer(typ, id, nil, refuse(proto.StatusUnknown, "there is no request %.64q", typ))
	case !h.open && c.user() == nil:
		c.answer(typ, id, nil, notLoggedIn)
	default:
		ctx, cancel := context.WithTimeout(context.Background(), requestTime)
		fields, err := h.answer(c, ctx, f)
		cancel()
		c.answer(typ, id, fields, err)
		if c.refusals >= c.server.o.MaxRefusals {
			c.end(websocket.StatusPolicyViolation, "too many refusals")
		}
	}
}

var notLoggedIn = &refusal{proto.StatusUnauthorized, "not logged in on this connection"}

// answer sends the reply to a request.
func (c *conn) answer(typ string, id int64, fields map[string]any, err error) {
	reply := map[string]any{"type": proto.TypeReply, "for": typ, "id": id, "status": proto.StatusOK}
	var refused *refusal
	switch {
	case err == nil:
		maps.Copy(reply, fields)
	case errors.As(err, &refused):
		reply["status"], reply["info"] = refused.status, refused.info
	default:
		c.server.trouble(typ, err)
		reply["status"], reply["info"] = proto.StatusInternal, "the server could not do it; nothing was done"
	}
	c.reply(reply)
}

// reply queues a frame.
func (c *conn) reply(fields map[string]any) {
	frame, err := proto.Encode(fields)
	if err != nil {
		c.server.o.Log.Error("encode a frame", "error", err)
		c.end(websocket.StatusInternalError, "the server could not encode its answer")
		return
	}
	c.enqueue(frame)
}

func (c *conn) authorize(ctx context.Context, f proto.Frame) (map[string]any, error) {
	login, loginErr := store.LoginForm(f.Text("login"))
	u, err := store.User{}, store.ErrNoUser
	if loginErr == nil {
		u, err = c.server.o.Store.User(ctx, login)
	}
	if err != nil && !errors.Is(err, store.ErrNoUser) {
		return nil, err
	}
	// A wrong login and a wrong password take the same time and look the same.
	token := c.server.dummy
	if err == nil {
		token = u.Token
	}
	if !token.Verify(c.challenge, f.Text("password")) || err != nil {
		return nil, c.refuseLogin(proto.StatusUnauthorized, "wrong login or password")
	}
	x, sid, err := c.server.newSession(u)
	if errors.Is(err, store.ErrNoUser) { // the account was changed just now
		return nil, c.refuseLogin(proto.StatusUnauthorized, "wrong login or password")
	}
	if err != nil {
		return nil, err
	}
	if !c.server.login(c, x) {
		return nil, c.refuseLogin(proto.StatusUnauthorized, "wrong login or password")
	}
	return c.welcome(x, sid), nil
}

func (c *conn) refuseLogin(status, info string) error {
	c.server.counter.refusedLogins.Add(1)
	c.server.o.Log.Info("login refused", "peer", c.peer, "reason", info)
	return c.refuseStranger(status, info)
}

func (c *conn) sessionRestore(_ context.Context, f proto.Frame) (map[string]any, error) {
	sid := f.Text("sid")
	x := c.server.restoreSession(sid)
	if x == nil || !c.server.login(c, x) {
		return nil, c.refuseLogin(proto.StatusGone, "the session can't be restored")
	}
	return c.welcome(x, sid), nil
}

// welcome is the reply to a connection that is logged in now.
func (c *conn) welcome(x *session, sid string) map[string]any {
	c.ws.SetReadLimit(c.server.o.MaxFrame)
	c.server.counter.logins.Add(1)
	c.server.o.Log.Debug("logged in", "peer", c.peer, "login", x.user.Login)
	return map[string]any{"session_id": sid, "user": map[string]any{"login": x.user.Login}}
}

// Limits of the messages in one reply. A client that gives no limit may be one
// whose WebSocket library reads no more than 1 MiB at once, as libskaro's does.
const (
	pageMost   = 1000
	pageBytes  = 4 << 20
	plainBytes = 900 << 10
)

// page reads limit, before and after of a request.
func page(f proto.Frame) (store.Page, error) {
	p := store.Page{Limit: pageMost, Bytes: plainBytes}
	for name, into := range map[string]*int64{"before": &p.Before, "after": &p.After} {
		if !f.Has(name) {
			continue
		}
		n, ok := f.Int(name)
		if !ok || n < 0 {
			return p, refuse(proto.StatusBadRequest, "%s is a message id", name)
		}
		*into = n
	}
	if f.Has("limit") {
		n, ok := f.Int("limit")
		if !ok || n < 1 {
			return p, refuse(proto.StatusBadRequest, "limit is a number from 1")
		}
		p.Limit, p.Bytes = int(min(n, pageMost)), pageBytes
	}
	return p, nil
}

func (c *conn) getHistory(ctx context.Context, f proto.Frame) (map[string]any, error) {
	p, err := page(f)
	if err != nil {
		return nil, err
	}
	other, err := c.other(ctx, f, "login")
	if err != nil {
		return nil, err
	}
	var list []proto.Message
	var more bool
	if other.Conference {
		list, more, err = c.server.o.Store.ConferenceHistory(ctx, other.ID, p)
	} else {
		list, more, err = c.server.o.Store.History(ctx, c.user().user.ID, other.ID, p)
	}
	if err != nil {
		return nil, err
	}
	return withMore(map[string]any{"history": encodable(list)}, more), nil
}

func (c *conn) getUpdates(ctx context.Context, f proto.Frame) (map[string]any, error) {
	c.server.mu.Lock()
	told := c.server.told
	c.server.mu.Unlock()
	if !f.Has("after") {
		return map[string]any{"messages": []any{}, "last_id": told}, nil
	}
	p, err := page(f)
	if err != nil {
		return nil, err
	}
	p.Before = told + 1
	list, more, err := c.server.o.Store.Updates(ctx, c.user().user.ID, p)
	if err != nil {
		return nil, err
	}
	last := told // also where "after" is above it: so a listener learns that an older database is in place
	if more {
		last = list[len(list)-1].ID
	}
	return withMore(map[string]any{"messages": encodable(list), "last_id": last}, more), nil
}

func withMore(fields map[string]any, more bool) map[string]any {
	if more {
		fields["more"] = true
	}
	return fields
}

func encodable(list []proto.Message) []any {
	out := make([]any, len(list))
	for i, m := range list {
		out[i] = m.Fields()
	}
	return out
}

// sendMessage hands a message to the store, and goes on: the reply follows when it
// is on disk. Above MaxInFlight the reader waits, and so does the sender.
func (c *conn) sendMessage(f proto.Frame, id int64) {
	letter, err := c.letter(f)
	if err != nil {
		c.answer(proto.TypeSendMessage, id, nil, err)
		return
	}
	from := c.user().user
	weight := min(int64(len(letter.Body)), inFlightBytes)
	c.inFlight <- struct{}{}
	_ = c.server.inFlight.Acquire(context.Background(), weight) // only a context fails it, and every commit makes room
	c.sending.Add(1)
	c.server.o.Store.Send(letter, func(m store.Stored, err error) {
		// In the store's writing goroutine, in the order of the ids.
		if err == nil && !m.Repeated {
			c.server.deliver(c, m, from, letter)
		}
		switch {
		case errors.Is(err, store.ErrNoUser):
			err = noUser(letter.To)
		case errors.Is(err, store.ErrNotMember):
			err = notMember(letter.To)
		case errors.Is(err, store.ErrNonceUsed):
			err = refuse(proto.StatusConflict, "%v", err)
		}
		if err == nil {
			c.enqueue(proto.EncodeSent(id, m.ID, m.Date))
		} else {
			c.answer(proto.TypeSendMessage, id, nil, err)
		}
		c.server.inFlight.Release(weight)
		<-c.inFlight
		c.sending.Done()
	})
}

// letter reads a send_message.
func (c *conn) letter(f proto.Frame) (store.Message, error) {
	x := c.user()
	if x == nil {
		return store.Message{}, notLoggedIn
	}
	l := store.Message{Sender: x.user.ID, Date: c.server.o.Clock()}
	to, ok := f.ExactText("to")
	if !ok || to == "" {
		return l, refuse(proto.StatusBadRequest, "to is a login")
	}
	if to != c.lastTo || c.lastForm == "" {
		form, err := store.LoginForm(to)
		if err != nil {
			return l, noUser(to)
		}
		c.lastTo, c.lastForm = to, form // a flood mostly goes to one
	}
	l.To = c.lastForm
	if l.Body, ok = f.ExactText("body"); !ok || l.Body == "" {
		return l, refuse(proto.StatusBadRequest, "body is text in UTF-8, and not empty")
	}
	if len(l.Body) > c.server.o.MaxBody {
		return l, refuse(proto.StatusTooLarge, "the body has %d bytes, at most %d are allowed", len(l.Body), c.server.o.MaxBody)
	}
	if f.Has("nonce") {
		if l.Nonce, ok = f.ExactText("nonce"); !ok || utf8.RuneCountInString(l.Nonce) < 16 || utf8.RuneCountInString(l.Nonce) > 64 {
			return l, refuse(proto.StatusBadRequest, "nonce is text of 16 to 64 characters")
		}
	}
	return l, nil
}

// deliver pushes a stored message to whom it is for: every connection of the
// recipient, or of a conference's members, and every other one of the sender. It is
// encoded when there is one.
func (s *Server) deliver(c *conn, m store.Stored, from store.User, l store.Message) {
	s.counter.messages.Add(1)
	message := proto.Message{ID: m.ID, Date: proto.Date{Time: m.Date}, From: from.Login, To: l.To, Body: l.Body}
	users := m.Members
	if users == nil {
		users = []int64{m.Recipient, from.ID}
	} else {
		message.Conference = l.To
	}
	frame := sync.OnceValue(func() []byte { return proto.EncodePush(message) })
	if slices.ContainsFunc(users, func(id int64) bool { return id != from.ID && s.isOnline(id) }) {
		frame() // it is very likely wanted, and push has something locked
	}
	s.push(m.ID, frame, c, users...)
}
