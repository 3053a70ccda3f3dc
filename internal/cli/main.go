// Package cli is the frame of both programs. Main catches signals, runs a tree of
// commands, writes its errors and returns the exit status. The other files check
// arguments and flags, complete words, show help, and read durations, times and passwords.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// Process is what a program is given: arguments, streams and environment.
type Process struct {
	Args    []string
	Streams terminal.Streams // as they are; a prompt needs the files themselves
	Getenv  func(string) string

	// Out and Err write to Streams.Out and Streams.Err. An interrupt ends the wait for their
	// readers.
	Out, Err *terminal.InterruptibleWriter

	// Report writes an error while the command goes on. If the command returns the result,
	// it counts for the exit status, and is not written again.
	Report func(error) error
}

// Program is what Main runs.
type Program struct {
	Root  *cobra.Command
	Table Table

	// Classify returns the kind, hint and status of an error that isn't an Error of this
	// package. A nil Classify means that there are none.
	Classify func(error) Error
	// ErrorStyle returns how errors are written: as JSON or not, and with colour always,
	// never or auto. A nil ErrorStyle means text and auto.
	ErrorStyle func() (json bool, colour string)
	// Notice shows the user a line that is neither a result nor an error. A nil Notice
	// writes it to standard error.
	Notice func(string)
}

// Row is one kind of error in a program's table of exit statuses.
type Row struct {
	Kind Kind
	Exit int
	When string // for the help topic exit-status
	Hint string // for an error that has no hint
}

// Table has the kinds of errors of a program, the most severe first. A signal is more
// severe than any of them.
type Table []Row

// Signals are the rows of the exit statuses after a signal, the most severe first.
var Signals = Table{
	{KindInterrupted, 143, "by SIGTERM", ""},
	{KindInterrupted, 131, "by SIGQUIT", ""},
	{KindInterrupted, 130, "by SIGINT", ""},
	{KindInterrupted, 129, "by SIGHUP, when a terminal closes", ""},
}

// ErrReaderGone is the error of a command that has noticed, without a write, that the reader
// of its output has gone.
var ErrReaderGone = errors.New("the reader of the output has gone")

const (
	// outputGrace is how long pending output may take after an interrupt.
	outputGrace = 2 * time.Second
	// signalGrace is how long a signal to a whole pipeline may take to reach this process
	// after it has ended the reader of the output.
	signalGrace = 100 * time.Millisecond
)

// Main runs a program and returns its exit status. start makes the program. It must not
// write, because signals may not be caught yet.
func Main(args []string, streams terminal.Streams, getenv func(string) string, start func(*Process) Program) int {
	ctx, signals := terminal.CatchSignals(context.Background())
	defer signals.Stop()
	return run(ctx, signals.Caught(), args, streams, getenv, start)
}

// MainContext is Main for a test: ctx ends instead of a signal.
func MainContext(ctx context.Context, args []string, streams terminal.Streams, getenv func(string) string, start func(*Process) Program) int {
	caught := make(chan struct{})
	close(caught)
	return run(ctx, caught, args, streams, getenv, start)
}

func run(ctx context.Context, caught <-chan struct{}, args []string, streams terminal.Streams, getenv func(string) string, start func(*Process) Program) int {
	p := &Process{Args: args, Streams: streams, Getenv: getenv}
	r := runner{Process: p}
	p.Err = terminal.NewInterruptibleWriter(ctx, streams.Err, outputGrace, nil)
	p.Out = terminal.NewInterruptibleWriter(ctx, streams.Out, outputGrace, func() {
		r.notice(fmt.Sprintf("output is blocked; exiting in %v", outputGrace))
	})
	p.Report = r.reportNow
	r.Program = start(p)
	<-caught
	err := r.execute(ctx)
	if ReaderGone(err) {
		select {
		case <-ctx.Done():
		case <-time.After(signalGrace):
		}
	}
	status := r.report(err)
	var interrupt *terminal.Interrupt
	if status == 0 && (err != nil || p.Out.PendingAtInterrupt()) && errors.As(context.Cause(ctx), &interrupt) {
		return interrupt.ExitStatus() // the output is incomplete, or its reader has gone since
	}
	return status
}

// runner is one run of a program.
type runner struct {
	*Process
	Program
}

func (r *runner) notice(text string) {
	if r.Notice != nil {
		r.Notice(text)
		return
	}
	_, _ = io.WriteString(r.Err, output.Line(r.Root.Name()+": "+text)+"\n")
}

// execute runs the command that the arguments name.
func (r *runner) execute(ctx context.Context) error {
	r.Root.SetArgs(r.Args)
	r.Root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return flagError(c, err, r.Args) })
	r.Root.SetIn(r.Streams.In)
	out := &firstError{out: r.Out}
	r.Root.SetOut(out)
	r.Root.SetErr(r.Err)
	c, err := r.Root, checkTextWords(r.Root, r.Args)
	if err == nil {
		c, err = r.Root.ExecuteContextC(ctx)
	}
	if out.err != nil {
		return out.err
	}
	var ours *Error
	if err == nil || errors.As(err, &ours) && ours.Kind != KindUsage {
		return err
	}
	// cobra may have given up before it read every flag: those of the root say how the
	// error is to look.
	word := readRootFlags(r.Root, r.Args)
	if ours == nil && c == r.Root && word != "" {
		// The one error that cobra makes itself: the first word is not a command.
		return UnknownCommand(c, word)
	}
	return err
}

