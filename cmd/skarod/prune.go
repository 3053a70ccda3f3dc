package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/store"
)

type pruneOptions struct {
	olderThan cli.Duration
}

func newPruneCmd(f *Factory, run runFunc[pruneOptions]) *cobra.Command {
	var o pruneOptions
	c := &cobra.Command{
		Use:        "prune",
		SuggestFor: []string{"clean", "purge", "expire"},
		Short:      "Delete old messages",
		Long: `Deleted messages are gone for every user, and from the history. The file does
not shrink, but its space is reused. To shrink it, stop the server, and restore
a "skarod backup". "skarod serve --keep 90d" deletes old messages automatically.`,
		Example: `  skarod prune --older-than 90d
  skarod prune --older-than 24h`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error {
			switch {
			case o.olderThan == 0:
				return cli.Usage("--older-than is missing", "give the age of the messages to delete, like --older-than 90d")
			case time.Duration(o.olderThan) < store.MinKeep:
				return tooShort("--older-than", o.olderThan)
			}
			return run(ctx, f, &o)
		}),
	}
	c.Flags().Var(&o.olderThan, "older-than", "the age of the messages to delete, like 90d")
	return c
}

// tooShort returns the error of a flag that would delete messages which their senders may still
// repeat.
func tooShort(flag string, given cli.Duration) error {
	return cli.Usage(fmt.Sprintf("%s is %v: a sender may repeat a message for a day, and it would be delivered twice", flag, time.Duration(given)), "give "+flag+" at least 24h")
}

func runPrune(ctx context.Context, f *Factory, o *pruneOptions) error {
	return f.withStore(mustExist, func(s *store.Store) error {
		deleted, err := s.Prune(ctx, time.Now().Add(-time.Duration(o.olderThan)))
		if err != nil {
			return fmt.Errorf("delete old messages, after %d of them: %w", deleted, err)
		}
		f.done("deleted %d messages", deleted)
		return nil
	})
}
