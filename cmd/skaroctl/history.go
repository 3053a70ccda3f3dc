package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/commandline"
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
listen" names.`,
		Example: `  skaroctl history bob --limit 20
  skaroctl history bob --since 24h -o json | jq -r .body`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeLogin,
	}
	c.RunE = a.does(func(ctx context.Context, args []string) error {
		o.limited = c.Flags().Changed("limit")
		return a.history(ctx, o, args[0])
	})
	c.Flags().IntVar(&o.limit, "limit", 0, "only the newest `N`")
	c.Flags().StringVar(&o.since, "since", "", "from `WHEN` on: a time, a duration before now, or a message id")
	c.Flags().StringVar(&o.until, "until", "", "before `WHEN`")
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
	if d, err := commandline.ParseDuration(s); err == nil {
		return session.Bound{Time: now.Add(-d.Abs())}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return session.Bound{Time: t}, nil
		}
	}
	return session.Bound{}, &usageError{
		fmt.Sprintf("%s is %q: neither a time, nor a duration, nor a message id", flag, s),
		"write a time as 2006-01-02T15:04:05Z, a duration as 90m or 7d, an id as a bare number",
	}
}
