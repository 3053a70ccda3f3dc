package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// listenOptions are the flags of listen.
type listenOptions struct {
	from, conferences []string
	match             []string
	own, events       bool
	since             string
	resume            bool
	count             int // zero means no limit
	length            cli.Duration
	drain             bool
	ack               string
	format, exec      string
	execRetry         int
	deadLetter        string
	noReconnect       bool
	pingInterval      cli.Duration

	countGiven bool   // the command line has --count
	command    string // the command line without --since, for a hint
}

const listenHelp = `listen runs until it is interrupted. It connects again after a lost connection,
and fetches what it missed. With --resume it first shows what arrived since the
last "listen --resume" of this account. With --drain it then ends.

--exec runs a command for each message. The command gets the message as JSON on
standard input, and its parts in SKARO_FROM, SKARO_DIALOG, SKARO_ID, SKARO_DATE,
SKARO_BODY, SKARO_TITLE and SKARO_URGENCY; docs/listening.md has the details.`

func newListenCmd(f *Factory, run runFunc[listenOptions]) *cobra.Command {
	o := listenOptions{pingInterval: cli.Duration(30 * time.Second)}
	c := &cobra.Command{
		Use:   "listen",
		Short: "Show messages as they arrive",
		Long:  listenHelp,
		Example: `  skaroctl listen | jq -r .body
  skaroctl listen --from bob --count 1 --for 1m
  skaroctl listen --conference dev --own
  skaroctl listen --match urgency=critical --match tags=web1
  skaroctl listen --resume --drain
  skaroctl listen --resume --exec 'jq -r .body >>messages.txt'`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.countGiven = c.Flags().Changed("count")
			o.command = commandWithout(c, "since")
			return runCommand(c, f, &o, run)
		},
	}
	flags := c.Flags()
	flags.StringArrayVar(&o.from, "from", nil, "show only messages from `LOGIN` (repeatable)")
	cli.CompleteFlagFunc(c, "from", f.completeFrom)
	flags.StringArrayVar(&o.conferences, "conference", nil, "show only messages in the conference `NAME` (repeatable)")
	cli.CompleteFlagFunc(c, "conference", f.completeConference)
	flags.StringArrayVar(&o.match, "match", nil, "show only messages with the field `KEY=VALUE` (repeatable; all must match)")
	flags.BoolVar(&o.own, "own", false, "also show messages that this account sends from elsewhere")
	flags.BoolVar(&o.events, "events", false, "also show what the server pushes besides messages: info, error and others")
	flags.StringVar(&o.since, "since", "", "start with the messages since `WHEN`: \"all\", or a value as for history --since")
	flags.BoolVar(&o.resume, "resume", false, "start where the last listen --resume of this account ended")
	flags.IntVarP(&o.count, "count", "n", 0, "end after `N` messages")
	flags.Var(&o.length, "for", "end after this time; the exit status is 6 if fewer messages than --count came")
	flags.BoolVar(&o.drain, "drain", false, "end when everything that the server has now is shown; needs --resume or --since")
	flags.StringVar(&o.ack, "ack", "", "with --resume, count a message as handled only when the reader has written its id to `FILE`, a FIFO or /dev/fd/N")
	flags.StringVar(&o.format, "format", "", "format each message with a Go `TEMPLATE`, like '{{.from}}: {{.body}}'")
	flags.StringVar(&o.exec, "exec", "", "run a shell `COMMAND` for each message instead of showing it")
	flags.IntVar(&o.execRetry, "exec-retry", 0, "run a failed command of --exec up to `N` more times, with growing pauses")
	flags.StringVar(&o.deadLetter, "dead-letter", "", "append to `FILE` each message for which --exec has failed, and go on")
	flags.BoolVar(&o.noReconnect, "no-reconnect", false, "end if the connection is lost")
	flags.Var(&o.pingInterval, "ping-interval", "time between two checks of the connection")
	cli.Exclusive(c, "format", "exec")
	cli.Exclusive(c, "ack", "exec")
	return c
}

// runListen shows messages, or runs --exec for each, until one of the limits is reached.
func runListen(ctx context.Context, f *Factory, o *listenOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	format, err := parseFormat(o.format, f.streams.OutTerminal)
	if err != nil {
		return err
	}
	start, err := o.start(f.now())
	if err != nil {
		return err
	}
	acks, err := newAcks(o.ack, f.notice)
	if err != nil {
		return err
	}
	acct, err := f.resolveLogin(ctx)
	if err != nil {
		return err
	}
	position, resume, err := o.openPosition(acct)
	if err != nil {
		return err
	}
	if position != nil {
		defer position.Close()
	}

	report := &listenReport{
		signaled: ctx, f: f, o: o, server: acct.endpoint.URL,
		filter: newFilter(o, acct.endpoint.URL, f.notice), printer: f.FormatPrinter(format), saved: position, acks: acks,
		behind: start != nil || resume != nil,
	}
	if o.exec != "" {
		if report.hook, err = o.openHook(f, acct); err != nil {
			return err
		}
		defer report.hook.letters.close()
		defer report.hook.reaper.start()()
	}
	l := newListener(ctx, acct, report)
	l.Start, l.Resume, l.PositionFirst, l.Drain = start, resume, o.resume, o.drain
	report.position = l.Position
	return acct.hintLogin(report.run(l))
}

// openHook makes the hook of --exec.
func (o *listenOptions) openHook(f *Factory, acct Account) (*hook, error) {
	letters, err := openDeadLetters(o.deadLetter)
	if err != nil {
		return nil, err
	}
	h := newHook(o.exec, os.Environ(), acct.environ(f.getenv), f.streams, f.notice)
	h.retries, h.letters = o.execRetry, letters
	return h, nil
}

