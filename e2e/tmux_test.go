package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestTerminal runs the scripts in which people sit at terminals, which tmux(1) emulates.
func TestTerminal(t *testing.T) {
	for _, program := range []string{"tmux", "bash"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, "there is no "+program, "apt-get install "+program)
		}
	}
	runScripts(t, "testdata/terminal", nil)
}

// tmuxKey is the key of the folder with the socket of the script's tmux.
type tmuxKey struct{}

// tmux runs a command of the script's tmux, with an input.
func tmux(ts *testscript.TestScript, input string, args ...string) (string, error) {
	socket, ok := ts.Value(tmuxKey{}).(*string)
	if !ok {
		ts.Fatalf("the script has no tmux")
	}
	if *socket == "" {
		folder, err := os.MkdirTemp("", "skaro-tmux-") // a path in the script's folder may be too long
		ts.Check(err)
		*socket = filepath.Join(folder, "socket")
		ts.Defer(func() {
			_ = brief(ts, "tmux", "-S", *socket, "kill-server").Run() // there is none if it was never started
			os.RemoveAll(folder)
		})
	}
	cmd := brief(ts, "tmux", append([]string{"-S", *socket, "-f", "/dev/null", "-u"}, args...)...)
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8", "TMUX=")
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("tmux %s: %w: %s", strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// mustTmux is tmux for a command that must succeed.
func mustTmux(ts *testscript.TestScript, input string, args ...string) string {
	out, err := tmux(ts, input, args...)
	ts.Check(err)
	return out
}

// pane NAME [WIDTH HEIGHT] opens a terminal with a shell in it.
func cmdPane(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1 || len(args) == 3, "pane NAME [WIDTH HEIGHT]")
	size := []string{"80", "24"}
	if len(args) == 3 {
		size = args[1:]
	}
	rc := ts.MkAbs(".tmp/bashrc")
	ts.Check(os.WriteFile(rc, []byte("PS1='$ ' HISTFILE=\n"), 0o600))
	mustTmux(ts, "", "new-session", "-d", "-s", args[0], "-x", size[0], "-y", size[1], "bash", "--noprofile", "--rcfile", rc)
	cmdScreen(ts, false, []string{args[0], `\$ $`})
}

// resize NAME WIDTH HEIGHT changes the size of a terminal.
func cmdResize(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 3, "resize NAME WIDTH HEIGHT")
	mustTmux(ts, "", "resize-window", "-t", args[0], "-x", args[1], "-y", args[2])
}

// close NAME closes a terminal.
func cmdClose(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1, "close NAME")
	mustTmux(ts, "", "kill-session", "-t", args[0])
}

// type NAME TEXT [KEY...] types a text (as in a string of Go) and then presses keys, such as
// Enter, Left and C-c.
func cmdType(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 2, "type NAME TEXT [KEY...]")
	if args[1] != "" {
		text, err := strconv.Unquote(`"` + args[1] + `"`)
		ts.Check(err)
		mustTmux(ts, "", "send-keys", "-t", args[0], "-l", "--", text)
	}
	if keys := args[2:]; len(keys) > 0 {
		mustTmux(ts, "", append([]string{"send-keys", "-t", args[0]}, keys...)...)
	}
}

// paste NAME FILE pastes the content of a file, in brackets if the program wants them.
func cmdPaste(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "paste NAME FILE")
	mustTmux(ts, ts.ReadFile(args[1]), "load-buffer", "-")
	mustTmux(ts, "", "paste-buffer", "-p", "-d", "-t", args[0])
}

// screen NAME PATTERN waits until what a terminal shows, without the spaces at its end,
// matches. Lines that the terminal has wrapped are several.
func cmdScreen(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "screen NAME PATTERN")
	awaitScreen(ts, args[1], func() string { return mustTmux(ts, "", "capture-pane", "-p", "-t", args[0]) })
}

// scrolled NAME PATTERN is screen for everything that a terminal has shown, with long lines
// as they were before the terminal wrapped them.
func cmdScrolled(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "scrolled NAME PATTERN")
	awaitScreen(ts, args[1], func() string {
		return mustTmux(ts, "", "capture-pane", "-p", "-J", "-S", "-", "-t", args[0])
	})
}

// cursor NAME COLUMN ROW waits until the cursor is there, counted from 0.
func cmdCursor(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 3, "cursor NAME COLUMN ROW")
	awaitScreen(ts, "^"+args[1]+" "+args[2]+"$", func() string {
		return mustTmux(ts, "", "display-message", "-p", "-t", args[0], "#{cursor_x} #{cursor_y}")
	})
}

// awaitScreen looks again and again, until what it sees matches. What it saw last is then the
// script's last output.
func awaitScreen(ts *testscript.TestScript, pattern string, look func() string) {
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	late := time.After(deadline)
	for {
		shown := look()
		var lines []string
		for line := range strings.Lines(shown) {
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
		text := strings.TrimRight(strings.Join(lines, "\n"), "\n")
		// A prompt ends with a space, which a pattern must be able to require.
		if strings.HasSuffix(text, "$") {
			text += " "
		}
		if re.MatchString(text) {
			fmt.Fprintln(ts.Stdout(), text)
			return
		}
		select {
		case <-again.C:
		case <-late:
			ts.Fatalf("no %q within %v; the terminal shows\n%s", pattern, deadline, shown)
		}
	}
}
