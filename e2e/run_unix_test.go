//go:build unix

package e2e

import (
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() {
	commands["detached"] = cmdDetached
	commands["frugal"] = cmdFrugal
}

// detached CODE PROGRAM [ARG…] is exitcode for a program in a session of its own, which has
// no terminal, even if the test has one.
func cmdDetached(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 2, "detached CODE PROGRAM [ARG...]")
	cmd := command(ts, args[1], args[2:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	spawn(ts, "detached", cmd)
	cmdCollect(ts, false, []string{"detached", args[0]})
}

// frugal MIB PROGRAM [ARG…] runs a program whose output may be long, prints how many bytes
// it has, and asserts how much memory the program needs at most.
func cmdFrugal(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 2, "frugal MIB PROGRAM [ARG...]")
	most, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	cmd := brief(ts, args[1], args[2:]...)
	cmd.Stderr = ts.Stderr()
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	n, err := io.Copy(io.Discard, out)
	ts.Check(err)
	ts.Check(cmd.Wait())
	_, err = io.WriteString(ts.Stdout(), strconv.FormatInt(n, 10)+" bytes\n")
	ts.Check(err)
	used := maxRSS(cmd.ProcessState)
	ts.Logf("%d KiB", used>>10)
	if len(raceFlags) == 0 && used > most<<20 { // the race detector needs a lot
		ts.Fatalf("%q used %d KiB", args, used>>10)
	}
}

// maxRSS is the most memory that a process had, in bytes.
func maxRSS(state *os.ProcessState) int64 {
	used := int64(state.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS == "darwin" {
		return used
	}
	return used << 10
}
