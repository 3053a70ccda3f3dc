package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

type listenOptions struct {
	from         []string
	own          bool
	count        int
	length       duration
	noReconnect  bool
	pingInterval duration
}

func (a *app) listenCommand() *cobra.Command {
	o := listenOptions{pingInterval: duration(30 * time.Second)}
	c := &cobra.Command{
		Use:   "listen",
		Short: "Show messages as they come",
		Long: `Show incoming messages until interrupted, each as soon as it is there. A lost
connection is made again, and what was missed meanwhile is fetched.`,
		Example: `  skaroctl listen | jq -r .body
  skaroctl listen --from bob --count 1 --for 1m`,
		Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error { return a.listen(ctx, o) }),
	}
	f := c.Flags()
	f.StringArrayVar(&o.from, "from", nil, "messages of `LOGIN` only; may be given again")
	f.BoolVar(&o.own, "own", false, "also what we sent from elsewhere")
	f.IntVarP(&o.count, "count", "n", 0, "end after `N` messages")
	f.Var(&o.length, "for", "end after this long; with --count, fewer messages are exit status 6")
	f.BoolVar(&o.noReconnect, "no-reconnect", false, "end when the connection is lost")
	f.Var(&o.pingInterval, "ping-interval", "how often to check the connection; one that is silent for two is dead")
	return c
}

// errEnough ends a listener that has shown as many messages as were asked for.
var errEnough = errors.New("that were enough messages")

// errTimeUp is the cause of the end of --for.
var errTimeUp = errors.New("the time of --for is over")

// errReaderGone ends a listener whose output nobody reads any more.
var errReaderGone = errors.New("the reader of the output has gone")

func (a *app) listen(ctx context.Context, o listenOptions) error {
	if o.count < 0 {
		return usagef("--count is %d, less than nothing", o.count)
	}
	for _, login := range o.from {
		if err := validText("the login of --from", login); err != nil {
			return err
		}
	}
	t, err := a.target()
	if err != nil {
		return err
	}
	if err := t.needLogin(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.length > 0 {
		timer := time.AfterFunc(time.Duration(o.length), func() { cancel(errTimeUp) })
		defer timer.Stop()
	}
	go watchReader(ctx, a.streams.Out, func() { cancel(errReaderGone) })

	var stored account.Credentials
	l := &session.Listener{
		Endpoint: t.endpoint,
		Credentials: func(ctx context.Context) (session.Credentials, error) {
			return t.credentials(ctx, &stored)
		},
		ConnectTimeout: time.Duration(a.flags.timeout),
		PingInterval:   time.Duration(o.pingInterval),
		Reconnect:      !o.noReconnect,
		LoggedIn: func(got session.Account) {
			a.keepSID(ctx, t, stored, got)
		},
		Lost: func(err error, pause time.Duration) {
			a.notice("%v; trying again in %v", err, pause.Round(100*time.Millisecond))
		},
		Listening: func(got session.Account) {
			if a.flags.verbose {
				a.errLine("listening as " + got.Login)
			}
		},
	}
	p := a.printer()
	shown := 0
	err = l.Run(ctx, func(e session.Event, more bool) error {
		if e.Message != nil && o.wants(*e.Message, e.Own) {
			if err := p.Message(*e.Message, e.Own); err != nil {
				return err
			}
			shown++
		}
		if !more || shown == o.count {
			if err := p.Flush(); err != nil {
				return err
			}
		}
		if o.count > 0 && shown == o.count {
			return errEnough
		}
		return nil
	})
	if flushErr := p.Flush(); flushErr != nil && !errors.Is(err, flushErr) {
		err = flushErr
	}
	switch {
	case errors.Is(err, errEnough), errors.Is(err, errReaderGone):
		return nil
	case errors.Is(err, errTimeUp) && shown < o.count:
		return fmt.Errorf("%w after %v: %d of %d messages came", errIncomplete, time.Duration(o.length), shown, o.count)
	case errors.Is(err, errTimeUp):
		return nil
	}
	return err
}

// wants reports whether a message is one that was asked for.
func (o listenOptions) wants(m proto.Message, own string) bool {
	if m.From == own {
		return o.own && len(o.from) == 0 || slices.Contains(o.from, own)
	}
	return len(o.from) == 0 || slices.Contains(o.from, m.From)
}
