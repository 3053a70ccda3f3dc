package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestRunParsesTheCommandAfterTheDashes(t *testing.T) {
	testParse(t, newRunCmd, []parseCase[runOptions]{
		{name: "command", args: []string{"bob", "--", "make"}, want: runOptions{to: "bob", command: []string{"make"}, on: "always", tail: 20}},
		{name: "flags of the command", args: []string{"bob,ops", "--", "make", "-j4", "--tail", "--", "x"},
			want: runOptions{to: "bob,ops", command: []string{"make", "-j4", "--tail", "--", "x"}, on: "always", tail: 20}},
		{name: "flags", args: []string{"--tail", "0", "bob", "--on", "failure", "--longer-than", "1m", "--title", "a b", "--spool", "--", "make"},
			want: runOptions{to: "bob", command: []string{"make"}, on: "failure", tail: 0, longerThan: cli.Duration(time.Minute), title: "a b", spool: true}},
		{name: "no dashes", args: []string{"bob", "make"}, err: "run needs -- before COMMAND"},
		{name: "a flag of the command before the dashes", args: []string{"bob", "make", "-k"}, err: "unknown flag -k"},
		{name: "no recipient", args: []string{"--", "make"}, err: "run needs LOGIN before --"},
		{name: "no command", args: []string{"bob", "--"}, err: "run needs COMMAND"},
		{name: "nothing", args: nil, err: "run needs LOGIN"},
		{name: "two words before the dashes", args: []string{"bob", "ops", "--", "make"}, err: `"ops" comes between the login and --`},
		{name: "no duration", args: []string{"bob", "--longer-than", "5", "--", "make"}, err: "write 5s for seconds"},
	})
}

func TestRunRefusesWrongUsage(t *testing.T) {
	for want, o := range map[string]runOptions{
		"names an empty login":                           {to: "bob,"},
		`"bob" and "Bob" may be the same login`:          {to: "bob,Bob", spool: true},
		"the command is empty":                           {command: []string{"", "x"}},
		"--tail is -1, not from 0 to 1000":               {tail: -1},
		"--tail is 1001, not from 0 to 1000":             {tail: 1001},
		`--on is "never", not one of always, failure, s`: {on: "never"},
		"--title is blank":                               {title: " \t"},
		"--title has more than one line":                 {title: "a\nb"},
		"--title is not UTF-8":                           {title: "\xff"},
		"--title has more than 300 bytes":                {title: strings.Repeat("x", maxTitle+1)},
	} {
		o.to, o.on = cmp.Or(o.to, "bob"), cmp.Or(o.on, onAlways)
		if o.command == nil {
			o.command = []string{"make"}
		}
		if _, err := o.check(); err == nil || !strings.Contains(err.Error(), want) || kindOf(err) != cli.KindUsage {
			t.Errorf("%+v: %v, not %s", o, err, want)
		}
	}
}

func TestRunWantsTheMessageThatTheFlagsName(t *testing.T) {
	for _, c := range []struct {
		on     string
		longer time.Duration
		done   ending
		want   bool
	}{
		{"always", 0, ending{}, true},
		{"always", 0, ending{status: 1}, true},
		{"failure", 0, ending{}, false},
		{"failure", 0, ending{status: 127}, true},
		{"success", 0, ending{}, true},
		{"success", 0, ending{status: 1}, false},
		{"always", time.Minute, ending{took: time.Minute}, false},
		{"always", time.Minute, ending{took: time.Minute + 1}, true},
		{"failure", time.Minute, ending{took: time.Hour}, false},
		{"failure", time.Minute, ending{took: time.Second, status: 1}, false},
	} {
		o := &runOptions{on: c.on, longerThan: cli.Duration(c.longer)}
		if got := o.wants(c.done); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestRunGivesTheStatusOfAShellIfNothingStarts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode")
	}
	folder := t.TempDir()
	script := filepath.Join(folder, "no-program")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder)
	for name, want := range map[string]struct {
		status int
		why    string
	}{
		"no-such-program":                     {127, "not found"},
		filepath.Join(folder, "nothing-here"): {127, "not found"},
		"no-program":                          {126, script + ": permission denied"},
		script:                                {126, "permission denied"},
		folder:                                {126, "permission denied"},
	} {
		err := exec.Command(name).Run()
		done := (&runOptions{command: []string{name}}).notStarted(err)
		if done.status != want.status || done.how != "could not be started: "+want.why || done.failed == nil {
			t.Errorf("%s: %v: %+v", name, err, done)
		}
	}
	other := (&runOptions{command: []string{"make"}}).notStarted(&fs.PathError{Op: "fork/exec", Path: "/bin/make", Err: syscall.ENOMEM})
	if other.status != 126 || other.how != "could not be started: "+syscall.ENOMEM.Error() {
		t.Errorf("%+v", other)
	}
	if done := (&runOptions{command: []string{"make"}}).notStarted(errors.New("something else")); done.how != "could not be started: something else" {
		t.Errorf("%+v", done)
	}
}

