package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

type sendOptions struct {
	lines    bool
	inFlight int
	retry    cli.Duration
	lossy    bool
}

func (a *app) sendCommand() *cobra.Command {
	var o sendOptions
	c := &cobra.Command{
		Use:   "send LOGIN[,LOGIN...] [TEXT...]",
		Short: "Send a message",
		Long: `Send a message to one or more logins, or to a conference that we are in, by its name:
then everybody in it gets the message. The text is what the arguments give, joined
by a space; or standard input, when the text is "-" or when there is none and
standard input is no terminal. Of standard input one trailing newline is removed (on
Windows, where that is two characters, both), and nothing else. The command ends when
the server has confirmed the message. A message has as many bytes as the server
allows: 256 KiB on skarod.

With --lines every line of standard input is a message of its own, in order, over
one connection that is made again when it is lost. The first refusal ends it.

Exit status 7 means that a message was sent and never confirmed: it may or may not
have been delivered. Where the server can tell a message that comes twice, as
skarod can, such a message is sent again until --timeout or --retry is over.`,
		Example: `  skaroctl send bob "the build is green"
  df -h / | skaroctl send alice,bob
  grep ERROR app.log | skaroctl send ops --lines --lossy`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeLogins,
		RunE:              a.does(func(ctx context.Context, args []string) error { return a.send(ctx, o, args) }),
	}
	c.Flags().BoolVar(&o.lines, "lines", false, "send each line of standard input as a message, empty ones left out")
	c.Flags().IntVar(&o.inFlight, "inflight", 256, "with --lines, how `MANY` messages may wait for their confirmation")
	c.Flags().Var(&o.retry, "retry", "how long to try again when the server can't be reached; the last attempt begins by then")
	c.Flags().BoolVar(&o.lossy, "lossy", false, "send what is not UTF-8 with U+FFFD in the place of the bytes that are wrong, instead of refusing it")
	return c
}

