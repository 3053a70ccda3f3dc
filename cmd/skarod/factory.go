package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// Factory makes what a command needs, when the command asks for it: the database
// (database.go) and a printer of results.
type Factory struct {
	streams     terminal.Streams
	out, stderr io.Writer // on two of the streams; an interrupt ends the wait for their readers
	getenv      func(string) string
	data        string // --data
	verbose     bool   // --verbose

	log *slog.Logger // of a server; nil means that notices are lines for people

	zone sync.Once // checks the time zone the first time
}

// newFactory makes the Factory of a process.
func newFactory(p *cli.Process) *Factory {
	return &Factory{streams: p.Streams, out: p.Out, stderr: p.Err, getenv: p.Getenv}
}

// runFunc does the work of a command, with its options and what it needs of f.
type runFunc[O any] func(ctx context.Context, f *Factory, o *O) error

// now is the time, in the zone that times are shown in.
func (f *Factory) now(utc bool) time.Time {
	if utc {
		return time.Now().UTC()
	}
	f.zone.Do(func() {
		if text := cli.ZoneNotice(f.getenv); text != "" {
			f.notice("%s", text)
		}
	})
	return time.Now()
}

// notice tells the user something that is neither a result nor an error.
func (f *Factory) notice(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if f.log != nil {
		f.log.Info(text)
		return
	}
	fmt.Fprintln(f.stderr, "skarod: "+text)
}

// trace shows a step with --verbose.
func (f *Factory) trace(format string, args ...any) {
	if f.verbose {
		f.notice(format, args...)
	}
}

// done tells a user at a terminal what a command without a result has done. A script has
// the exit status.
func (f *Factory) done(format string, args ...any) {
	if f.streams.ErrTerminal {
		f.notice(format, args...)
	}
}

// outputFormats are the values of --output.
var outputFormats = []string{"auto", "text", "json"}

// addOutputFlag adds --output to a command.
func addOutputFlag(c *cobra.Command, format *string) {
	c.Flags().StringVarP(format, "output", "o", "auto", "`FORMAT` of results: auto, text or json; auto is text on a terminal, JSON Lines elsewhere")
	cli.CompleteFlag(c, "output", outputFormats...)
}

// printer makes a printer of results in a format of --output, with times in the zone of
// now.
func (f *Factory) printer(format string, now func() time.Time) (*output.Printer, error) {
	if err := cli.CheckChoice("--output", format, outputFormats); err != nil {
		return nil, err
	}
	terminal := f.streams.OutTerminal
	return output.NewPrinter(f.out, output.Options{
		JSON:     format == "json" || format == "auto" && !terminal,
		Colour:   output.UseColour("auto", terminal && !f.streams.Plain, f.getenv),
		Terminal: terminal, Now: now,
	}), nil
}
