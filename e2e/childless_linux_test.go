package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func init() { commands["childless"] = cmdChildless }

// childless NAME waits until the child of a program in the background, which unshare(1)
// made process 1, has no children, not even zombies.
func cmdChildless(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1, "childless NAME")
	p := find(ts, args[0])
	first := children(ts, p.cmd.Process.Pid)
	if len(first) != 1 {
		ts.Fatalf("%s has the children %v", p.name, first)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	late := time.After(deadline)
	for {
		left := children(ts, first[0].pid)
		if len(left) == 0 {
			return
		}
		select {
		case <-again.C:
		case <-late:
			ts.Fatalf("process 1 has the children %v", left)
		}
	}
}

// child is a process, with its state as in proc_pid_stat(5).
type child struct {
	pid   int
	state string
}

func (c child) String() string { return fmt.Sprintf("%d (%s)", c.pid, c.state) }

// children returns the processes whose parent is pid.
func children(ts *testscript.TestScript, pid int) (list []child) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	ts.Check(err)
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		// The name is in parentheses, and may hold any of them.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		own, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		ts.Check(err)
		list = append(list, child{own, fields[0]})
	}
	return list
}
