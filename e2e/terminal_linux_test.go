package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// prompted CODE PROMPT KEYS [PROMPT KEYS...] -- PROGRAM [ARG...] runs a program on a
// pseudo-terminal of its own, types keys (as in a string of Go) after each prompt, and
// asserts the exit status and that the terminal is as it was. What the terminal showed is
// then the script's last output.
func cmdPrompted(ts *testscript.TestScript, neg bool, args []string) {
	end := slices.Index(args, "--")
	want(ts, neg, end >= 3 && end%2 == 1 && len(args) > end+1, "prompted CODE PROMPT KEYS [PROMPT KEYS...] -- PROGRAM [ARG...]")
	keyboard, terminal := openPTY(ts.Check)
	defer keyboard.Close()
	before := termios(ts, keyboard)
	cmd := command(ts, args[end+1], args[end+2:]...)
	cmd.Stdin = strings.NewReader("") // the terminal is the controlling one, and no stream
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	cmd.ExtraFiles = []*os.File{terminal}
	p := spawn(ts, "prompted", cmd)
	screen, closed := newOutput(), make(chan struct{})
	go func() {
		defer close(closed)
		b := make([]byte, 4096)
		for {
			n, err := keyboard.Read(b)
			_, _ = screen.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	seen := map[string]int{}
	for turns := args[1:end]; len(turns) > 0; turns = turns[2:] {
		prompt := turns[0]
		seen[prompt]++
		p.await(ts, screen, fmt.Sprintf("(?s)(?:%s.*?){%d}", prompt, seen[prompt]))
		keys, err := strconv.Unquote(`"` + turns[1] + `"`)
		ts.Check(err)
		_, err = keyboard.WriteString(keys)
		ts.Check(err)
	}
	cmdCollect(ts, false, []string{"prompted", args[0]})
	if after := termios(ts, keyboard); after != before {
		ts.Fatalf("the terminal was %+v and is %+v", before, after)
	}
	terminal.Close()
	<-closed // then everything that was written has been read
	fmt.Fprint(ts.Stdout(), screen)
}

// typed is what a shell of cmdTab prints for a line.
var typed = regexp.MustCompile(`(?:<[^<>]*>)+END`)

// tab SHELL RC FILE types lines into a shell that has read the start-up file RC, presses
// the Tab key after each and then Enter, and asserts what became of it. Each line of FILE
// is "TYPED -> WORD WORD…". RC defines a function skaroctl that prints each of its words.
func cmdTab(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 3, "tab SHELL RC FILE")
	start := map[string][]string{
		"bash": {"bash", "--noprofile", "--rcfile", ts.MkAbs(args[1]), "-i"},
		"zsh":  {"zsh", "-i"}, // it reads .zshrc in ZDOTDIR
	}[args[0]]
	if args[0] == "zsh" {
		ts.Check(os.WriteFile(ts.MkAbs(".zshrc"), []byte(ts.ReadFile(args[1])), 0o600))
		ts.Setenv("ZDOTDIR", ts.MkAbs("."))
	}
	keyboard, terminal := openPTY(ts.Check)
	defer keyboard.Close()
	ts.Setenv("TERM", "dumb")
	cmd := command(ts, start[0], start[1:]...)
	cmd.Stdin = terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := &process{name: args[0], cmd: cmd, stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = terminal, terminal
	ts.Check(cmd.Start())
	terminal.Close()
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := keyboard.Read(b)
			_, _ = p.stdout.Write(b[:n])
			if err != nil { // it is, when the shell has ended
				_ = cmd.Wait()
				close(p.done)
				return
			}
		}
	}()
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		<-p.done
	})
	p.await(ts, p.stdout, "READY")
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[2])) {
		begun, words, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " -> ")
		if !ok {
			ts.Fatalf("this is no case: %s", line)
		}
		_, err := keyboard.WriteString("skaroctl " + begun + "\t\r")
		ts.Check(err)
		n++
		p.await(ts, p.stdout, fmt.Sprintf(`(?s)(%s.*?){%d}`, typed, n))
		got := typed.FindAllString(p.stdout.String(), -1)[n-1]
		if wanted := "<" + strings.ReplaceAll(words, " ", "><") + ">END"; got != wanted {
			ts.Fatalf("%s: %q and the Tab key make %s, not %s\n%s", args[0], begun, got, wanted, p.stdout)
		}
	}
}

func termios(ts *testscript.TestScript, f *os.File) unix.Termios {
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	ts.Check(err)
	return *t
}

// openPTY opens a pseudo-terminal (pty(7)).
func openPTY(check func(error)) (keyboard, terminal *os.File) {
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	check(err)
	check(unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	check(err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	check(err)
	return keyboard, terminal
}
