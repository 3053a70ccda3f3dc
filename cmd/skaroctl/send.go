package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
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

// sendOptions are what the command line of send says.
type sendOptions struct {
	to        string   // LOGIN[,LOGIN...]
	words     []string // TEXT...; nil if there is no LOGIN either
	lines     bool
	null      bool
	json      bool
	keepGoing bool
	key       string
	inFlight  int
	retry     cli.Duration
	lossy     bool
	skipEmpty bool
	spool     bool
	bare      bool // a server that can't carry the fields gets the text alone
	silent    bool // print no result; a notice says if a message waits in the spool
	limited   bool // --inflight was given
	fields    fieldFlags
}

// The default and the limit of --inflight, in messages.
const (
	defaultInFlight = 256
	maxInFlight     = 1 << 16
)

func newSendCmd(f *Factory, run runFunc[sendOptions]) *cobra.Command {
	var o sendOptions
	c := &cobra.Command{
		Use:   "send LOGIN[,LOGIN...] [TEXT...]",
		Short: "Send a message to one or more logins or conferences",
		Long: `The words of TEXT are joined by spaces. If TEXT is "-" or absent, send reads
standard input. Exit status 0 means that the server has stored the message, or
with --spool that it waits here; 7 means that it may have been delivered.

With --lines, --null or --json, standard input has many messages. They are sent
in order over one connection, which send restores if it is lost. With --json, a
line is {"to":"bob","body":"TEXT"}; without "to", the message goes to LOGIN.`,
		Example: `  skaroctl send bob "the build is green"
  skaroctl send ops -- "$MESSAGE"
  skaroctl send ops -f title="Disk full" -f urgency=high "2 GB left on web1"
  df -h / | skaroctl send alice,bob
  skaroctl send --spool ops "the backup is done"
  df | awk '$5+0 > 90' | skaroctl send ops --skip-empty
  grep ERROR app.log | skaroctl send ops --lines --lossy
  echo '{"to":["bob","ops"],"body":"done"}' | skaroctl send --json --keep-going`,
		Args: func(c *cobra.Command, args []string) error {
			if o.json && len(args) == 0 {
				return nil // each line names its recipients
			}
			return cli.CheckArgs(c, args)
		},
		ValidArgsFunction: f.completeLogins,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.to, o.words = args[0], slices.Clone(args[1:])
			}
			o.limited = c.Flags().Changed("inflight")
			return runCommand(c, f, &o, run)
		},
	}
	c.Flags().BoolVar(&o.lines, "lines", false, "send each line of standard input as a message, and skip empty lines")
	c.Flags().BoolVarP(&o.null, "null", "0", false, "like --lines, for texts that end with NUL instead of a newline")
	c.Flags().BoolVar(&o.json, "json", false, "send the JSON object in each line of standard input: to, body, fields, key")
	c.Flags().BoolVar(&o.keepGoing, "keep-going", false, "report a message that can't be sent, and go on with the next one")
	c.Flags().StringVar(&o.key, "key", "", "deliver the message once in 24 hours, however often it is sent with this `KEY`")
	c.Flags().IntVar(&o.inFlight, "inflight", defaultInFlight, "with --lines, --null or --json, at most `N` messages may be unconfirmed")
	c.Flags().Var(&o.retry, "retry", "try again for this long if the failure may be temporary: no server, network or keyring, 429, or 5xx except 501")
	c.Flags().BoolVar(&o.lossy, "lossy", false, "replace bytes that are not UTF-8 with U+FFFD")
	c.Flags().BoolVar(&o.skipEmpty, "skip-empty", false, "send nothing, with exit status 0, if the text is empty")
	c.Flags().BoolVar(&o.spool, "spool", false, "keep the message on this machine if it can't be delivered now, and send what waits first")
	o.fields.add(c.Flags())
	cli.Exclusive(c, "lines", "null", "json", "key")
	cli.Exclusive(c, "json", "field")
	cli.Exclusive(c, "json", "json-field")
	return c
}

