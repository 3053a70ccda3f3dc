package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

type listenOptions struct {
	from         []string
	conference   []string
	own, events  bool
	since        string
	resume       bool
	count        int
	length       cli.Duration
	format, exec string
	noReconnect  bool
	pingInterval cli.Duration

	counted bool   // --count was given
	command string // with all its flags, but for --since
}

func (a *app) listenCommand() *cobra.Command {
	o := listenOptions{pingInterval: cli.Duration(30 * time.Second)}
	c := &cobra.Command{
		Use:   "listen",
		Short: "Show messages as they come",
		Long: `Show incoming messages until interrupted, each as soon as it is there. A lost
connection is made again, and what was missed meanwhile is fetched. Messages that
came while nobody listened are shown with --since or --resume. The first --resume
begins now, each one after it where the last one ended; with --since too, it begins
there, and goes on from there the next time.

A conference is a group that has a name: "skarod conference" makes them, and says who is
in them. What is said in one that we are in is shown like every other message.

As JSON, a message of listen and history has these keys, in this order. All but
type, dialog, from, to and body are absent when empty.

  type        "message"
  id          an integer that grows over the whole server
  date        when it was sent: RFC 3339, in UTC
  dialog      the login or conference that it belongs with
  from, to    who sent it, and to whom
  conference  the conference, where it was sent in one
  own         true when we sent it ourselves
  body        the text
  extra       an object with what else the server sent

--exec runs its command with "sh -c" ("cmd /C" on Windows), with that JSON on
standard input, and with these variables. One that is empty or very long (over
64 KiB, 32 on Windows) is absent; on Windows, where cmd takes its text for a part of
the command, also one with a line end or any of "%^&|<>().

  SKARO_FROM    who sent it
  SKARO_DIALOG  the login or conference that it belongs with
  SKARO_ID      its id
  SKARO_DATE    its date
  SKARO_BODY    the text; in quotes, as "$SKARO_BODY", a shell runs none of it

skaroctl in the command is the account that listens. "skaroctl send $SKARO_DIALOG"
answers where something was said, "skaroctl send $SKARO_FROM" in private.`,
		Example: `  skaroctl listen | jq -r .body
  skaroctl listen --from bob --count 1 --for 1m
  skaroctl listen --conference dev --own
  skaroctl listen --resume --exec 'jq -r .body >>messages.txt'`,
		Args: cobra.NoArgs,
	}
	c.RunE = a.does(func(ctx context.Context, _ []string) error {
		o.counted = c.Flags().Changed("count")
		o.command = commandWithout(c, "since")
		return a.listen(ctx, o)
	})
	f := c.Flags()
	f.StringArrayVar(&o.from, "from", nil, "messages of `LOGIN` only; may be given again")
	cli.Completes(c, "from", a.completeFrom)
	f.StringArrayVar(&o.conference, "conference", nil, "messages in the conference `NAME` only; may be given again")
	cli.Completes(c, "conference", a.completeConference)
	f.BoolVar(&o.own, "own", false, "also what we sent from elsewhere")
	f.BoolVar(&o.events, "events", false, "also what the server pushes beside messages: info, error and others")
	f.StringVar(&o.since, "since", "", "first what came since `WHEN`: all, a time, a duration before now, or after a message by its id (see \"skaroctl help history\")")
	f.BoolVar(&o.resume, "resume", false, "first what came since this account last listened with --resume")
	f.IntVarP(&o.count, "count", "n", 0, "end after `N` messages")
	f.Var(&o.length, "for", "end after this long; with --count, fewer messages are exit status 6")
	f.StringVar(&o.format, "format", "", "show each message with a Go `TEMPLATE` over the JSON object, like '{{.from}}: {{.body}}'")
	f.StringVar(&o.exec, "exec", "", "run a shell `COMMAND` for each message, one at a time, instead of showing it")
	f.BoolVar(&o.noReconnect, "no-reconnect", false, "end when the connection is lost")
	f.Var(&o.pingInterval, "ping-interval", "how often to check the connection; one that is silent for two is dead")
	c.MarkFlagsMutuallyExclusive("format", "exec")
	return c
}

// errTimeUp is the cause of the end of --for.
var errTimeUp = errors.New("the time of --for is over")

// errReaderGone ends a listener whose output nobody reads any more.
var errReaderGone = errors.New("the reader of the output has gone")

