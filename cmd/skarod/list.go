package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
)

// listOptions are the options of every command that lists something.
type listOptions struct {
	format string
	utc    bool
}

func (o *listOptions) addFlags(c *cobra.Command) {
	addOutputFlag(c, &o.format)
	c.Flags().BoolVar(&o.utc, "utc", false, "show times in text in UTC")
}

// list opens the store, and shows the output of print when it is complete.
func (f *Factory) list(o *listOptions, print func(*store.Store, *output.Printer) error) error {
	p, err := f.printer(o.format, func() time.Time { return f.now(o.utc) })
	if err != nil {
		return err
	}
	return f.withStore(mustExist, func(s *store.Store) error {
		if err := print(s, p); err != nil {
			return err
		}
		return p.Flush()
	})
}
