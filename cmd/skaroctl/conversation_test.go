package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// fakeLine is an input line on which a test writes.
type fakeLine struct {
	strings.Builder // what is above it
	events          []terminal.Event
	text            string
}

func (l *fakeLine) Start() error     { return nil }
func (l *fakeLine) Stop()            {}
func (l *fakeLine) Redraw()          {}
func (l *fakeLine) Feed([]byte)      {}
func (l *fakeLine) End()             {}
func (l *fakeLine) Done()            { l.text = "" }
func (l *fakeLine) Text() string     { return l.text }
func (l *fakeLine) SetText(s string) { l.text = s }

func (l *fakeLine) Next() terminal.Event {
	if len(l.events) == 0 {
		return terminal.NoEvent
	}
	e := l.events[0]
	l.events = l.events[1:]
	return e
}

// testChat is a conversation of alice with bob that has begun.
type testChat struct {
	*conversation
	t    *testing.T
	ctx  context.Context
	line *fakeLine
}

func newTestChat(t *testing.T, history ...proto.Message) *testChat {
	line := &fakeLine{}
	f := newTestFactory(t, terminal.Streams{}, nil)
	f.stderr.w = line
	f.flags.timeout = 0
	ctx, cancel := context.WithCancelCause(t.Context())
	c := newConversation(f, "bob", "wss://chat.example.org", cancel)
	c.state, c.own, c.input, c.history, c.outbox, c.online = chatting, "alice", line, history, true, true
	return &testChat{c, t, ctx, line}
}

// enters writes a text and presses Enter.
func (c *testChat) enters(text string) {
	c.line.text, c.line.events = text, []terminal.Event{terminal.EventEnter}
	c.typed(c.ctx, nil, true)
}

// shows checks what has appeared above the line since the last call.
func (c *testChat) shows(want string) {
	c.t.Helper()
	c.flush()
	if got := c.line.String(); got != want {
		c.t.Errorf("it shows\n%s\nnot\n%s", got, want)
	}
	c.line.Reset()
}

func (c *testChat) hears(m proto.Message) {
	received{session.Event{Message: &m, Own: "alice"}}.happen(c.ctx, c.conversation)
}

func (c *testChat) ends(body string, state session.State, err error) {
	answered{session.Result{Message: session.Message{To: "bob", Body: body}, State: state, Err: err}}.happen(c.ctx, c.conversation)
}

func TestChatShowsOnlyItsConversation(t *testing.T) {
	first := proto.Message{ID: 1, From: "bob", To: "alice", Body: "first"}
	c := newTestChat(t, first)
	c.hears(first) // it was shown at the start
	c.hears(proto.Message{ID: 2, From: "bob", To: "alice", Body: "second"})
	c.hears(proto.Message{ID: 3, From: "carol", To: "alice", Body: "no"})
	c.hears(proto.Message{ID: 4, From: "bob", To: "dev", Conference: "dev", Body: "no"})
	c.hears(proto.Message{ID: 5, From: "alice", To: "bob", Body: "third"})
	c.hears(proto.Message{ID: 1, From: "bob", To: "alice", Body: "a copy of the database is older"})
	c.shows("bob: second\nalice → bob: third\nbob: a copy of the database is older\n")
}

func TestChatTellsMessagesWithoutIDsApart(t *testing.T) {
	now := proto.Date{Time: time.Unix(1, 0)}
	dated := proto.Message{Date: now, From: "bob", To: "alice", Body: "hi"}
	undated := proto.Message{From: "bob", To: "alice", Body: "hi"}
	if !sameMessage(dated, dated) || sameMessage(undated, undated) || sameMessage(dated, undated) {
		t.Error("a message without an id is known by its date")
	}
}

func TestChatKeepsWhatCantBeSent(t *testing.T) {
	c := newTestChat(t)
	c.enters(" \n")
	c.shows("")
	for n := range maxPending {
		c.enters(fmt.Sprint(n))
	}
	c.shows("")
	c.enters("too many")
	c.shows("skaroctl: not sent: 64 messages are not confirmed yet: send it later\n")
	if c.line.text != "too many" || len(c.toSend) != maxPending {
		t.Errorf("%q is in the line, and %d messages are to be sent", c.line.text, len(c.toSend))
	}
	c.ends("0", session.StateConfirmed, nil)
	<-c.toSend
	c.enters("too many")
	if c.line.text != "" {
		t.Error("there is no room after a confirmation")
	}
	c.shows("")
}

func TestChatTellsOnceThatItIsNotConnected(t *testing.T) {
	c := newTestChat(t)
	sending{false}.happen(c.ctx, c.conversation)
	c.shows("")
	const told = "skaroctl: not confirmed yet: \"one\"; what you write is sent when the connection is back\n"
	c.enters("one")
	c.shows(told)
	c.enters("two")
	sending{false}.happen(c.ctx, c.conversation)
	c.shows("")
	sending{true}.happen(c.ctx, c.conversation)
	sending{false}.happen(c.ctx, c.conversation)
	c.shows(told)
}

