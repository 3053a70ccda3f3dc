package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestListenerKilled: while a process sends thousands of messages, the listener and the
// server are killed again and again. With --resume every message comes, in order; only
// messages whose position a killed listener had not saved come twice.
func TestListenerKilled(t *testing.T) {
	const (
		messages = 4000
		kills    = 12 // of the listener, about
	)
	random := rand.New(rand.NewPCG(5, 5))
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_STATE_HOME="+dir, "XDG_DATA_HOME="+dir)
	program := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Env = env
		return cmd
	}
	must := func(stdin, name string, args ...string) {
		t.Helper()
		cmd := program(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	}
	var progress atomic.Int64 // the last message that came, for the panic below
	timer := time.AfterFunc(deadline, func() { panic(fmt.Sprint("the test does not end: ", progress.Load())) })
	defer timer.Stop()

	data := filepath.Join(dir, "skarod")
	address := freeAddress()
	var server *exec.Cmd
	start := func() string {
		t.Helper()
		server = program("skarod", append([]string{"serve", "--listen", address, "--data", data}, patientServer...)...)
		stderr, err := server.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		var seen bytes.Buffer
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			seen.WriteString(lines.Text() + "\n")
			if match := regexp.MustCompile(serverURL).FindStringSubmatch(lines.Text()); match != nil {
				go func() {
					for lines.Scan() { // nobody needs its log, but it must not block
					}
				}()
				return match[1]
			}
		}
		t.Fatalf("skarod does not start:\n%s", &seen)
		return ""
	}
	url := start()
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	for _, login := range []string{"alice", "bob"} {
		must("pw\n", "skarod", "user", "add", "--data", data, "--password-stdin", login)
		must("pw\n", "skaroctl", "login", login, "-p", login, "--server", url, "--store", "file", "--password-stdin")
	}
	listener := func() (*exec.Cmd, *bufio.Reader) {
		t.Helper()
		cmd := program("skaroctl", "listen", "-p", "bob", "-o", "json", "--resume")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, bufio.NewReader(stdout)
	}
	// A first run saves the position: it is live before the first message.
	probe := program("skaroctl", "listen", "-p", "bob", "--resume", "-v")
	notes, err := probe.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := probe.Start(); err != nil {
		t.Fatal(err)
	}
	live := bufio.NewScanner(notes)
	for live.Scan() && !strings.HasPrefix(live.Text(), "listening") {
	}
	if live.Text() == "" {
		t.Fatal("the first listener did not go live")
	}
	_ = probe.Process.Kill()
	_ = probe.Wait()

	// The messages are long, so that the pipe of a killed listener holds few of them.
	var input strings.Builder
	for i := 1; i <= messages; i++ {
		fmt.Fprintln(&input, i, strings.Repeat("x", 1000))
	}
	sender := program("skaroctl", "send", "-p", "alice", "bob", "--lines", "--retry", "1h", "--inflight", "32", "-q")
	sender.Stdin = strings.NewReader(input.String())
	var sent bytes.Buffer
	sender.Stderr = &sent
	if err := sender.Start(); err != nil {
		t.Fatal(err)
	}

	// A run ends with SIGKILL after some messages; in the middle of every third run the
	// server is killed too, and started again.
	next, twice, runs, downtimes := 1, 0, 0, 0
	for next <= messages {
		runs++
		cmd, out := listener()
		quota := 1 + random.IntN(2*messages/kills)
		down := -1
		if runs%3 == 1 && downtimes < 3 { // the pauses of the sender grow each time
			down = quota / 2
		}
		last := 0 // of this run
		for {
			line, err := out.ReadString('\n')
			if err != nil && quota > 0 {
				t.Fatalf("the listener ended by itself: %v", err)
			}
			if err != nil {
				break // it was killed, perhaps in the middle of a line
			}
			var m struct{ Body string }
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			number, _, _ := strings.Cut(m.Body, " ")
			n, err := strconv.Atoi(number)
			switch {
			case err != nil:
				t.Fatalf("%q: %v", line, err)
			case last != 0 && n != last+1:
				t.Fatalf("run %d: message %d came after message %d", runs, n, last)
			case n > next:
				t.Fatalf("run %d: message %d came, and message %d never did", runs, n, next)
			case n < next:
				twice++
			default:
				next++
			}
			last = n
			progress.Store(int64(n))
			if quota--; quota > 0 && quota == down {
				if err := server.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = server.Wait()
				start()
				downtimes++
			}
			if quota == 0 || next > messages && quota > 0 {
				quota = 0
				_ = cmd.Process.Kill() // what it has written by now is still to be read
			}
		}
		_ = cmd.Wait()
	}
	if err := sender.Wait(); err != nil {
		t.Errorf("the sender: %v\n%s", err, &sent)
	}
	t.Logf("%d messages in %d runs, %d of them twice; the server was killed %d times", messages, runs, twice, downtimes)
	if runs < kills/2 || downtimes < 2 {
		t.Error("that was too easy")
	}
}
