package main

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

type chatOptions struct{ login string }

func newChatCmd(f *Factory, run runFunc[chatOptions]) *cobra.Command {
	var o chatOptions
	return &cobra.Command{
		Use:   "chat LOGIN",
		Short: "Chat with another user at a terminal",
		Long: `LOGIN is another user, or a conference that you are in. The last messages
appear, and new ones then appear above your input line. Enter sends. "\" and
Enter continue the text on a new line. Up recalls what you have sent.

At an empty line, Ctrl-D leaves when every message is confirmed, and Ctrl-C
leaves at once. Otherwise Ctrl-C clears the line. docs/chat.md has all keys.`,
		Example: `  skaroctl chat bob
  skaroctl chat ops --profile work`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeLogin,
		RunE: func(c *cobra.Command, args []string) error {
			o.login = args[0]
			return runCommand(c, f, &o, run)
		},
	}
}

// check returns an error if the command can't be run here, before anything is sent.
func (o *chatOptions) check(f *Factory) error {
	if err := checkLogin(o.login, "write `skaroctl chat LOGIN`"); err != nil {
		return err
	}
	switch {
	case !f.streams.InTerminal:
		return cli.Usage("standard input is not a terminal", "use `skaroctl send` and `skaroctl listen` in a script")
	case f.given.output == "json":
		return cli.Usage("--output json is for programs, and a chat is for people", "use `skaroctl listen --output json`")
	}
	return nil
}

// runChat shows the conversation and sends what is written, until the user leaves.
func runChat(ctx context.Context, f *Factory, o *chatOptions) error {
	if err := o.check(f); err != nil {
		return err
	}
	acct, err := f.resolveLogin(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := newConversation(f, o.login, acct.endpoint.URL, cancel)
	l := &chatLink{f: f, acct: acct, with: o.login, happened: c.happened}
	c.connect = l.send
	defer c.close()
	l.listen(ctx)
	err = c.run(ctx)
	l.joined.Wait()
	return acct.hintLogin(err)
}

// chatHistory is how many earlier messages a chat shows.
const chatHistory = 20

// chatLink connects a conversation to the server: a listener receives, and an outbox sends. Each
// has a connection of its own, so that the listener brings our own messages in the order in
// which the server has them.
type chatLink struct {
	f        *Factory
	acct     Account
	with     string
	happened chan<- happening
	joined   sync.WaitGroup

	begun bool // the conversation has begun; used by the goroutine of the listener alone
}

// listen starts the listener, which sends listenerEnded when it ends. The end of ctx ends it.
func (l *chatLink) listen(ctx context.Context) {
	source := newCredentialSource(l.acct)
	listener := &session.Listener{
		Endpoint:       l.acct.endpoint,
		Credentials:    source.read,
		ConnectTimeout: time.Duration(l.f.flags.timeout),
		PingInterval:   chatPing,
		Retry:          session.RetryPolicy{AfterLogin: session.Forever, Passes: rotationPasses},
		LoggedIn:       func(got session.Account) { source.renewSID(ctx, got) },
		Prepare:        l.begin,
		Lost:           func(err error, pause time.Duration) { l.happened <- linkLost{err, pause} },
		Listening:      func(session.Account) { l.happened <- caughtUp{} },
		Settled: func() error {
			l.happened <- settled{}
			return nil
		},
	}
	l.joined.Go(func() {
		defer terminal.RestoreAtPanic()
		l.happened <- listenerEnded{listener.Run(ctx, func(e session.Event) error {
			l.happened <- received{e}
			return ctx.Err()
		})}
	})
}

// chatPing is the time between two checks of a connection.
const chatPing = 30 * time.Second

// begin fetches the last messages, after the first login.
func (l *chatLink) begin(ctx context.Context, s *session.Session) error {
	if l.begun {
		return nil
	}
	with, err := s.Spelling(ctx, l.with)
	if err != nil {
		return err
	}
	got, err := s.Account(ctx)
	if err != nil {
		return err
	}
	b := begun{with: with.Login, own: got.Login}
	err = s.History(ctx, b.with, session.HistoryRange{Limit: chatHistory}, func(messages []proto.Message) error {
		b.history = append(b.history, messages...)
		return nil
	})
	if err != nil {
		return err
	}
	l.begun = true
	l.happened <- b
	return nil
}

// send starts the outbox, which sends outboxEnded when it ends. The end of in or of ctx
// ends it.
func (l *chatLink) send(ctx context.Context, in <-chan session.Message) {
	source := newCredentialSource(l.acct)
	outbox := &session.Outbox{
		Endpoint:     l.acct.endpoint,
		Credentials:  source.read,
		InFlight:     maxPending,
		AttemptTime:  time.Duration(l.f.flags.timeout),
		Retry:        session.RetryPolicy{BeforeLogin: session.Forever, AfterLogin: session.Forever, Passes: rotationPasses},
		PingInterval: chatPing,
		LoggedIn: func(got session.Account) {
			source.renewSID(ctx, got)
			l.happened <- sending{true}
		},
		Lost: func(error, time.Duration) { l.happened <- sending{false} },
	}
	l.joined.Go(func() {
		defer terminal.RestoreAtPanic()
		err := outbox.Run(ctx, in, func(r session.Result) error {
			l.happened <- answered{r}
			return nil
		})
		l.happened <- outboxEnded{err}
	})
}

// newInputLine makes the line in which the user writes. A terminal that can't move its cursor
// edits the line itself.
func (f *Factory) newInputLine(prompt string) terminal.InputLine {
	keys, isFile := f.streams.In.(*os.File)
	screen, isFileToo := f.streams.Out.(*os.File)
	if !isFile || !isFileToo || !f.streams.OutTerminal || f.streams.Plain || f.getenv("TERM") == "dumb" {
		return terminal.NewPlainLine(f.out)
	}
	return terminal.NewEditor(keys, screen, f.out, prompt, output.Line)
}

// readKeys passes on what the user types at a terminal, and closes the channel at its end. A
// blocked read lasts until the process ends.
func readKeys(ctx context.Context, in io.Reader) <-chan []byte {
	keys := make(chan []byte)
	in = terminal.BlockingReader(in)
	go func() {
		defer terminal.RestoreAtPanic()
		defer close(keys)
		b := make([]byte, 4096)
		for {
			n, err := in.Read(b)
			if n > 0 {
				select {
				case keys <- append([]byte(nil), b[:n]...):
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return keys
}