// A long outage does not scroll the conversation away.
func TestChatTellsOnceWhyTheConnectionIsLost(t *testing.T) {
	c := newTestChat(t)
	for _, why := range []string{"lost the connection", "nothing listens", "nothing listens", "nothing listens"} {
		linkLost{errors.New(why), time.Second}.happen(c.ctx, c.conversation)
	}
	c.shows("skaroctl: lost the connection; trying again in 1s\nskaroctl: nothing listens; trying again in 1s\n")
	caughtUp{}.happen(c.ctx, c.conversation)
	caughtUp{}.happen(c.ctx, c.conversation)
	c.shows("skaroctl: connected to wss://chat.example.org again\n")
	linkLost{errors.New("nothing listens"), time.Second}.happen(c.ctx, c.conversation)
	c.shows("skaroctl: nothing listens; trying again in 1s\n")
}

func TestChatGivesARefusedTextBack(t *testing.T) {
	refused := &session.Error{Kind: session.KindRefused, Status: "413", Msg: "too long"}
	c := newTestChat(t)
	c.enters("long")
	c.ends("long", session.StateRefused, refused)
	if c.line.text != "long" {
		t.Errorf("%q is in the line", c.line.text)
	}
	c.line.text = "another"
	c.ends("long", session.StateRefused, refused)
	if c.line.text != "another" {
		t.Errorf("%q is in the line", c.line.text)
	}
	if shown := c.line.String(); strings.Count(shown, `not sent: "long": too long`) != 2 || strings.Count(shown, "hint: send less") != 2 {
		t.Errorf("it shows %s", shown)
	}
}

func TestChatLeavesWhenEverythingIsConfirmed(t *testing.T) {
	c := newTestChat(t)
	c.leave(c.ctx)
	if c.state != chatEnding || !errors.Is(context.Cause(c.ctx), errLeft) {
		t.Error("it does not end although nothing is to be confirmed")
	}

	c = newTestChat(t)
	c.enters("one")
	c.line.events = []terminal.Event{terminal.EventEnd, terminal.EventEnter}
	c.typed(c.ctx, nil, true)
	c.shows("skaroctl: waiting until the server has confirmed 1 message; Ctrl-C leaves at once\n")
	if c.state != chatLeaving || c.ctx.Err() != nil {
		t.Error("it does not wait for a confirmation")
	}
	if m, more := <-c.toSend, <-c.toSend; m.Body != "one" || more.Body != "" {
		t.Errorf("the outbox gets %v and %v", m, more)
	}
	c.ends("one", session.StateUnknown, errors.New("lost"))
	outboxEnded{nil}.happen(c.ctx, c.conversation)
	c.listening = false
	err := c.run(c.ctx)
	if err == nil || err.Error() != `chat: not confirmed: "one": lost` || kindOf(err) != cli.KindUnknown {
		t.Errorf("the error is %v", err)
	}
}

// Leaving takes no longer than --timeout. The errors of the messages say so, and nothing else.
func TestChatLeavesAtItsTimeout(t *testing.T) {
	c := newTestChat(t)
	c.f.flags.timeout = 1
	c.enters("one")
	c.leave(c.ctx)
	<-c.ctx.Done()
	cause := context.Cause(c.ctx)
	c.end(cause)
	c.ends("one", session.StateUnknown, cause)
	c.listening, c.outbox = false, false
	err := c.run(c.ctx)
	if err == nil || err.Error() != `chat: not confirmed: "one": no answer within 1ns` || kindOf(err) != cli.KindUnknown {
		t.Errorf("the error is %v", err)
	}
}

// The user may have typed more than the outbox has taken. Each of these texts is named too, whatever
// ends the wait.
func TestChatNamesEveryUnsentMessage(t *testing.T) {
	for _, cause := range []error{
		&terminal.Interrupt{Signal: os.Interrupt},
		&session.Error{Kind: session.KindTimeout, Msg: "no answer within 1s"},
	} {
		c := newTestChat(t)
		for n := range maxPending {
			c.enters(fmt.Sprint(n))
		}
		c.leave(c.ctx)
		c.line.Reset()
		c.end(cause)
		c.ends("0", session.StateUnsent, cause)
		outboxEnded{cause}.happen(c.ctx, c.conversation)
		c.listening = false
		status, errs := report(t, c.run(c.ctx))
		for n := range maxPending {
			if strings.Count(errs, fmt.Sprintf("skaroctl: chat: not sent: \"%d\"\n", n)) != 1 {
				t.Errorf("%v: %d is not named once:\n%s", cause, n, errs)
				break
			}
		}
		want := 6
		if errors.As(cause, new(*terminal.Interrupt)) {
			want = 130
		}
		if status != want {
			t.Errorf("%v: status %d", cause, status)
		}
	}
}

func TestChatEndsWithTheFirstCause(t *testing.T) {
	c := newTestChat(t)
	c.line.events = []terminal.Event{terminal.EventInterrupt}
	c.typed(c.ctx, nil, true)
	c.outbox = false
	c.end(errors.New("another"))
	c.listening = false
	var interrupt *terminal.Interrupt
	if err := c.run(c.ctx); !errors.As(err, &interrupt) || interrupt.ExitStatus() != 130 {
		t.Errorf("the error is %v", err)
	}
}
