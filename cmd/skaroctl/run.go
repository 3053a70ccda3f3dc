package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// runOptions are what the command line of run says.
type runOptions struct {
	to         string   // LOGIN[,LOGIN...]
	command    []string // COMMAND [ARG...]
	on         string   // one of runOns
	longerThan cli.Duration
	tail       int
	title      string
	spool      bool
}

// The values of --on.
const (
	onAlways  = "always"
	onFailure = "failure"
	onSuccess = "success"
)

var runOns = []string{onAlways, onFailure, onSuccess}

// The default and the limit of --tail, in lines.
const (
	defaultTail  = 20
	maxTailLines = 1000
)

func newRunCmd(f *Factory, run runFunc[runOptions]) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run LOGIN[,LOGIN...] -- COMMAND [ARG...]",
		Short: "Run a command and report how it ended",
		Long: `The command runs as if called directly. Then run sends a message: the command
line, the host, how the command ended, how long it took, and the end of its
output. If the command line contains a secret, replace it with --title.

The exit status is that of the command, even if the message can't be sent (127:
not found, 126: not executable, 128+N: signal N). Standard error then says why.`,
		Example: `  skaroctl run bob -- make -j4 test
  skaroctl run ops --on failure --spool -- restic -r /srv/backup backup /home
  skaroctl run bob --longer-than 1m --title "the report" -- ./report --year 2026`,
		Args:              func(c *cobra.Command, args []string) error { return o.split(c, args) },
		ValidArgsFunction: f.completeRun,
		RunE: func(c *cobra.Command, _ []string) error {
			return runCommand(c, f, &o, run)
		},
	}
	c.Flags().StringVar(&o.on, "on", onAlways, "send the message `WHEN`: always, failure or success")
	c.Flags().Var(&o.longerThan, "longer-than", "send the message only if the command took longer")
	c.Flags().IntVar(&o.tail, "tail", defaultTail, "send the last `N` lines of output; 0 does not read the output")
	c.Flags().StringVar(&o.title, "title", "", "send this `TEXT` instead of the command line")
	c.Flags().BoolVar(&o.spool, "spool", false, "keep the message on this machine if it can't be delivered now")
	cli.CompleteFlag(c, "on", runOns...)
	return c
}

// completeRun completes the logins, and leaves the command to the shell.
func (f *Factory) completeRun(c *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return f.completeLogins(c, args, prefix)
}

// split takes the logins and the command from the arguments. Without the -- between them, the
// flags of the command would be ours.
func (o *runOptions) split(c *cobra.Command, args []string) error {
	const write = "write `skaroctl run LOGIN -- COMMAND`"
	at := c.ArgsLenAtDash()
	if at == 0 {
		return cli.Usage("run needs LOGIN before --", write)
	}
	if err := cli.CheckArgs(c, args); err != nil {
		return err
	}
	switch {
	case at < 0:
		return cli.Usage("run needs -- before COMMAND", write)
	case at > 1:
		return cli.Usage(fmt.Sprintf("%q comes between the login and --", args[1]), "write several logins with a comma between them, like alice,bob")
	}
	o.to, o.command = args[0], slices.Clone(args[1:])
	return nil
}

// check checks what the parser can't, and returns the recipients.
func (o *runOptions) check() (to []string, err error) {
	if to, err = recipients(o.to); err != nil {
		return nil, err
	}
	switch {
	case o.command[0] == "":
		return nil, cli.Usage("the command is empty", "write it after --, like `skaroctl run LOGIN -- make test`")
	case o.tail < 0 || o.tail > maxTailLines:
		return nil, cli.Usage(fmt.Sprintf("--tail is %d, not from 0 to %d", o.tail, maxTailLines), fmt.Sprintf("leave it out for %d", defaultTail))
	case len(o.title) > maxTitle:
		return nil, cli.Usage(fmt.Sprintf("--title has more than %d bytes", maxTitle), "shorten it: it is one line of a message")
	case strings.ContainsAny(o.title, "\r\n"):
		return nil, cli.Usage("--title has more than one line", "give one line")
	case o.title != "" && strings.TrimSpace(o.title) == "":
		return nil, cli.Usage("--title is blank", "leave it out, to send the command line")
	}
	if err := cli.CheckUTF8("--title", o.title); err != nil {
		return nil, err
	}
	if o.spool {
		if err := checkDistinct(to); err != nil {
			return nil, err
		}
	}
	return to, cli.CheckChoice("--on", o.on, runOns)
}