func (a *app) send(ctx context.Context, o sendOptions, args []string) error {
	to, err := recipients(args[0])
	if err != nil {
		return err
	}
	if o.inFlight < 1 || o.inFlight > 1<<16 {
		return &usageError{fmt.Sprintf("--inflight is %d, not from 1 to %d", o.inFlight, 1<<16), "leave it out for 256"}
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	if err := t.needLogin(); err != nil {
		return err
	}
	if o.lossy {
		a.streams.In = transform.NewReader(a.streams.In, runes.ReplaceIllFormed())
		for i, word := range args[1:] {
			args[1+i] = runes.ReplaceIllFormed().String(word)
		}
	}
	if o.lines {
		if len(args) > 1 {
			return &usageError{"--lines takes its text from standard input, not from arguments", "write `skaroctl send LOGIN --lines <FILE`, or leave --lines out"}
		}
		return a.sendLines(ctx, o, t, to)
	}
	body, err := a.body(ctx, args[1:])
	if err != nil {
		return err
	}
	if o.retry == 0 {
		var cancel context.CancelFunc
		ctx, cancel = a.oneShot(ctx)
		defer cancel()
	}
	letters := make(chan session.Letter, len(to))
	for _, login := range to {
		letters <- session.Letter{To: login, Body: body}
	}
	close(letters)
	s := a.sender(ctx, t, o)
	s.outbox.Outcome = func(o session.Outcome, more bool) error {
		err := s.outcome(o, more)
		if terminal.ReaderGone(err) {
			return nil // the message is for everybody named, whether or not anybody reads this
		}
		return err
	}
	err = s.outbox.Run(ctx, letters)
	if err != nil && len(s.failed) == 0 && s.confirmed == 0 {
		err = fmt.Errorf("send to %s: %w", args[0], err)
		return several{err}
	}
	for letter := range letters { // they were never begun
		s.failed = append(s.failed, fmt.Errorf("send to %s: %w", letter.To, err))
	}
	return s.end(ctx, nil)
}

// sender prints and counts what becomes of letters.
type sender struct {
	app       *app
	printer   *output.Printer
	outbox    *session.Outbox
	sid       func(context.Context) // stores the SID
	confirmed int
	failed    several
}

// sender makes the outbox of a command, which reports to it.
func (a *app) sender(ctx context.Context, t target, o sendOptions) *sender {
	s := &sender{app: a, printer: a.printer()}
	var stored account.Credentials
	lost := false
	s.sid = func(context.Context) {}
	s.outbox = &session.Outbox{
		Endpoint: t.endpoint,
		Credentials: func(ctx context.Context) (session.Credentials, error) {
			return t.credentials(ctx, &stored)
		},
		InFlight:    o.inFlight,
		AttemptTime: time.Duration(a.flags.timeout),
		Retry:       time.Duration(o.retry),
		LoggedIn: func(got session.Account) {
			if lost {
				lost = false
				a.notice("connected again")
			}
			s.sid = func(ctx context.Context) { a.keepSID(ctx, t, stored, got) }
		},
		Lost: func(err error, pause time.Duration) {
			lost = true
			a.notice("%v; trying again in %v", err, pause.Round(100*time.Millisecond))
		},
		Outcome: s.outcome,
	}
	return s
}

func (s *sender) outcome(o session.Outcome, more bool) error {
	if o.Err != nil {
		s.failed = append(s.failed, fmt.Errorf("send to %s: %w", o.Letter.To, o.Err))
		return nil
	}
	s.confirmed++
	err := s.printer.Sent(o.ID, o.Date, o.Letter.To, o.Sent.Extra)
	if err == nil && !more {
		err = s.printer.Flush()
	}
	return err
}

// end is the result of the command, err being what ended it.
func (s *sender) end(ctx context.Context, err error) error {
	if flushErr := s.printer.Flush(); err == nil {
		err = flushErr
	}
	if err != nil && s.confirmed > 0 && kindOf(err) == cli.KindInternal && !errors.As(err, new(*terminal.Interrupt)) && !terminal.ReaderGone(err) {
		// Who reads only that something failed might send it again.
		err = fmt.Errorf("messages confirmed by the server: %d, but: %w", s.confirmed, err)
	}
	s.sid(ctx)
	if err != nil {
		s.failed = append(s.failed, err)
	}
	if len(s.failed) > 0 {
		return s.failed
	}
	return nil
}

// errRefusedLine ends --lines at the first line that the server refuses.
var errRefusedLine = errors.New("a line was refused")

// sendLines sends each line of standard input.
func (a *app) sendLines(ctx context.Context, o sendOptions, t target, to []string) error {
	s := a.sender(ctx, t, o)
	s.outbox.PingInterval = 30 * time.Second
	connected := s.outbox.LoggedIn
	s.outbox.LoggedIn = func(got session.Account) {
		connected(got)
		// From the first connection on it is made again for as long as it takes,
		// unless --retry says for how long.
		if s.outbox.Retry == 0 {
			s.outbox.Retry = math.MaxInt64
		}
		s.sid(ctx)
	}
	var more *alsoRefused
	var confirmed, unsent *session.Letter // the last one; the first one that never left
	var open *unknownLines                // what the letters before the next one have come to
	s.outbox.Outcome = func(out session.Outcome, soon bool) error {
		var unknown *session.Error
		if errors.As(out.Err, &unknown) && unknown.Kind == session.KindUnknown {
			if open == nil {
				open = &unknownLines{first: out.Letter, several: len(to) > 1}
				s.failed = append(s.failed, open)
			}
			open.last, open.err = out.Letter, unknown
			return nil
		}
		switch {
		case out.Err == nil:
			open, confirmed = nil, &out.Letter
			return s.outcome(out, soon)
		case session.KindOf(out.Err) == session.KindRefused:
			open = nil
			if more == nil {
				more = &alsoRefused{first: out.Err}
				s.failed = append(s.failed, fmt.Errorf("send: %s: %w", out.Letter, out.Err))
			} else {
				more.letters = append(more.letters, out.Letter.String())
			}
			return errRefusedLine
		}
		if unsent == nil {
			unsent = &out.Letter
		}
		return nil // what ended the run says why
	}
	bar := a.progress(len(to))
	outcome := s.outbox.Outcome
	s.outbox.Outcome = func(out session.Outcome, more bool) error {
		bar.add(len(out.Body) + 1)
		return outcome(out, more)
	}
	defer bar.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	letters := make(chan session.Letter, 64)
	var readErr error
	go func() {
		defer close(letters)
		readErr = readLines(a.streams.In, func(n int, line string) bool {
			for _, login := range to {
				letter := session.Letter{To: login, Body: line, Line: n}
				select {
				case letters <- letter: // as long as there is room: what ends the run names the first one that is left
					continue
				default:
				}
				select {
				case letters <- letter:
				case <-ctx.Done():
					return false
				}
			}
			return true
		})
	}()
	err := s.outbox.Run(ctx, letters)
	switch {
	case err == nil:
		err = readErr // the reader has closed the channel
		if s.confirmed > 0 && errors.As(err, new(*usageError)) {
			err = &stopped{err}
		}
	case errors.Is(err, errRefusedLine):
		err = nil
	}
	if more != nil && len(more.letters) > 0 {
		s.failed = append(s.failed, more)
	}
	if terminal.ReaderGone(err) {
		// Unlike one who has seen enough of a list: lines are left that nobody gets.
		err = errors.New("nobody reads the output any more")
	}
	if unsent == nil {
		select {
		case letter, ok := <-letters:
			if ok {
				unsent = &letter
			}
		default:
		}
	}
	var signal *terminal.Interrupt
	switch {
	case err == nil:
	case errors.As(err, &signal) && (open != nil || unsent != nil):
		if open != nil {
			s.failed = s.failed[:len(s.failed)-1] // which it is the last of
		}
		err = &cutShort{to, signal, confirmed, open, unsent}
	case unsent != nil && s.confirmed+len(s.failed) > 0:
		err = fmt.Errorf("send: %s, and what is behind it, was not sent: %w", *unsent, err)
	default:
		err = fmt.Errorf("send to %s: %w", strings.Join(to, ","), err)
	}
	return s.end(ctx, err)
}

// unknownLines are letters that follow each other, and were sent and never confirmed.
type unknownLines struct {
	first, last session.Letter
	several     bool // recipients: each line is a letter to each of them
	err         *session.Error
}

// span names them.
func (e *unknownLines) span() string {
	switch {
	case e.first == e.last:
		return e.first.String()
	case e.several:
		return fmt.Sprintf("%s up to %s", e.first, e.last)
	}
	return fmt.Sprintf("lines %d to %d to %s", e.first.Line, e.last.Line, e.first.To)
}

func (e *unknownLines) Error() string {
	if e.first == e.last {
		return fmt.Sprintf("send: %s: %v", e.span(), e.err)
	}
	return fmt.Sprintf("send: %s: sent, but not confirmed by the server: each may or may not have been delivered: %v", e.span(), e.err.Err)
}
func (e *unknownLines) Unwrap() error { return e.err }

// cutShort is what had become of the lines when a signal came.
type cutShort struct {
	to        []string
	signal    *terminal.Interrupt
	confirmed *session.Letter // the last one; nil where there is none
	unknown   *unknownLines   // those behind it; nil likewise
	unsent    *session.Letter // the first one
}

func (e *cutShort) Error() string {
	said := []string{"nothing is confirmed"}
	if e.confirmed != nil {
		said[0] = fmt.Sprintf("confirmed up to %s", e.confirmed)
	}
	if e.unknown != nil {
		said = append(said, fmt.Sprintf("%s may or may not have been delivered", e.unknown.span()))
	}
	if e.unsent != nil {
		said = append(said, fmt.Sprintf("%s, and what is behind it, was not sent", e.unsent))
	}
	return fmt.Sprintf("send to %s: %v: %s", strings.Join(e.to, ","), e.signal, strings.Join(said, "; "))
}
func (e *cutShort) Unwrap() error { return e.signal }
func (e *cutShort) Hint() string {
	if e.unknown == nil {
		return ""
	}
	return lookFirst
}

// alsoRefused are the lines that were on their way when the first one was refused.
type alsoRefused struct {
	first   error
	letters []string
}

// alsoRefusedMost is how many of them an error names.
const alsoRefusedMost = 10

func (e *alsoRefused) Error() string {
	names, left := e.letters, len(e.letters)-alsoRefusedMost
	if left > 0 {
		names = append(names[:alsoRefusedMost:alsoRefusedMost], fmt.Sprintf("and %d others", left))
	}
	return fmt.Sprintf("send: %d more that were on their way were refused too: %s", len(e.letters), strings.Join(names, ", "))
}
func (e *alsoRefused) Unwrap() error { return e.first }

// stopped is a line that can't be sent, behind others that were: what is wrong with
// it, without the promise that nothing was sent.
type stopped struct{ why error }

func (e *stopped) Error() string { return e.why.Error() }
func (e *stopped) Hint() string {
	var usage *usageError
	if errors.As(e.why, &usage) {
		return usage.hint
	}
	return ""
}

// readLines calls line for every line that is not empty, with its number from 1,
// until that returns false. A last line without a newline counts.
func readLines(r io.Reader, line func(n int, s string) bool) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		var b []byte
		for {
			part, err := in.ReadSlice('\n')
			b = append(b, part...)
			if len(b) > maxBody {
				return &usageError{
					fmt.Sprintf("line %d has more than %d bytes, more than a message can hold; the lines before it were sent", n, maxBody),
					cutting,
				}
			}
			if err == nil {
				b = terminal.TrimNewline(b)
				break
			}
			if errors.Is(err, io.EOF) {
				if len(b) == 0 {
					return nil
				}
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return fmt.Errorf("read standard input: %w", err)
			}
		}
		if !utf8.Valid(b) {
			return notUTF8(fmt.Sprintf("line %d", n))
		}
		if len(b) > 0 && !line(n, string(b)) {
			return nil
		}
	}
}

