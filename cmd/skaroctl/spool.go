package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/session"
)

// spoolOptions are the arguments of spool retry and spool drop.
type spoolOptions struct{ ids []string }

func newSpoolCmd(f *Factory) *cobra.Command {
	c := &cobra.Command{
		Use:        "spool",
		SuggestFor: []string{"queue", "outbox"},
		Short:      "Manage the messages that wait on this machine",
		Long: `"send --spool" keeps a message on this machine if the server is away. The next
"send --spool" or "spool flush" of the account sends what waits, in order.`,
		Example: `  skaroctl spool list
  skaroctl spool flush`,
	}
	c.AddCommand(newSpoolListCmd(f, runSpoolList), newSpoolFlushCmd(f, runSpoolFlush), newSpoolRetryCmd(f, runSpoolRetry), newSpoolDropCmd(f, runSpoolDrop))
	return c
}

func newSpoolListCmd(f *Factory, run runFunc[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "list",
		SuggestFor: []string{"ls", "show"},
		Short:      "List the messages that wait, of every account",
		Long: `A message is waiting, attempted (sent, but not confirmed: it is sent again and
delivered once), unknown or refused. The last two stay until you decide with
"spool retry" or "spool drop".`,
		Example: `  skaroctl spool list
  skaroctl spool list -o json | jq -c 'select(.state=="refused") | .message'`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &noOptions{}, run) },
	}
}

func runSpoolList(_ context.Context, f *Factory, _ *noOptions) error {
	spool, err := f.spool()
	if err != nil {
		return err
	}
	p, none := f.Printer(), true
	var wrong []error
	err = spool.Each(func(e *account.SpoolEntry, err error) error {
		none = false
		if err == nil {
			var row output.Spooled
			if row, err = spooledMessage(e); err == nil {
				return p.SpoolRow(row)
			}
			err = badMessage(e, err)
		}
		wrong = append(wrong, fmt.Errorf("spool list: %w", err))
		return nil
	})
	if none && err == nil {
		f.noticeNone("no message waits")
	}
	if err = cmp.Or(err, p.Flush()); err != nil {
		return err
	}
	return errors.Join(wrong...)
}

// spool returns the spool of this user.
func (f *Factory) spool() (*account.Spool, error) {
	p, err := f.OptionalProfiles()
	if err != nil {
		return nil, err
	}
	return account.OpenSpool(p.files)
}

// spooledResult is a message of the spool as a result. why is the reason, if it is not that of
// the entry.
func spooledResult(e *account.SpoolEntry, why error) output.Spooled {
	s := output.Spooled{ID: e.ID, Date: e.Created, Attempted: e.Attempted, State: string(e.State), Decide: !e.State.Pending(), Server: e.Server, Login: e.Login, Reason: e.Reason}
	if m, err := parseSpoolLine(e.Message); err == nil {
		s.To = m.To
	}
	if why != nil {
		s.Reason = why.Error()
	}
	return s
}

// spooledMessage is spooledResult with the message itself. err says why that can't be read.
func spooledMessage(e *account.SpoolEntry) (row output.Spooled, err error) {
	row = spooledResult(e, nil)
	m, err := parseSpoolLine(e.Message)
	if err == nil {
		message := outgoing(m)
		row.Message = &message
	}
	return row, err
}

func newSpoolFlushCmd(f *Factory, run runFunc[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "flush",
		SuggestFor: []string{"send", "run"},
		Short:      "Send the messages that wait for the account",
		Long: `Messages are sent in order. If the server refuses a message for good, or can no
longer tell whether it has it, the message waits for your decision, and the next
one is sent. Any other failure ends the command, and the rest waits.`,
		Example: `  skaroctl spool flush
  skaroctl spool flush --profile work --quiet`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &noOptions{}, run) },
	}
}

func runSpoolFlush(ctx context.Context, f *Factory, _ *noOptions) error {
	acct, err := f.resolveLogin(ctx)
	if err != nil {
		return err
	}
	r := &spoolRun{f: f, acct: acct}
	if r.spool, err = account.OpenSpool(acct.files); err != nil {
		return err
	}
	var kept []error
	r.failed = func(err error) { kept = append(kept, f.report(fmt.Errorf("spool flush: %w", err))) }
	r.sent = func(result session.Result) error {
		return f.confirm(func(p *output.Printer) error { return p.Sent(result.ID, result.Date, result.To, result.Extra) })
	}
	cause := r.run(ctx, func(error) {})
	for _, err := range append([]error{cause}, r.wrong...) {
		if err != nil {
			kept = append(kept, fmt.Errorf("spool flush: %w", err))
		}
	}
	return errors.Join(kept...)
}

func newSpoolRetryCmd(f *Factory, run runFunc[spoolOptions]) *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID...",
		Short: "Make refused or unknown messages wait again",
		Long: `The next "spool flush" or "send --spool" of the account sends them, in the order
of their ids. An unknown message may be delivered a second time. Waiting and
attempted messages stay as they are.`,
		Example: `  skaroctl spool retry 1764448800123456 && skaroctl spool flush
  skaroctl spool list | jq 'select(.state=="refused").id' |
    xargs -r skaroctl spool retry`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return runCommand(c, f, &spoolOptions{slices.Clone(args)}, run)
		},
	}
}

func runSpoolRetry(ctx context.Context, f *Factory, o *spoolOptions) error {
	return f.changeSpool(ctx, o, (*account.Spool).Retry, (*output.Printer).Spooled)
}

func newSpoolDropCmd(f *Factory, run runFunc[spoolOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "drop ID...",
		SuggestFor: []string{"remove", "rm", "delete", "del"},
		Short:      "Remove messages that wait, without sending them",
		Long:       `The result has the messages that were removed.`,
		Example: `  skaroctl spool drop 1764448800123456
  skaroctl spool list | jq .id | xargs -r skaroctl spool drop --quiet`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return runCommand(c, f, &spoolOptions{slices.Clone(args)}, run)
		},
	}
}

func runSpoolDrop(ctx context.Context, f *Factory, o *spoolOptions) error {
	return f.changeSpool(ctx, o, (*account.Spool).Drop, (*output.Printer).Dropped)
}

// changeSpool changes messages of the spool, and prints them.
func (f *Factory) changeSpool(ctx context.Context, o *spoolOptions,
	change func(*account.Spool, context.Context, []int64) ([]*account.SpoolEntry, error), print func(*output.Printer, output.Spooled) error,
) error {
	ids, err := o.parse()
	if err != nil {
		return err
	}
	spool, err := f.spool()
	if err != nil {
		return err
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	changed, err := change(spool, ctx, ids)
	return cmp.Or(err, f.confirm(func(p *output.Printer) error {
		for _, e := range changed {
			row, _ := spooledMessage(e) // a message that can't be read is left out
			if err := print(p, row); err != nil {
				return err
			}
		}
		return nil
	}))
}

// parse returns the ids, each once.
func (o *spoolOptions) parse() (ids []int64, err error) {
	for _, arg := range o.ids {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || id < 1 {
			return nil, cli.Usage(fmt.Sprintf("%q is not the id of a message", arg), "run `skaroctl spool list` to see the ids")
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