// runRun runs the command, sends the message, and returns the exit status of the command.
// Wrong usage is an error before the command starts; any other reason why no message can be
// sent is reported after it has ended.
func runRun(ctx context.Context, f *Factory, o *runOptions) error {
	to, err := o.check()
	if err != nil {
		return err
	}
	acct, err := f.resolveLogin(ctx)
	if ctx.Err() != nil || err != nil && kindOf(err) == cli.KindUsage {
		return err
	}
	done := o.execute(ctx, f)
	if done.failed != nil {
		_ = f.report(done.failed)
	}
	if o.wants(done) {
		if err != nil { // the user may have logged in meanwhile
			acct, err = f.resolveLogin(ctx)
		}
		if err == nil {
			err = o.tell(ctx, f, acct, to, done)
		} else {
			err = fmt.Errorf("send to %s: %w", o.to, err)
		}
		o.reportUnsent(f, err)
	}
	switch {
	case done.status != 0:
		return cli.Exit(done.status)
	case done.lost:
		return cli.Exit(1) // what reads the output must not take it for all of it
	}
	return nil
}

// reportUnsent says that the message was not sent, even if a signal is the reason.
func (o *runOptions) reportUnsent(f *Factory, err error) {
	var signal *terminal.Interrupt
	if errors.As(err, &signal) && session.KindOf(err) != session.KindUnknown {
		err = &cli.Error{Kind: cli.KindInterrupted, Err: err}
	}
	if err != nil {
		_ = f.report(err)
	}
}

// wants reports whether the message is to be sent.
func (o *runOptions) wants(done ending) bool {
	switch {
	case o.on == onFailure && done.status == 0, o.on == onSuccess && done.status != 0:
		return false
	}
	return o.longerThan == 0 || done.took > time.Duration(o.longerThan)
}

// The exit statuses of a command that could not be started, as a shell has them. If a
// signal has ended the command, the status is statusSignal plus the number of the signal.
const (
	statusNotFound      = 127
	statusNotExecutable = 126
	statusSignal        = 128
)

// ending is how a command has ended.
type ending struct {
	status int
	how    string // "succeeded", for example
	took   time.Duration
	output []string // the last lines; nil if it was not read
	lost   bool     // some of the output could not be passed on
	failed error    // why the command could not be started
}

// execute runs the command to its end. Its signals are those of this process.
func (o *runOptions) execute(ctx context.Context, f *Factory) ending {
	relay := newRelay()
	terminal.Divert(ctx, relay.take, relayed...)
	cmd := exec.Command(o.command[0], o.command[1:]...)
	if runtime.GOOS != "windows" && errors.Is(cmd.Err, exec.ErrDot) {
		cmd.Err = nil // the PATH of the user has a relative folder
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f.streams.In, f.streams.Out, f.streams.Err
	var out *passages
	start := time.Now()
	var err error
	if o.tail > 0 {
		out, err = newPassages(f, cmd, o.tail)
	}
	if err == nil {
		err = relay.start(cmd)
	}
	out.closeTheirs()
	if err != nil {
		relay.giveBack(0)
		_ = out.finish()
		return o.notStarted(err)
	}
	failed := cmd.Wait()
	done := endedAs(cmd, failed)
	done.took = time.Since(start)
	relay.giveBack(done.status)
	if err := out.finish(); err != nil {
		done.lost = true
		_ = f.report(fmt.Errorf("run: pass on the output of %s: %w", o.command[0], err))
	}
	done.output = out.lines()
	return done
}

// endedAs returns how a command that was started has ended. err is the result of Wait.
func endedAs(cmd *exec.Cmd, err error) ending {
	switch signal, name := endingSignal(cmd.ProcessState); {
	case signal > 0:
		return ending{status: statusSignal + signal, how: "was ended by " + name}
	case cmd.ProcessState == nil: // the system lost track of it
		return ending{status: statusNotExecutable, how: "was lost: " + err.Error()}
	}
	switch status := cmd.ProcessState.ExitCode(); status {
	case 0:
		return ending{how: "succeeded"}
	default:
		return ending{status: status, how: fmt.Sprintf("failed with exit status %d", status)}
	}
}

// notStarted returns how a command has ended that could not be started.
func (o *runOptions) notStarted(err error) ending {
	status, why, hint := statusNotExecutable, bareText(err), ""
	missing := errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist)
	switch path := inPath(o.command[0]); {
	case missing && path != "":
		why = path + ": permission denied"
	case missing:
		status, why = statusNotFound, "not found"
	case errors.Is(err, syscall.ENOEXEC):
		hint = "if it is a script, give it a first line such as #!/bin/sh, or run it with sh"
	}
	return ending{
		status: status, how: "could not be started: " + why,
		failed: &cli.Error{Kind: cli.KindInternal, Msg: "run: " + o.command[0] + ": " + why, Hint: hint},
	}
}

// bareText returns the text of an error without what os and os/exec put in front of it.
func bareText(err error) string {
	var path *fs.PathError
	var look *exec.Error
	switch {
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.As(err, &look):
		return look.Err.Error()
	}
	return err.Error()
}

// inPath returns the file that has the name of a command in a folder of PATH, and that os/exec
// passes over because it is not executable; "" means that there is none.
func inPath(name string) string {
	if name != filepath.Base(name) {
		return ""
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