// notUTF8 is the error for a text that Skaro does not carry.
func notUTF8(what string) error {
	return &usageError{what + " is not UTF-8", "give --lossy to send it with U+FFFD in the place of the bytes that are wrong, or convert it, with iconv for example"}
}

// maxBody is the longest body that fits into a frame, in bytes, with room for the
// other fields.
const maxBody = proto.MaxFrame - 4096

// recipients reads LOGIN[,LOGIN…]. A login named twice gets the message once.
func recipients(s string) ([]string, error) {
	if err := validText("the login", s); err != nil {
		return nil, err
	}
	var to []string
	for login := range strings.SplitSeq(s, ",") {
		if login == "" {
			return nil, &usageError{fmt.Sprintf("%q names an empty login", s), "write logins with one comma between them, like alice,bob"}
		}
		if login != strings.TrimSpace(login) && strings.Contains(s, ",") {
			return nil, &usageError{fmt.Sprintf("%q has a space beside a comma", s), "write logins with one comma between them, like alice,bob"}
		}
		if !slices.Contains(to, login) {
			to = append(to, login)
		}
	}
	return to, nil
}

// body is the text of a message, from the arguments or from standard input.
func (a *app) body(ctx context.Context, words []string) (string, error) {
	var body string
	switch {
	case len(words) == 1 && words[0] == "-", len(words) == 0 && !a.streams.InTerminal:
		b, err := terminal.ReadAll(ctx, a.streams.In, maxBody+1)
		if err != nil {
			return "", fmt.Errorf("read standard input: %w", err)
		}
		if len(b) > maxBody {
			return "", &usageError{fmt.Sprintf("standard input has more than %d bytes, more than a message can hold", maxBody), "send a part of it; " + cutting}
		}
		if !utf8.Valid(b) {
			return "", notUTF8("the text on standard input")
		}
		body = string(terminal.TrimNewline(b))
	case len(words) == 0:
		return "", &usageError{"there is no text to send", "give it as an argument or on standard input"}
	default:
		body = strings.Join(words, " ")
		if !utf8.ValidString(body) {
			return "", notUTF8("the text")
		}
	}
	if body == "" {
		return "", &usageError{"the text to send is empty", "give it as an argument or on standard input"}
	}
	return body, nil
}