// newListener makes the listener of an account. It tells report what happens.
func newListener(ctx context.Context, acct Account, report *listenReport) *session.Listener {
	source := newCredentialSource(acct)
	return &session.Listener{
		Endpoint:       acct.endpoint,
		Credentials:    source.read,
		ConnectTimeout: time.Duration(report.f.flags.timeout),
		PingInterval:   time.Duration(report.o.pingInterval),
		Retry:          report.o.retry(),
		LoggedIn: func(got session.Account) {
			report.connected = true
			source.renewSID(ctx, got)
		},
		Prepare:   report.filter.prepare,
		Lost:      report.lostConnection,
		Listening: report.caughtUp,
		NeedIDs:   report.acks != nil,
		Settled:   report.settle,
	}
}

// check returns an error if an option is wrong, before anything is sent.
func (o *listenOptions) check() error {
	if o.countGiven && o.count < 1 {
		return cli.Usage(fmt.Sprintf("--count is %d: less than one message", o.count), "leave it out to listen until interrupted")
	}
	if (o.execRetry != 0 || o.deadLetter != "") && o.exec == "" {
		return cli.Usage("--exec-retry and --dead-letter are for the command of --exec, which is not given", "add --exec COMMAND")
	}
	if o.execRetry < 0 {
		return cli.Usage(fmt.Sprintf("--exec-retry is %d: less than zero", o.execRetry), "leave it out to try once")
	}
	if o.ack != "" && !o.resume {
		return cli.Usage("--ack moves the position of --resume, which is not given", "add --resume")
	}
	if o.drain && !o.resume && o.since == "" {
		return cli.Usage("--drain has nothing to show: without --resume or --since, listen begins with new messages", "add --resume to continue where the last run ended, or --since all")
	}
	if _, err := parseMatches(o.match); err != nil {
		return err
	}
	if err := checkNames("--from", "login", o.from); err != nil {
		return err
	}
	return checkNames("--conference", "name", o.conferences)
}

// checkNames returns an error for a name that a flag can't have.
func checkNames(flag, of string, names []string) error {
	for _, name := range names {
		if err := cli.CheckUTF8("the "+of+" of "+flag, name); err != nil {
			return err
		}
		if strings.Contains(name, ",") {
			return cli.Usage(fmt.Sprintf("%s is %q, with a comma", flag, name), fmt.Sprintf("give %s once for each %s", flag, of))
		}
	}
	return nil
}

// parseFormat parses the template of --format. An empty text means that there is none.
func parseFormat(text string, terminal bool) (*output.Format, error) {
	if text == "" {
		return nil, nil
	}
	format, err := output.ParseFormat(text, terminal)
	if err != nil {
		return nil, cli.Usage(fmt.Sprintf("--format: %v", err), "use the keys "+output.FormatKeys()+", for example '{{.from}}: {{.body}}'")
	}
	return format, nil
}

// start returns the bound of --since; nil means to begin with new messages.
func (o *listenOptions) start(now time.Time) (*session.Bound, error) {
	switch o.since {
	case "":
		return nil, nil
	case "all":
		return &session.Bound{}, nil
	}
	b, err := parseBound("--since", o.since, "write --since all to begin with the oldest message", now)
	return &b, err
}

// openPosition takes the lock of the account's position, if --resume is given. It returns
// where to resume, unless --since says where to begin.
func (o *listenOptions) openPosition(acct Account) (file *account.PositionFile, resume *session.Position, err error) {
	if !o.resume {
		return nil, nil, nil
	}
	if file, err = account.OpenPosition(acct.files, acct.key()); err != nil || o.since != "" {
		return file, nil, err
	}
	var saved session.Position
	found, err := file.Read(&saved)
	switch {
	case err != nil:
		file.Close()
		return nil, nil, err
	case !found:
		return file, nil, nil
	}
	return file, &saved, nil
}

// retry returns how long to keep trying to connect.
func (o *listenOptions) retry() session.RetryPolicy {
	if o.noReconnect {
		return session.RetryPolicy{}
	}
	return session.RetryPolicy{BeforeLogin: session.Forever, AfterLogin: session.Forever, Passes: rotationPasses}
}

// rotationPasses reports whether an error of the credentials may pass by itself while listen or
// chat runs: their token is being replaced.
func rotationPasses(err error) bool { return account.KindOf(err) == account.KindRotation }

// errTimeUp is the cause of a run's end after --for.
var errTimeUp = errors.New("the time of --for is over")

// limit returns a context that also ends after --for, and when the reader of out goes away.
// stop ends the context, and waits for the end of the watching of out.
func (o *listenOptions) limit(ctx context.Context, out io.Writer) (limited context.Context, stop func()) {
	limited, cancel := context.WithCancelCause(ctx)
	giveUp := context.CancelFunc(func() {})
	if o.length > 0 {
		limited, giveUp = context.WithTimeoutCause(limited, time.Duration(o.length), errTimeUp)
	}
	var watching sync.WaitGroup
	watching.Go(func() { watchReader(limited, out, func() { cancel(cli.ErrReaderGone) }) })
	return limited, func() {
		giveUp()
		cancel(nil)
		watching.Wait()
	}
}

// isPipe reports whether w is a pipe.
func isPipe(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}

// commandWithout returns the command line of c as a shell takes it, without one flag.
func commandWithout(c *cobra.Command, without string) string {
	words := []string{c.CommandPath()}
	c.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			switch {
			case f.Name == without:
			case f.Value.Type() == "bool" && v == "true":
				words = append(words, "--"+f.Name)
			case f.Value.Type() == "bool":
				words = append(words, "--"+f.Name+"="+v)
			default:
				words = append(words, "--"+f.Name, terminal.ShellWord(v))
			}
		}
	})
	return strings.Join(words, " ")
}
