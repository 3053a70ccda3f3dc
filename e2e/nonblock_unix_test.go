//go:build unix

package e2e

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() {
	commands["nonblock"] = cmdNonblock
	commands["feed"] = cmdFeed
	commands["drain"] = cmdDrain
}

// nonblock NAME PATTERN PROGRAM [ARG…] starts a program in the background and waits until
// its standard error matches. Then it does what ssh, curl or node may do to streams that
// they share with it: it sets O_NONBLOCK on standard input and output. It fills the latter,
// which nothing reads before `drain`.
func cmdNonblock(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 3, "nonblock NAME PATTERN PROGRAM [ARG...]")
	var in, out [2]int
	ts.Check(syscall.Pipe(in[:]))
	ts.Check(syscall.Pipe(out[:]))
	for _, fd := range []int{in[0], in[1], out[0], out[1]} {
		syscall.CloseOnExec(fd)
	}
	file := func(fd int, name string) *os.File {
		f := os.NewFile(uintptr(fd), name)
		ts.Defer(func() { f.Close() })
		return f
	}
	stdin := file(in[0], "standard input")
	s := &shared{input: file(in[1], "input"), out: file(out[0], "output"), write: file(out[1], "standard output")}
	cmd := command(ts, args[2], args[3:]...)
	cmd.Stdin, cmd.Stdout = stdin, s.write
	p := spawn(ts, args[0], cmd)
	p.shared = s
	p.await(ts, p.stderr, args[1])
	ts.Check(syscall.SetNonblock(in[0], true))
	ts.Check(syscall.SetNonblock(out[1], true))
	line := []byte(strings.Repeat(" ", 4095) + "\n")
	for {
		if _, err := syscall.Write(out[1], line); err != nil {
			if !errors.Is(err, syscall.EAGAIN) {
				ts.Check(err)
			}
			break
		}
	}
}

// feed NAME FILE writes a file to the standard input of a program that nonblock started.
func cmdFeed(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "feed NAME FILE")
	_, err := io.WriteString(find(ts, args[0]).shared.input, ts.ReadFile(args[1]))
	ts.Check(err)
}

// drain NAME ends the standard input of a program that nonblock started, and reads its
// standard output until it ends.
func cmdDrain(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1, "drain NAME")
	p := find(ts, args[0])
	p.shared.input.Close()
	p.shared.write.Close()
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(p.stdout, p.shared.out)
		read <- err
	}()
	select {
	case err := <-read:
		ts.Check(err)
	case <-time.After(deadline):
		ts.Fatalf("%s does not end its output within %v", p.name, deadline)
	}
}