// fullDisk is an output that takes nothing, for example because the disk is full.
type fullDisk struct{ err error }

func (w fullDisk) Write([]byte) (int, error) { return 0, w.err }

// A script that goes on after run has all the output of its command, or no reader for it.
func TestRunFailsIfItCantPassTheOutputOn(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	variables := homeWith(t, "")
	variables["SKAROCTL_LOGIN"], variables["SKAROCTL_TOKEN"] = "alice", newToken("pw").Text()
	variables["SKAROCTL_SERVER"] = "ws://127.0.0.1:1/skaro_client/"
	full := errors.New("no space left on device")
	for _, c := range []struct {
		script string
		err    error
		status int
		says   string
	}{
		{"echo hi", full, 1, "skaroctl: run: pass on the output of sh: no space left on device\n"},
		{"echo hi; exit 7", full, 7, "skaroctl: run: pass on the output of sh: no space left on device\n"},
		{"echo hi", syscall.EPIPE, 0, ""},
		{"exit 0", full, 0, ""},
	} {
		if runtime.GOOS == "windows" && errors.Is(c.err, syscall.EPIPE) {
			continue // a pipe has another error there
		}
		var errs strings.Builder
		streams := terminal.Streams{In: strings.NewReader(""), Out: fullDisk{c.err}, Err: &errs}
		status := cli.MainContext(t.Context(), []string{"run", "bob", "--longer-than", "1h", "--", "sh", "-c", c.script}, streams, func(name string) string { return variables[name] },
			func(p *cli.Process) cli.Program { return newProgram(newFactory(p)) })
		if status != c.status || errs.String() != c.says {
			t.Errorf("%s, %v: status %d, %q", c.script, c.err, status, &errs)
		}
	}
}

// An interrupt while the message is sent ends the sending, says so, and leaves the status.
func TestRunKeepsTheStatusIfSendingIsInterrupted(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if c, err := silent.Accept(); err == nil {
			defer c.Close()
			cancel(&terminal.Interrupt{Signal: os.Interrupt})
			<-t.Context().Done()
		}
	}()
	variables := homeWith(t, "")
	variables["SKAROCTL_LOGIN"], variables["SKAROCTL_TOKEN"] = "alice", newToken("pw").Text()
	variables["SKAROCTL_SERVER"], variables["SKAROCTL_TIMEOUT"] = "ws://"+silent.Addr().String()+"/skaro_client/", "10m"
	var out, errs strings.Builder
	streams := terminal.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
	status := cli.MainContext(ctx, []string{"run", "bob", "--", "sh", "-c", "echo done; exit 5"}, streams, func(name string) string { return variables[name] },
		func(p *cli.Process) cli.Program { return newProgram(newFactory(p)) })
	if status != 5 || out.String() != "done\n" || errs.String() != "skaroctl: send to bob: can't reach "+variables["SKAROCTL_SERVER"]+": interrupted (interrupt)\n" {
		t.Errorf("status %d, %q, %q", status, &out, &errs)
	}
}
