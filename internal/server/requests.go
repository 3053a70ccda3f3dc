package server

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// requestTime bounds how long one request may use the store.
const requestTime = 30 * time.Second

// handler answers one kind of request, with the fields of a successful reply or an error.
type handler struct {
	answer          func(*conn, context.Context, proto.Frame) (map[string]any, error)
	unauthenticated bool // it needs no login
	reads           bool // it reads so much that it waits for the user's turn
}

var handlers = map[string]handler{
	proto.TypeRegisterType:   {(*conn).registerType, true, false},
	proto.TypeRegister:       {(*conn).register, true, false},
	proto.TypeAuthorize:      {(*conn).authorize, true, false},
	proto.TypeSessionRestore: {(*conn).sessionRestore, true, false},
	proto.TypeGetContacts:    {(*conn).getContacts, false, true},
	proto.TypeAddContact:     {(*conn).addContact, false, false},
	proto.TypeDelContact:     {(*conn).delContact, false, false},
	proto.TypeSearchContacts: {(*conn).searchContacts, false, true},
	proto.TypeGetUserData:    {(*conn).getUserData, false, false},
	proto.TypeGetMembers:     {(*conn).getMembers, false, true},
	proto.TypeGetHistory:     {(*conn).getHistory, false, true},
	proto.TypeGetUpdates:     {(*conn).getUpdates, false, true},
}

// handle answers one frame of the client.
func (c *conn) handle(f proto.Frame) {
	c.server.counter.requests.Add(1)
	typ := f.Type()
	id, ok := f.RequestNumber()
	if !ok || typ == "" {
		c.reply(map[string]any{"type": proto.TypeError, "info": "a request needs a type, and an integer on_request"})
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
	case !h.unauthenticated && c.currentSession() == nil:
		c.answer(typ, id, nil, notLoggedIn)
	default:
		c.handleWith(h, typ, id, f)
		if c.refusals >= c.server.o.MaxRefusals {
			c.end(websocket.StatusPolicyViolation, tooManyRefusals)
		}
	}
}