// check looks for what can be seen to be wrong before anything is sent.
func (o listenOptions) check() error {
	if o.counted && o.count < 1 {
		return &usageError{fmt.Sprintf("--count is %d: less than one message", o.count), "leave it out to listen until interrupted"}
	}
	for _, filter := range []struct {
		flag, of string
		names    []string
	}{{"--from", "login", o.from}, {"--conference", "name", o.conference}} {
		for _, name := range filter.names {
			if err := validText("the "+filter.of+" of "+filter.flag, name); err != nil {
				return err
			}
			if strings.Contains(name, ",") {
				return &usageError{fmt.Sprintf("%s is %q, with a comma", filter.flag, name), fmt.Sprintf("give %s once for each %s", filter.flag, filter.of)}
			}
		}
	}
	return nil
}

// start is where --since says to begin; nil is now.
func (o listenOptions) start(now time.Time) (*session.Bound, error) {
	switch o.since {
	case "":
		return nil, nil
	case "all":
		return &session.Bound{}, nil
	}
	b, err := bound("--since", o.since, now)
	return &b, err
}

func (a *app) listen(ctx context.Context, o listenOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	format, err := a.format(o.format)
	if err != nil {
		return err
	}
	l := &session.Listener{
		ConnectTimeout: time.Duration(a.flags.timeout),
		PingInterval:   time.Duration(o.pingInterval),
		Reconnect:      !o.noReconnect,
	}
	if l.Start, err = o.start(a.now()); err != nil {
		return err
	}
	t, err := a.target(ctx)
	if err != nil {
		return err
	}
	if err := t.needLogin(); err != nil {
		return err
	}
	save := func() error { return nil }
	if o.resume {
		file, err := account.OpenPosition(t.files, t.key())
		if err != nil {
			return err
		}
		defer file.Close()
		if o.since == "" {
			var p session.Position
			found, err := file.Read(&p)
			if err != nil {
				return err
			}
			if found {
				l.Resume = &p
			}
		}
		save = func() error {
			p, ok := l.Position()
			if !ok {
				return nil
			}
			return file.Save(p)
		}
	}
	interrupted := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.length > 0 {
		timer := time.AfterFunc(time.Duration(o.length), func() { cancel(errTimeUp) })
		defer timer.Stop()
	}
	go watchReader(ctx, a.streams.Out, func() { cancel(errReaderGone) })

	var stored account.Credentials
	l.Endpoint = t.endpoint
	l.Credentials = func(ctx context.Context) (session.Credentials, error) { return t.credentials(ctx, &stored) }
	connected := false
	l.LoggedIn = func(got session.Account) {
		connected = true
		a.keepSID(ctx, t, stored, got)
	}
	filters := newFilters(a.notice)
	l.Prepare = func(ctx context.Context, s *session.Session) error { return filters.spell(ctx, s, &o) }
	lost := false
	behind := o.since != "" || l.Resume != nil // there may be something that was to be shown first
	var why error
	l.Lost = func(err error, pause time.Duration) {
		lost, why = true, err
		if _, ok := l.Position(); ok {
			behind = true
		}
		a.notice("%v; trying again in %v", err, pause.Round(100*time.Millisecond))
	}
	l.Listening = func(got session.Account) {
		behind = false
		switch who := output.Login(got.Login); {
		case lost:
			lost = false
			a.notice("connected again")
		case a.flags.verbose:
			a.errLine("listening as " + who)
		case a.streams.ErrTerminal:
			a.notice("listening as %s", who)
		}
	}
	p := a.formatPrinter(format)
	show := func(e session.Event) error {
		if e.Message != nil {
			return p.Message(*e.Message, e.Own)
		}
		return p.Push(e.Push)
	}
	var failed error // a command that did, also after what ended ctx
	if o.exec != "" {
		h := newHook(o.exec, os.Environ(), t.environ(), a.streams, func() {
			a.notice("waiting for the command of --exec to end; a second interrupt ends it")
		})
		show = func(e session.Event) error {
			if err := save(); err != nil { // what the commands before this one did is done
				return err
			}
			failed = h.run(interrupted, e)
			return failed
		}
	}
	l.Settled = func() error {
		if err := p.Flush(); err != nil {
			return err
		}
		return save()
	}
	shown := 0
	err = l.Run(ctx, func(e session.Event) error {
		if !o.wants(e) {
			return nil
		}
		if p.Full() { // so that the position follows also where a reader is slow
			if err := l.Settled(); err != nil {
				return err
			}
		}
		if err := show(e); err != nil {
			return err
		}
		if e.Message != nil {
			shown++
		}
		if shown == o.count && o.count > 0 {
			return session.ErrEnough
		}
		return nil
	})
	if settleErr := l.Settled(); settleErr != nil && !errors.Is(err, settleErr) {
		err = settleErr
	}
	if errors.Is(err, errTimeUp) && connected && behind {
		a.notice("the time of --for was over before everything from before was fetched")
	}
	var failure *session.Error
	switch {
	case errors.Is(err, errReaderGone):
		return errReaderGone
	case errors.As(err, &failure) && failure.Kind == session.KindIDsBackwards:
		return cli.Advise(err, backwardsHint(failure.Backwards, o.command))
	case failed != nil && interrupted.Err() != nil:
		return several{fmt.Errorf("listen: %w", failed), err}
	case failed != nil:
		return failed
	case errors.Is(err, errTimeUp) && shown < o.count:
		err = fmt.Errorf("%w after %v: %d of %d messages came", errIncomplete, time.Duration(o.length), shown, o.count)
		if !connected && why != nil {
			err = fmt.Errorf("%w, since there was no connection: %v", err, why)
		}
		return err
	case errors.Is(err, errTimeUp) && !connected:
		return cmp.Or(why, error(session.TimedOut(time.Duration(o.length))))
	case errors.Is(err, errTimeUp):
		return nil
	}
	return err
}