// stream reports whether the messages are the records of an input.
func (o *sendOptions) stream() bool { return o.lines || o.null || o.json }

// runSend sends the messages, prints each confirmation, and returns what was not confirmed.
func runSend(ctx context.Context, f *Factory, o *sendOptions) error {
	to, err := o.check()
	if err != nil {
		return err
	}
	acct, err := f.resolveLogin(ctx)
	if err != nil {
		return err
	}
	return o.send(ctx, f, acct, to)
}

// send is runSend for an account that is resolved.
func (o *sendOptions) send(ctx context.Context, f *Factory, acct Account, to []string) error {
	ctx, cancel := context.WithCancel(ctx) // ends the reading of the input too
	defer cancel()
	start, err := o.read(ctx, f)
	if err != nil || start == nil {
		return err
	}
	if !o.stream() && o.retry == 0 {
		ctx, cancel = f.withTimeout(ctx)
		defer cancel()
	}
	if o.spool {
		return o.sendOrSpool(ctx, f, acct, start(ctx, to))
	}
	report := &sendReport{to: to, stream: o.stream(), keepGoing: o.keepGoing, report: f.report}
	if report.to, err = o.distinct(ctx, f, acct, to); err != nil {
		return report.finish(acct.hintLogin(err))
	}
	in, printer, bar := start(ctx, report.to), f.Printer(), o.showProgress(f, len(report.to))
	cause := o.outbox(ctx, f, acct, printer).Run(ctx, in.messages, func(r session.Result) error {
		bar.add(len(r.Message.Body) + 1)
		return cmp.Or(report.add(r), o.print(f, printer, r))
	})
	bar.end()
	for _, m := range in.left() {
		_ = report.add(session.Result{Message: m, State: session.StateUnsent})
	}
	report.skipped = in.skipped.Load()
	return report.finish(cmp.Or(acct.hintLogin(cause), in.error(cause), printer.Flush()))
}

// sendOrSpool sends a text through the spool, and prints what became of it.
func (o *sendOptions) sendOrSpool(ctx context.Context, f *Factory, acct Account, in *messageSource) error {
	deliveries, err := f.sendOrSpool(ctx, acct, o.retry, in.left())
	if deliveries == nil {
		return err
	}
	report, printer := &sendReport{}, f.Printer()
	var cause, printed error
	for _, d := range deliveries {
		switch {
		case d.spooled != nil && o.silent:
			f.notice("the message to %s waits in the spool: %v", d.Message.To, d.Err)
		case d.spooled != nil && !f.given.quiet:
			printed = cmp.Or(printed, printer.Spooled(spooledResult(d.spooled, d.Err)))
		case d.spooled == nil:
			report.to = append(report.to, d.Message.To)
			_ = report.add(d.Result)
			printed = cmp.Or(printed, o.print(f, printer, d.Result))
			if d.State == session.StateUnsent {
				cause = cmp.Or(cause, d.Err)
			}
		}
	}
	if printed = cmp.Or(printed, printer.Flush()); terminal.ReaderGone(printed) {
		printed = nil
	}
	failed := report.finish(cmp.Or(cause, printed))
	return errors.Join(failed, err)
}