// handleWith answers a request by its handler.
func (c *conn) handleWith(h handler, typ string, id int64, f proto.Frame) {
	if h.reads {
		c.server.readers.enter(c.user())
		defer c.server.readers.leave() // after the encoding of the reply, which takes longer than the reading
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	fields, err := h.answer(c, ctx, f)
	c.answer(typ, id, fields, err)
	c.release(c.making)
	c.making = 0
}

// answer sends the reply to a request.
func (c *conn) answer(typ string, id int64, fields map[string]any, err error) {
	reply := map[string]any{"type": proto.TypeReply, "for": typ, "id": id, "status": proto.StatusOK}
	var refused *refusal
	switch err := orDiskFull(err); {
	case err == nil:
		maps.Copy(reply, fields)
	case errors.As(err, &refused):
		reply["status"], reply["info"] = refused.status, refused.info
		c.server.countRefusal(refusedBy(typ), proto.StatusCode(refused.status))
		if refused.retryAfter > 0 {
			reply["retry_after"] = int64(math.Ceil(refused.retryAfter.Seconds()))
		}
	default:
		c.server.logFailure(typ, err)
		c.server.countRefusal(refusedBy(typ), proto.StatusCode(proto.StatusInternal))
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
	c.enqueue(frame, c.user())
}

func (c *conn) authorize(ctx context.Context, f proto.Frame) (map[string]any, error) {
	login, loginErr := store.LoginForm(f.Text("login"))
	var u store.User
	var err error
	if refused := c.try(login, func() bool {
		u, err = c.verify(ctx, login, loginErr == nil, f.Text("password"))
		return errors.Is(err, errWrongPassword)
	}); refused != nil {
		return nil, c.refused(eventLoginRefused, "", refused)
	}
	switch {
	case errors.Is(err, errWrongPassword):
		return nil, c.refuseLogin(cmp.Or(u.Login, noLogin), proto.StatusUnauthorized, err.Error())
	case err != nil:
		return nil, err
	case u.Disabled: // only the user learns it: the password is right
		return nil, c.refuseLogin(u.Login, proto.StatusForbidden, "the account is disabled: the administrator of the server can enable it")
	}
	x, sid, err := c.server.newSession(c, u)
	if err != nil {
		return nil, c.refused(eventLoginRefused, u.Login, err)
	}
	if !c.server.login(c, x) { // the account was changed just now
		return nil, c.refuseLogin(u.Login, proto.StatusUnauthorized, errWrongPassword.Error())
	}
	return c.welcome(x, sid), nil
}

var errWrongPassword = errors.New("wrong login or password")

// verify looks up a login and checks the answer to the challenge. With errWrongPassword it returns
// the user who has the login, if there is one. A wrong login and a wrong password take the same work.
func (c *conn) verify(ctx context.Context, login string, valid bool, answer string) (store.User, error) {
	if !valid {
		login = "" // no user has it
	}
	u, err := c.server.o.Store.User(ctx, login)
	if err != nil && !errors.Is(err, store.ErrNoUser) {
		return u, err
	}
	token := u.Token
	if err != nil {
		token = c.server.dummy
	}
	if !token.Verify(c.challenge, answer) || err != nil {
		return u, errWrongPassword
	}
	return u, nil
}

func (c *conn) sessionRestore(_ context.Context, f proto.Frame) (map[string]any, error) {
	sid := f.Text("sid")
	x, err := c.server.restoreSession(c, sid)
	if err != nil {
		return nil, c.refused(eventLoginRefused, x.user.Login, err)
	}
	if x == nil || !c.server.login(c, x) {
		return nil, c.refuseLogin("", proto.StatusGone, "the session can't be restored")
	}
	return c.welcome(x, sid), nil
}

// welcome lifts the limits of an unauthenticated connection. It returns the reply to a login.
func (c *conn) welcome(x *session, sid string) map[string]any {
	c.maxFrame = c.server.o.MaxFrame
	c.server.counter.logins.Add(1)
	c.server.o.Log.Debug("logged in", "peer", c.peer.text, "login", x.user.Login)
	return map[string]any{"session_id": sid, "user": map[string]any{"login": x.user.Login}}
}

// Limits of the messages in one reply. A client that gives no limit may not know this server's
// extensions, and may use the default of its WebSocket library: libskaro reads 1 MiB at most.
const (
	maxPage    = 1000
	pageBytes  = 4 << 20   // if the client gives a limit
	plainBytes = 900 << 10 // otherwise
)

// pageCopies is how often a page is in memory while its reply is made: as messages, as fields and
// as a frame.
const pageCopies = 3

// parsePage reads limit, before and after of a request. The page must fit into the
// connection's share of unread bytes.
func (c *conn) parsePage(f proto.Frame) (store.Page, error) {
	p := store.Page{Limit: maxPage, Bytes: plainBytes}
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
			return p, refuse(proto.StatusBadRequest, "limit must be a whole number above 0")
		}
		p.Limit, p.Bytes = int(min(n, maxPage)), pageBytes
	}
	p.Bytes = min(p.Bytes, c.server.unread.share())
	c.making = pageCopies * p.Bytes
	c.hold(c.making)
	return p, nil
}

func (c *conn) getHistory(ctx context.Context, f proto.Frame) (map[string]any, error) {
	p, err := c.parsePage(f)
	if err != nil {
		return nil, err
	}
	other, err := c.findParty(ctx, f, "login")
	if err != nil {
		return nil, err
	}
	var list []proto.Message
	var more bool
	if other.Conference {
		list, more, err = c.server.o.Store.ConferenceHistory(ctx, other.ID, p)
	} else {
		list, more, err = c.server.o.Store.History(ctx, c.currentSession().user.ID, other.ID, p)
	}
	if err != nil {
		return nil, err
	}
	return withMore(map[string]any{"history": fieldsOf(list)}, more), nil
}

func (c *conn) getUpdates(ctx context.Context, f proto.Frame) (map[string]any, error) {
	c.server.mu.Lock()
	last := c.server.lastPushed
	c.server.mu.Unlock()
	if !f.Has("after") {
		return map[string]any{"messages": []any{}, "last_id": last}, nil
	}
	p, err := c.parsePage(f)
	if err != nil {
		return nil, err
	}
	p.Before = last + 1
	list, more, err := c.server.o.Store.Updates(ctx, c.currentSession().user.ID, p)
	if err != nil {
		return nil, err
	}
	// If after is above last, the listener learns from last_id that ids went backwards.
	if more {
		last = list[len(list)-1].ID
	}
	return withMore(map[string]any{"messages": fieldsOf(list), "last_id": last}, more), nil
}

func withMore(fields map[string]any, more bool) map[string]any {
	if more {
		fields["more"] = true
	}
	return fields
}

func fieldsOf(list []proto.Message) []any {
	out := make([]any, len(list))
	for i, m := range list {
		out[i] = m.Map()
	}
	return out
}
