package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

type historyOptions struct {
	login        string
	limit        int
	limited      bool // --limit was given
	since, until string
}

func newHistoryCmd(f *Factory, run runFunc[historyOptions]) *cobra.Command {
	var o historyOptions
	c := &cobra.Command{
		Use:   "history LOGIN",
		Short: "Show the messages of a conversation, oldest first",
		Long: `LOGIN is another user, or a conference that you are in.

WHEN is a time (2026-05-15T12:00:00Z, 2026-05-15, 15:04, today, yesterday), a
duration before now (90m, 24h, 7d), or the id of a message. A time without a
zone is local, unless --utc is given.`,
		Example: `  skaroctl history bob --limit 20
  skaroctl history bob --since 24h -o json | jq -r .body`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeLogin,
		RunE: func(c *cobra.Command, args []string) error {
			o.login = args[0]
			o.limited = c.Flags().Changed("limit")
			return runCommand(c, f, &o, run)
		},
	}
	c.Flags().IntVarP(&o.limit, "limit", "n", 0, "show only the newest `N` messages")
	c.Flags().StringVar(&o.since, "since", "", "show messages since `WHEN`, or after the message with that id")
	c.Flags().StringVar(&o.until, "until", "", "show messages before `WHEN`")
	return c
}

func runHistory(ctx context.Context, f *Factory, o *historyOptions) error {
	r, err := o.historyRange(f.now())
	if err != nil {
		return err
	}
	return f.WithSession(ctx, func(ctx context.Context, acct Account, s *session.Session) error {
		shown := 0
		p := f.Printer()
		err := s.History(ctx, o.login, r, func(messages []proto.Message) error {
			shown += len(messages)
			return printMessages(ctx, p, s, messages)
		})
		if err != nil {
			return err
		}
		if shown == 0 {
			if err := f.noticeUnknownID(ctx, acct, s, r.Since.ID); err != nil {
				return err
			}
			f.noticeNone("no messages with %s there", o.login)
		}
		return nil
	})
}

func printMessages(ctx context.Context, p *output.Printer, s *session.Session, messages []proto.Message) error {
	got, err := s.Account(ctx)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := p.Message(m, got.Login); err != nil {
			return err
		}
	}
	return p.Flush()
}

// historyRange checks the options, and returns which messages they ask for.
func (o *historyOptions) historyRange(now time.Time) (session.HistoryRange, error) {
	r := session.HistoryRange{Limit: o.limit}
	if err := checkLogin(o.login, "write `skaroctl history LOGIN`"); err != nil {
		return r, err
	}
	if o.limited && o.limit < 1 {
		return r, cli.Usage(fmt.Sprintf("--limit is %d: less than one message", o.limit), "leave it out for everything")
	}
	var err error
	if r.Since, err = parseBound("--since", o.since, noBound, now); err != nil {
		return r, err
	}
	if r.Until, err = parseBound("--until", o.until, noBound, now); err != nil {
		return r, err
	}
	if r.Empty() {
		return r, cli.Usage(
			fmt.Sprintf("--since %s is not before --until %s: there is nothing between them", o.since, o.until),
			"give the earlier one to --since; a duration counts back from now, as in --since 2h --until 1h",
		)
	}
	return r, nil
}

// noticeUnknownID tells the user if an id is above that of the server's newest message: the
// user may have meant seconds since 1970, or the server may have an older database now.
func (f *Factory) noticeUnknownID(ctx context.Context, acct Account, s *session.Session, id int64) error {
	if id == 0 {
		return nil
	}
	newest, ok, err := s.NewestID(ctx)
	if err == nil && ok && id > newest {
		f.notice("there is no message with the id %d: the newest of %s has the id %d; a time is written as %s",
			id, acct.endpoint.URL, newest, time.Unix(id, 0).UTC().Format(time.RFC3339))
	}
	return err
}

// noBound is a hint: how to have no bound.
const noBound = "leave it out to have no such limit"

// parseBound reads a TIME, a DURATION before now, or an ID. A time without a zone is in
// that of now. without is a hint: how to have no bound.
func parseBound(flag, s, without string, now time.Time) (session.Bound, error) {
	if s == "" {
		return session.Bound{}, nil
	}
	if id, err := strconv.ParseInt(s, 10, 64); err == nil {
		if id < 1 {
			return session.Bound{}, cli.Usage(fmt.Sprintf("%s is %q: message ids start at 1", flag, s), without)
		}
		return session.Bound{ID: id}, nil
	}
	if d, err := cli.ParseDuration(s); err == nil {
		return session.Bound{Time: now.Add(-d.Abs())}, nil
	}
	t, ok := cli.ParseTime(s, now)
	if !ok {
		return session.Bound{}, cli.Usage(
			fmt.Sprintf("%s is %q: neither a time, nor a duration, nor a message id", flag, s),
			"write a time as 2006-01-02T15:04:05Z, 15:04, today or yesterday, a duration as 90m or 7d, an id as a bare number; "+without,
		)
	}
	if ofToday := !strings.Contains(s, "-"); flag == "--since" && ofToday && t.After(now) {
		return session.Bound{}, cli.Usage(fmt.Sprintf("%s is %q, and that is still to come today", flag, s), "write another day's with its date: "+t.AddDate(0, 0, -1).Format("2006-01-02T15:04"))
	}
	return session.Bound{Time: t}, nil
}
