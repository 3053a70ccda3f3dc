package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// conversation is the state of a chat. Only the goroutine of run uses it; listener, outbox and
// keyboard send it what happens.
type conversation struct {
	f      *Factory
	with   string // the other user or the conference, in the server's spelling as soon as that is known
	own    string // our login
	server string // its URL

	state   chatState
	cancel  context.CancelCauseFunc                       // ends listener and outbox
	connect func(context.Context, <-chan session.Message) // starts the outbox

	input     terminal.InputLine // nil while connecting
	notices   io.Writer          // standard error, to which notices go before and after the chat
	printer   *output.Printer    // writes to lines
	lines     bytes.Buffer       // text to appear above the input line
	history   []proto.Message    // those shown at the start, each until it comes again
	toSend    chan session.Message
	pending   []string // texts in toSend or in flight, the oldest first
	online    bool     // the outbox is logged in
	told      bool     // the user knows that messages wait for a connection
	outage    string   // why the listener has no connection, as the user was told; "" while it has one
	listening bool     // the listener has not ended
	outbox    bool     // the outbox was started, and has not ended

	happened  chan happening
	keys      <-chan []byte // nil while connecting
	resized   <-chan os.Signal
	continued <-chan os.Signal
	unstopped <-chan time.Time // after Ctrl-Z: nothing has stopped the process
	stopWatch func()

	cause  error   // why the chat ends
	failed []error // of messages whose failure came while the chat was ending
}

// chatState is what a chat is doing.
type chatState int

const (
	chatConnecting chatState = iota // for the first time
	chatting                        // the user writes
	chatSuspended                   // after Ctrl-Z, until the shell continues the process
	chatLeaving                     // waiting for confirmations
	chatEnding                      // waiting for the end of listener and outbox
)

// maxPending is how many messages of a chat may be unconfirmed.
const maxPending = 64

// errLeft is the cause of a chat's end when the user leaves.
var errLeft = errors.New("the user has left")

func newConversation(f *Factory, with, server string, cancel context.CancelCauseFunc) *conversation {
	c := &conversation{
		f: f, with: with, server: server, cancel: cancel, listening: true, stopWatch: func() {},
		happened: make(chan happening), toSend: make(chan session.Message, maxPending),
	}
	c.printer = output.NewPrinter(&c.lines, output.Options{
		Colour: f.colour(f.streams.OutTerminal), Terminal: f.streams.OutTerminal, Now: f.now,
	})
	return c
}

// run follows what happens until listener and outbox have ended, and returns the error of the
// chat.
func (c *conversation) run(ctx context.Context) error {
	done := ctx.Done()
	for c.listening || c.outbox {
		select {
		case h := <-c.happened:
			h.happen(ctx, c)
		case b, ok := <-c.keys:
			c.typed(ctx, b, ok)
		case <-c.resized:
			c.input.Redraw()
		case <-c.continued:
			c.resume()
		case <-c.unstopped:
			if c.state == chatSuspended {
				c.resume()
			}
		case <-done:
			done = nil
			c.end(context.Cause(ctx))
		}
	}
	if errors.Is(c.cause, errLeft) {
		c.cause = nil
	}
	if len(c.failed) == 0 || c.cause == nil {
		return cmp.Or(c.cause, errors.Join(c.failed...))
	}
	return errors.Join(append(c.failed, fmt.Errorf("chat: %w", c.cause))...)
}

// end ends listener and outbox. The first cause counts.
func (c *conversation) end(cause error) {
	if c.state == chatLeaving && session.KindOf(cause) == session.KindTimeout {
		cause = errLeft // the error of each message says so
	}
	if c.state != chatEnding {
		c.state, c.cause = chatEnding, cause
		c.cancel(cause)
	}
}

// close gives the terminal back.
func (c *conversation) close() {
	c.stopWatch()
	if c.input != nil {
		c.input.Stop()
		c.divert(c.notices)
	}
}

// divert lets what goes to standard error appear above the input line, if both are on a
// terminal.
func (c *conversation) divert(to io.Writer) {
	if c.f.streams.OutTerminal && c.f.streams.ErrTerminal {
		c.f.stderr.divert(to)
	}
}

// happening is something that has happened in another goroutine.
type happening interface {
	happen(context.Context, *conversation)
}

type (
	// begun is the start of the conversation: the first login, and the last messages.
	begun struct {
		with, own string
		history   []proto.Message
	}
	received      struct{ session.Event }  // a push
	settled       struct{}                 // no other push is waiting
	caughtUp      struct{}                 // everything that was missed was fetched
	sending       struct{ connected bool } // the outbox has a connection, or has lost it
	answered      struct{ session.Result } // what became of a message
	listenerEnded struct{ err error }
	outboxEnded   struct{ err error }
	linkLost      struct { // the listener has lost its connection
		err   error
		pause time.Duration
	}
)