// readRootFlags reads the flags of the root, which may be anywhere, and returns the first
// word that is not a flag.
func readRootFlags(root *cobra.Command, args []string) string {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.ParseErrorsAllowlist.UnknownFlags = true
	set.AddFlagSet(root.PersistentFlags())
	set.AddFlagSet(root.Flags())
	_ = set.Parse(args)
	return set.Arg(0)
}

// report writes what went wrong, each joined error on a line of its own, and returns the
// exit status of the most severe.
func (r *runner) report(err error) int {
	exit, worst := 0, len(r.Table)
	for _, err := range flatten(err) {
		if ReaderGone(err) {
			continue // the reader has seen enough
		}
		e, silent := r.describe(err)
		severity, row := r.Table.find(e.Kind)
		var interrupt *terminal.Interrupt
		var own Exit
		var written Reported
		switch {
		case errors.As(err, &interrupt):
			severity, row = -1, Row{Exit: interrupt.ExitStatus()}
		case errors.As(err, &own):
			row.Exit, silent = int(own), true
		case errors.As(err, &written):
			silent = true
		}
		if exit == 0 || severity < worst {
			exit, worst = row.Exit, severity
		}
		if !silent {
			e.Hint = cmp.Or(e.Hint, row.Hint)
			r.write(err, e)
		}
	}
	return exit
}

// reportNow is Process.Report.
func (r *runner) reportNow(err error) error {
	r.report(err)
	return Reported{err}
}

// write writes one error. e has its kind, hint and status.
func (r *runner) write(err error, e Error) {
	asJSON, colour := false, "auto"
	if r.ErrorStyle != nil {
		asJSON, colour = r.ErrorStyle()
	}
	f := output.Failure{Kind: string(e.Kind), Message: err.Error(), Status: e.Status, RetryAfter: int64(math.Ceil(e.RetryAfter.Seconds())), Hint: e.Hint}
	_ = output.WriteFailure(r.Err, r.Root.Name(), f, asJSON, output.UseColour(colour, r.Streams.ErrTerminal && !r.Streams.Plain, r.Getenv))
}

// describe returns what to report of an error. A signal alone is silent, because its sender
// knows of it; a signal after which the result of a request is unknown is not.
func (r *runner) describe(err error) (e Error, silent bool) {
	e = collect(err)
	if r.Classify != nil {
		e.fill(r.Classify(err))
	}
	var interrupt *terminal.Interrupt
	if errors.As(err, &interrupt) {
		silent = e.Kind != KindUnknown && e.Kind != KindInterrupted
		e.Kind = KindInterrupted
	}
	if e.Kind == "" {
		e.Kind = KindInternal
	}
	return e, silent
}

// find returns the row of a kind, and its severity: 0 is the worst.
func (t Table) find(kind Kind) (severity int, row Row) {
	i := slices.IndexFunc(t, func(r Row) bool { return r.Kind == kind })
	if i < 0 {
		return len(t), Row{Kind: kind, Exit: 1}
	}
	return i, t[i]
}

// flatten returns the errors that are to be reported one by one.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok && e.Kind == "" && e.Msg == "" && e.Hint == "" && e.Status == "" {
		err = e.Err
	}
	list := joined(err)
	if list == nil {
		return []error{err}
	}
	var all []error
	for _, e := range list {
		all = append(all, flatten(e)...)
	}
	return all
}

// ReaderGone reports whether err says that the output has no reader any more.
func ReaderGone(err error) bool { return errors.Is(err, ErrReaderGone) || terminal.ReaderGone(err) }

// Run makes the RunE of a command. It refuses a flag with an empty value, because a
// variable that is not set must not look like a flag that was not given. It puts the command
// in front of an error, but not in front of joined ones, which name it themselves.
func Run(run func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := checkEmptyFlags(c)
		if err == nil {
			err = run(c.Context(), args)
		}
		switch {
		case err == nil:
			return nil
		case joined(err) != nil:
			return &Error{Err: err}
		}
		named := &Error{Msg: path(c), Err: err}
		if e := collect(err); e.Kind == KindUsage && e.Hint == "" {
			named.Hint = SeeHelp(c)
		}
		return named
	}
}

// firstError keeps the first error of writing. cobra ignores a failed write of a help text, and
// takes a failed write of one of its own commands for wrong usage.
type firstError struct {
	out io.Writer
	err error
}

// Write writes to the writer below.
func (w *firstError) Write(b []byte) (int, error) {
	n, err := w.out.Write(b)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// path returns the words that call a command, without the program.
func path(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}