// check checks what the parser can't, and returns the recipients.
func (o *sendOptions) check() (to []string, err error) {
	if !o.json || o.words != nil {
		if to, err = recipients(o.to); err != nil {
			return nil, err
		}
	}
	if o.inFlight < 1 || o.inFlight > maxInFlight {
		return nil, cli.Usage(fmt.Sprintf("--inflight is %d, not from 1 to %d", o.inFlight, maxInFlight), fmt.Sprintf("leave it out for %d", defaultInFlight))
	}
	switch wrong := checkKey(o.key); {
	case (o.keepGoing || o.limited) && !o.stream():
		return nil, cli.Usage("--keep-going and --inflight are for many messages, and there is only one without --lines, --null or --json", "add --lines to send each line of standard input as a message")
	case o.key != "" && wrong != "":
		return nil, cli.Usage("--key "+wrong, "use a UUID, for example")
	case o.spool && o.stream():
		return nil, cli.Usage(fmt.Sprintf("--spool takes a single message, and can't be used with %s", o.input().flag), "leave --spool out, and give --retry to wait for the server")
	case o.json && len(o.words) > 0:
		return nil, cli.Usage("--json takes its messages from standard input, not from arguments", "write `skaroctl send --json <FILE`; for results in JSON, write `-o json`")
	case o.stream() && len(o.words) > 0:
		flag := o.input().flag
		return nil, cli.Usage(flag+" takes its text from standard input, not from arguments", fmt.Sprintf("write `skaroctl send LOGIN %s <FILE`, or leave %[1]s out", flag))
	}
	if o.fields.readStdin() && (o.stream() || o.textOnStdin()) {
		return nil, cli.Usage("-F and the text can't both be on standard input", "give the text as an argument, or write -F KEY=@FILE")
	}
	if o.spool {
		return to, checkDistinct(to)
	}
	return to, nil
}

// textOnStdin reports whether one text is on standard input.
func (o *sendOptions) textOnStdin() bool {
	return len(o.words) == 0 || len(o.words) == 1 && o.words[0] == "-"
}

// input is one of the forms that an input of many messages may have.
type input struct {
	flag, typing string
	reader       func(io.Reader) recordReader
}

func (o *sendOptions) input() input {
	switch {
	case o.json:
		return input{"--json", "each line is a JSON object", o.newJSONReader}
	case o.null:
		return input{"--null", "each message ends with NUL", newNullReader}
	}
	return input{"--lines", "each line is a message", newLineReader}
}

// messageMaker makes the messages of a run, for their recipients.
type messageMaker func(ctx context.Context, to []string) *messageSource

// read reads the text. For many messages, the messageMaker that it returns reads standard input
// as it comes. The messageMaker is nil if there is nothing to send and --skip-empty is given.
func (o *sendOptions) read(ctx context.Context, f *Factory) (messageMaker, error) {
	in := terminal.BlockingReader(f.streams.In)
	fields, err := o.fields.readMessage(ctx, in)
	if err != nil {
		return nil, err
	}
	if o.lossy {
		in = transform.NewReader(in, runes.ReplaceIllFormed())
	}
	if o.stream() {
		return o.readStream(ctx, f, in, fields)
	}
	body, err := o.body(ctx, f, in)
	switch {
	case err != nil || body == "" && o.skipEmpty:
		return nil, err
	case body == "":
		return nil, cli.Usage("the text to send is empty", "give it as an argument or on standard input, or use --skip-empty if it may be empty")
	}
	return func(_ context.Context, to []string) *messageSource {
		return textMessages(record{body: body, fields: fields, bare: o.bare, key: o.key}, to)
	}, nil
}

// readStream is read for many messages. With --skip-empty it waits for the first one, so that
// nothing connects to the server for an input without any. Each gets the fields.
func (o *sendOptions) readStream(ctx context.Context, f *Factory, in io.Reader, fields proto.Fields) (messageMaker, error) {
	form := o.input()
	f.noticeTyping(form.typing)
	next := withFields(fields, form.reader(in))
	if o.skipEmpty {
		first, err := terminal.Await(ctx, next)
		switch {
		case ctx.Err() != nil:
			return nil, err
		case errors.Is(err, io.EOF):
			return nil, nil
		}
		next = startingWith(first, err, next)
	}
	var wrong func(error)
	if o.keepGoing {
		wrong = func(err error) { _ = f.report(fmt.Errorf("send: %w", err)) }
	}
	return func(ctx context.Context, to []string) *messageSource { return streamMessages(ctx, next, to, wrong) }, nil
}

