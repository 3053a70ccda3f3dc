package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
)

// listing is how a command that lists something writes it.
type listing struct {
	format string
	utc    bool
}

func (l *listing) addFlags(c *cobra.Command) {
	addOutput(c, &l.format)
	c.Flags().BoolVar(&l.utc, "utc", false, "times in text are UTC and not local time")
}

func addOutput(c *cobra.Command, format *string) {
	c.Flags().StringVarP(format, "output", "o", "auto", "`FORMAT`: auto, text or json; auto is text on a terminal, JSON Lines elsewhere")
	cli.CompleteFlag(c, "output", "auto", "text", "json")
}

// printer is what writes results in a format of --output.
func (a *app) printer(format string, now func() time.Time) (*output.Printer, error) {
	switch format {
	case "auto", "text", "json":
	default:
		return nil, cli.Usage(fmt.Sprintf("--output is %q, not one of auto, text, json", format), "leave it out for what fits")
	}
	terminal := a.streams.OutTerminal
	return output.NewPrinter(a.streams.Out, output.Options{
		JSON: format == "json" || format == "auto" && !terminal, Colour: output.UseColour("auto", terminal && !a.streams.Plain, a.getenv), Terminal: terminal, Now: now,
	}), nil
}

// list opens the store for a command that lists something, and writes out the list
// when it is whole.
func (a *app) list(l listing, write func(*store.Store, *output.Printer) error) error {
	now := time.Now
	if l.utc {
		now = func() time.Time { return time.Now().UTC() }
	}
	p, err := a.printer(l.format, now)
	if err != nil {
		return err
	}
	return a.withStore(false, func(s *store.Store) error {
		if err := write(s, p); err != nil {
			return err
		}
		return p.Flush()
	})
}