// backwardsHint is a command that goes on after the server's message ids went backwards.
// command is the one that met it, without --since.
func backwardsHint(b *session.Backwards, command string) string {
	switch {
	case b.Start:
		return "write a time as 2006-01-02T15:04:05Z, a duration as 90m or 7d: a bare number is the id of a message"
	case b.Date.IsZero():
		return fmt.Sprintf("to see all that is there once more, and go on: `%s --since all`; or give --since the time when an older copy of the server's database was put in place", command)
	}
	return fmt.Sprintf("to go on with what came since the last message that was shown, once: `%s --since %s`", command, b.Date.UTC().Format(time.RFC3339Nano))
}

// commandWithout is the command line of c as a shell takes it, without one flag.
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
				words = append(words, "--"+f.Name, account.ShellWord(v))
			}
		}
	})
	return strings.Join(words, " ")
}

// filters finds out at each connection what the server calls what --from and
// --conference name.
type filters struct {
	notice func(format string, args ...any)
	known  map[string]bool   // was there once
	told   map[string]string // what was said of it last
}

func newFilters(notice func(string, ...any)) *filters {
	return &filters{notice, map[string]bool{}, map[string]string{}}
}

// spell replaces the names of the filters by what the server calls them, where it can
// tell: one that is spelled in another way would wait for ever. So would one that nobody
// has, or has any more, or that is in the wrong place, and a notice says so.
func (f *filters) spell(ctx context.Context, s *session.Session, o *listenOptions) (err error) {
	for i, given := range o.from {
		if o.from[i], err = f.spelling(ctx, s, "user", given); err != nil {
			return err
		}
	}
	for i, given := range o.conference {
		if o.conference[i], err = f.spelling(ctx, s, "conference", given); err != nil {
			return err
		}
	}
	return nil
}

func (f *filters) spelling(ctx context.Context, s *session.Session, kind, given string) (string, error) {
	found, err := s.Spelling(ctx, given)
	if err != nil && session.Temporary(err) {
		return given, err
	}
	filter := func(name string) string { return kind + " " + name }
	text := ""
	var refused *session.Error
	isRefused := errors.As(err, &refused) && refused.Kind == session.KindRefused
	switch {
	case isRefused && proto.StatusCode(refused.Status) == "404" && f.known[filter(given)]:
		text = fmt.Sprintf("there is no %s %q there any more", kind, given)
	case isRefused && proto.StatusCode(refused.Status) == "404":
		text = fmt.Sprintf("there is no %s %q there so far", kind, given)
	case isRefused:
		text = fmt.Sprintf("the %s %q: %v", kind, given, refused)
	case err != nil:
		return given, err
	case kind == "user" && found.IsConference():
		text = fmt.Sprintf("%q is a conference: what is said in it is shown by --conference", found.Login)
	case kind == "conference" && found.Online != nil:
		text = fmt.Sprintf("%q is somebody's login: what they send is shown by --from", found.Login)
	default:
		f.known[filter(found.Login)] = true
	}
	if text != "" && text != f.told[filter(found.Login)] {
		f.notice("%s", text)
	}
	f.told[filter(found.Login)] = text
	return found.Login, nil
}

// wants reports whether an event is one that was asked for.
func (o listenOptions) wants(e session.Event) bool {
	m := e.Message
	if m == nil {
		return o.events
	}
	if len(o.conference) > 0 && !slices.Contains(o.conference, m.Dialog(e.Own)) {
		return false
	}
	if len(o.conference) > 0 && m.Conference == "" && m.From != e.Own {
		return false // a person of that name
	}
	if m.From == e.Own {
		return o.own && len(o.from) == 0 || slices.Contains(o.from, e.Own)
	}
	return len(o.from) == 0 || slices.Contains(o.from, m.From)
}