// happen takes the terminal, and shows the last messages.
func (b begun) happen(ctx context.Context, c *conversation) {
	if c.state != chatConnecting {
		return // it is ending already
	}
	c.state, c.with, c.own, c.history = chatting, b.with, b.own, b.history
	c.input = c.f.newInputLine(output.Login(c.with))
	c.notices = c.f.stderr.w
	c.divert(c.input)
	c.f.notice("chat with %s; Ctrl-D leaves", output.Login(c.with))
	for _, m := range b.history {
		c.print(c.printer.Message(m, c.own))
	}
	c.flush()
	if err := c.input.Start(); err != nil {
		c.input = terminal.NewPlainLine(c.f.out) // the line can't be edited on this terminal
		c.divert(c.input)
	}
	c.resized, c.continued, c.stopWatch = terminal.WatchJob()
	c.keys = readKeys(ctx, c.f.streams.In)
	c.outbox = true
	c.connect(ctx, c.toSend)
}

// happen shows a message of the conversation, unless it was shown at the start.
func (r received) happen(_ context.Context, c *conversation) {
	switch m := r.Message; {
	case m == nil:
		if typ := r.Push.Type(); typ == proto.TypeInfo || typ == proto.TypeError {
			c.print(c.printer.Push(r.Push))
		}
	case m.Dialog(r.Own) != c.with:
	default:
		if i := slices.IndexFunc(c.history, func(shown proto.Message) bool { return sameMessage(shown, *m) }); i >= 0 {
			c.history = slices.Delete(c.history, i, i+1)
			return
		}
		c.print(c.printer.Message(*m, r.Own))
	}
	if c.printer.Full() || c.lines.Len() > 0 {
		c.flush()
	}
}

// sameMessage reports whether two messages are the same, by their ids or, without these,
// by their dates and contents.
func sameMessage(a, b proto.Message) bool {
	if a.ID != 0 || b.ID != 0 {
		return a.ID == b.ID
	}
	return !a.Date.Time.IsZero() && a.Date.Time.Equal(b.Date.Time) && a.From == b.From && a.To == b.To && a.Body == b.Body
}

func (settled) happen(_ context.Context, c *conversation) { c.flush() }

func (caughtUp) happen(_ context.Context, c *conversation) {
	if c.outage != "" {
		c.notice("connected to %s again", c.server)
	}
	c.outage = ""
}

// happen tells the user why there is no connection, once for each new reason: in a long
// outage, repeated notices would scroll the conversation away.
func (l linkLost) happen(_ context.Context, c *conversation) {
	if why := l.err.Error(); why != c.outage {
		c.outage = why
		c.flush()
		c.f.noticeLost(l.err, l.pause)
	}
}

// happen tells the user, once in an outage, that messages are not confirmed.
func (s sending) happen(_ context.Context, c *conversation) {
	c.online = s.connected
	if s.connected {
		c.told = false
		return
	}
	c.tellPending()
}

// tellPending tells the user that messages wait for a connection.
func (c *conversation) tellPending() {
	if len(c.pending) > 0 && !c.online && !c.told {
		c.told = true
		c.notice("not confirmed yet: %s; what you write is sent when the connection is back", quote(c.pending[0]))
	}
}

// happen tells the user of a message that was not confirmed. The listener shows those that
// were.
func (r answered) happen(_ context.Context, c *conversation) {
	if len(c.pending) > 0 {
		c.pending = c.pending[1:]
	}
	text := quote(r.Message.Body)
	switch r.State {
	case session.StateRefused:
		c.fail(&cli.Error{Msg: "not sent: " + text, Err: r.Err})
		if c.state == chatting && c.input.Text() == "" {
			c.input.SetText(r.Message.Body)
		}
	case session.StateUnknown:
		c.fail(&cli.Error{Kind: cli.KindUnknown, Msg: "not confirmed: " + text, Err: r.Err})
	case session.StateUnsent:
		c.fail(&cli.Error{Kind: kindOf(r.Err), Msg: "not sent: " + text})
	}
}

// fail tells the user what became of a message. If the user has left, it is the error of the
// chat.
func (c *conversation) fail(err *cli.Error) {
	if c.state == chatLeaving || c.state == chatEnding {
		c.failed = append(c.failed, fmt.Errorf("chat: %w", err))
		return
	}
	c.flush()
	c.f.stderr.line("skaroctl: " + err.Error())
	if hint := cmp.Or(hintOf(err), hintOfKind(err)); hint != "" {
		c.f.stderr.line("hint: " + hint)
	}
}