// body returns the text of a message, from the arguments or from standard input. It may be
// empty.
func (o *sendOptions) body(ctx context.Context, f *Factory, in io.Reader) (string, error) {
	if o.textOnStdin() {
		f.noticeTyping("type the message")
		b, err := readBody(ctx, in)
		return string(b), err
	}
	body := strings.Join(o.words, " ")
	if o.lossy {
		body = runes.ReplaceIllFormed().String(body)
	}
	if !utf8.ValidString(body) {
		return "", notUTF8("the text")
	}
	return body, nil
}

// noticeTyping tells a user at a terminal that the program waits for input, and how to end
// it.
func (f *Factory) noticeTyping(what string) {
	keys := "Ctrl-D"
	if runtime.GOOS == "windows" {
		keys = "Ctrl-Z and Enter"
	}
	if f.streams.InTerminal {
		f.notice("%s; %s on a line of its own ends it", what, keys)
	}
}

// maxBody is the longest body that fits into a frame, in bytes, with room for the other
// fields.
const maxBody = proto.MaxFrame - proto.MaxFieldBytes - 4096

// readBody reads a message from standard input.
func readBody(ctx context.Context, in io.Reader) ([]byte, error) {
	b, err := terminal.ReadAll(ctx, in, maxBody+1)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read standard input: %w", err)
	case len(b) > maxBody:
		return nil, cli.Usage(fmt.Sprintf("standard input has more than %d bytes, more than a message can hold", maxBody), "send less: "+shortening)
	case !utf8.Valid(b):
		return nil, notUTF8("the text on standard input")
	}
	return terminal.TrimNewline(b), nil
}

// notUTF8 returns the error for a text that Skaro does not carry.
func notUTF8(what string) error {
	return cli.Usage(what+" is not UTF-8", "give --lossy to send it with U+FFFD in place of the wrong bytes, or convert it, with iconv for example")
}

// outbox makes the outbox of a run. ctx bounds the storing of a SID.
func (o *sendOptions) outbox(ctx context.Context, f *Factory, acct Account, printer *output.Printer) *session.Outbox {
	source := newCredentialSource(acct)
	lost := false
	box := &session.Outbox{
		Endpoint:    acct.endpoint,
		Credentials: source.read,
		InFlight:    o.inFlight,
		AttemptTime: time.Duration(f.flags.timeout),
		Retry:       o.retryPolicy(), RetryRefused: o.retry > 0,
		LoggedIn: func(got session.Account) {
			if lost {
				f.notice("connected to %s again", acct.endpoint.URL)
			}
			lost = false
			source.renewSID(ctx, got)
		},
		Lost: func(err error, pause time.Duration) {
			lost = true
			_ = printer.Flush() // confirmations must not wait for the next connection; an error comes back later
			f.noticeLost(err, pause)
		},
	}
	if o.stream() { // it may last for days
		box.PingInterval = 30 * time.Second
	}
	return box
}

// retryPolicy says how long to keep trying. For a stream there is no limit after the first
// login, unless --retry sets one.
func (o *sendOptions) retryPolicy() session.RetryPolicy {
	p := session.RetryPolicy{BeforeLogin: time.Duration(o.retry), AfterLogin: time.Duration(o.retry), Passes: account.Temporary}
	if o.stream() {
		p.AfterLogin = cmp.Or(p.AfterLogin, session.Forever)
	}
	return p
}

// print prints the result of a message that is confirmed, unless --quiet is given.
func (o *sendOptions) print(f *Factory, p *output.Printer, r session.Result) error {
	var err error
	if r.State == session.StateConfirmed && !f.given.quiet && !o.silent {
		err = p.Sent(r.ID, r.Date, r.To, r.Extra)
	}
	if err == nil && !r.More {
		err = p.Flush()
	}
	if !o.stream() && terminal.ReaderGone(err) {
		return nil // every recipient gets the message, whether or not its result is read
	}
	return err
}
