package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
)

type historyOptions struct {
	limit        int
	limited      bool // --limit was given
	since, until string
}

func (a *app) historyCommand() *cobra.Command {
	var o historyOptions
	c := &cobra.Command{
		Use:   "history LOGIN",
		Short: "Show the messages exchanged with somebody, oldest first",
		Long: `Show the messages exchanged with somebody, oldest first; with the name of a conference
that we are in, all that was said there. As JSON they have the keys that "skaroctl help
listen" names.

WHEN is one of these. A time is in local time, unless it has a zone or --utc is given;
--since takes in what came at that very time, and --until leaves it out. An id is left
out itself by either.

  2026-05-15T12:00:00Z  a time; also without the zone, the seconds or the clock
  15:04, today, yesterday
                        a time of today, and the midnights that these begin with
  90m, 24h, 7d, 1w      so long before now
  4711                  the message with that id`,
		Example: `  skaroctl history bob --limit 20
  skaroctl history bob --since 24h -o json | jq -r .body`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeLogin,
	}
	c.RunE = a.does(func(ctx context.Context, args []string) error {
		o.limited = c.Flags().Changed("limit")
		return a.history(ctx, o, args[0])
	})
	c.Flags().IntVar(&o.limit, "limit", 0, "only the newest `N`")
	c.Flags().StringVar(&o.since, "since", "", "what came since `WHEN`: a time, a duration before now, or after a message by its id")
	c.Flags().StringVar(&o.until, "until", "", "what came before `WHEN`")
	return c
}

func (a *app) history(ctx context.Context, o historyOptions, login string) error {
	if login == "" {
		return &usageError{"the login is empty", "say whose messages: skaroctl history LOGIN"}
	}
	if err := validText("the login", login); err != nil {
		return err
	}
	if o.limited && o.limit < 1 {
		return &usageError{fmt.Sprintf("--limit is %d: less than one message", o.limit), "leave it out for everything"}
	}
	r := session.HistoryRange{Limit: o.limit}
	var err error
	now := a.now()
	if r.Since, err = bound("--since", o.since, now); err != nil {
		return err
	}
	if r.Until, err = bound("--until", o.until, now); err != nil {
		return err
	}
	if r.Empty() {
		return &usageError{
			fmt.Sprintf("--since %s is not before --until %s: there is nothing between them", o.since, o.until),
			"the earlier one goes to --since; a duration counts back from now, as in --since 2h --until 1h",
		}
	}
	return a.withSession(ctx, func(ctx context.Context, s *session.Session) error {
		messages, err := s.History(ctx, login, r)
		if err != nil {
			return fmt.Errorf("with %s: %w", login, err)
		}
		got, err := s.Account(ctx)
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			if err := a.beyond(ctx, s, r.Since.ID); err != nil {
				return err
			}
			a.none("no messages with %s there", login)
		}
		p := a.printer()
		for _, m := range messages {
			if err := p.Message(m, got.Login); err != nil {
				return err
			}
		}
		return p.Flush()
	})
}

// beyond tells of an id that no message of the server has come to, where the server knows:
// a number of seconds since 1970 is one, and so is an id from before an older database.
func (a *app) beyond(ctx context.Context, s *session.Session, id int64) error {
	if id == 0 {
		return nil
	}
	newest, ok, err := s.NewestID(ctx)
	if err == nil && ok && id > newest {
		a.notice("there is no message with the id %d: the server's newest has the id %d; a time is written as %s",
			id, newest, time.Unix(id, 0).UTC().Format(time.RFC3339))
	}
	return err
}

// bound reads a TIME, a DURATION before now, or an ID. A time without a zone is in
// that of now.
func bound(flag, s string, now time.Time) (session.Bound, error) {
	if s == "" {
		return session.Bound{}, nil
	}
	if id, err := strconv.ParseInt(s, 10, 64); err == nil {
		if id < 1 {
			return session.Bound{}, &usageError{fmt.Sprintf("%s is %q: message ids start at 1", flag, s), "leave it out to have no such limit"}
		}
		return session.Bound{ID: id}, nil
	}
	if d, err := cli.ParseDuration(s); err == nil {
		return session.Bound{Time: now.Add(-d.Abs())}, nil
	}
	if t, ok := cli.ParseTime(s, now); ok {
		if flag == "--since" && t.After(now) && !strings.Contains(s, "-") { // a time of today
			return session.Bound{}, &usageError{fmt.Sprintf("%s is %q, and that is still to come today", flag, s), "write another day's with its date: " + t.AddDate(0, 0, -1).Format("2006-01-02T15:04")}
		}
		return session.Bound{Time: t}, nil
	}
	return session.Bound{}, &usageError{
		fmt.Sprintf("%s is %q: neither a time, nor a duration, nor a message id", flag, s),
		"write a time as 2006-01-02T15:04:05Z, 15:04, today or yesterday, a duration as 90m or 7d, an id as a bare number",
	}
}