// hintOfKind is the hint that the table of exit statuses has for an error.
func hintOfKind(err error) string {
	i := slices.IndexFunc(exitTable, func(r cli.Row) bool { return r.Kind == kindOf(err) })
	if i < 0 {
		return ""
	}
	return exitTable[i].Hint
}

func (e listenerEnded) happen(_ context.Context, c *conversation) {
	c.listening = false
	c.flush()
	c.end(e.err)
}

func (e outboxEnded) happen(_ context.Context, c *conversation) {
	c.outbox = false
	c.end(cmp.Or(e.err, errLeft))
	for _, text := range c.pending { // the outbox has not taken them
		c.fail(&cli.Error{Kind: kindOf(e.err), Msg: "not sent: " + quote(text)})
	}
	c.pending = nil
}

// quote is the beginning of a text, for a notice.
func quote(text string) string {
	const longest = 40 // characters
	n := 0
	for i := range text {
		if n == longest {
			return `"` + text[:i] + `…"`
		}
		n++
	}
	return `"` + text + `"`
}

// notice tells the user something, below the messages so far.
func (c *conversation) notice(format string, args ...any) {
	c.flush()
	c.f.notice(format, args...)
}

// print notes an error of the printer, which writes to memory.
func (c *conversation) print(err error) {
	if err != nil {
		c.end(err)
	}
}

// flush shows the messages that were printed.
func (c *conversation) flush() {
	c.print(c.printer.Flush())
	if c.lines.Len() == 0 || c.input == nil {
		return
	}
	_, err := c.input.Write(c.lines.Bytes())
	c.lines.Reset()
	if c.lines.Cap() > keptLines {
		c.lines = bytes.Buffer{}
	}
	c.print(err)
}

// keptLines is how many bytes are kept for the next messages after a large one.
const keptLines = 256 << 10

// typed handles what the user has typed. ok is false at the end of the terminal.
func (c *conversation) typed(ctx context.Context, b []byte, ok bool) {
	if !ok {
		c.keys = nil
		c.input.End()
		c.handle(ctx)
		c.leave(ctx)
		return
	}
	if c.state == chatSuspended {
		c.resume() // the process runs, although no shell has continued it
	}
	c.input.Feed(b)
	c.handle(ctx)
}

// handle does what the user has asked for at the input line.
func (c *conversation) handle(ctx context.Context) {
	for {
		switch event := c.input.Next(); event {
		case terminal.NoEvent:
			return
		case terminal.EventEnter:
			c.enter()
		case terminal.EventFull:
			c.notice("the text would have more than %d bytes: what you added is not in it", terminal.MaxDraft)
		case terminal.EventInterrupt:
			c.end(&terminal.Interrupt{Signal: os.Interrupt})
		case terminal.EventEnd:
			c.leave(ctx)
		case terminal.EventSuspend:
			c.suspend()
		}
	}
}

// enter sends the text that is written. If it can't be sent, it stays.
func (c *conversation) enter() {
	text := strings.TrimRight(c.input.Text(), "\n")
	switch {
	case c.state != chatting:
		return
	case strings.TrimSpace(text) == "":
		c.input.SetText("")
		return
	case len(c.pending) == maxPending:
		c.notice("not sent: %d messages are not confirmed yet: send it later", maxPending)
		return
	}
	c.pending = append(c.pending, text)
	c.toSend <- session.Message{To: c.with, Body: text} // it has room for every pending message
	c.input.Done()
	c.tellPending()
}

// leave ends the chat when every message is confirmed, or when --timeout has passed.
func (c *conversation) leave(ctx context.Context) {
	if c.state == chatLeaving || c.state == chatEnding {
		return
	}
	if len(c.pending) == 0 {
		c.end(errLeft)
		return
	}
	c.state = chatLeaving
	close(c.toSend)
	c.notice("waiting until the server has confirmed %s; Ctrl-C leaves at once", messages(len(c.pending)))
	limited, stop := session.WithTimeout(ctx, time.Duration(c.f.flags.timeout))
	context.AfterFunc(limited, func() {
		c.cancel(context.Cause(limited))
		stop()
	})
}

// suspend stops the process, as Ctrl-Z does elsewhere.
func (c *conversation) suspend() {
	if c.state != chatting || !terminal.CanSuspend() {
		return
	}
	c.input.Stop()
	c.state = chatSuspended
	terminal.Suspend()
	c.unstopped = time.After(stopTime)
}

// stopTime is how long after Ctrl-Z a process that still runs counts as not stopped: the
// system does not stop a job that no shell could continue.
const stopTime = time.Second

// resume takes the terminal again after the process was stopped: a shell may have used it.
func (c *conversation) resume() {
	keys, isFile := c.f.streams.In.(*os.File)
	if isFile && !terminal.InForeground(keys) {
		return
	}
	if c.state == chatSuspended {
		c.state = chatting
	}
	c.print(c.input.Start())
}
