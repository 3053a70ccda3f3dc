// Package hostile runs skaroctl against servers that break every rule: of TCP, TLS, HTTP,
// WebSocket, CBOR and Skaro. A case is a line of a table: what the peer does, and how each
// command ends then. Every run is checked for the same promises (check).
//
// It is a package of its own because its process must stay small: on Linux the memory of a
// child is never less than that of its parent was.
package hostile

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

// What every run keeps to.
const (
	patience  = 10 * time.Minute // until a run counts as one that hangs
	stallTime = time.Second      // --timeout against a peer that stalls
	maxCPU    = 20 * time.Second
	maxMemory = 150 << 20
	maxLine   = 4096 // of standard error, in bytes
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds skaroctl and runs the tests.
func run(m *testing.M) int {
	// If nohup(1) runs the tests, SIGHUP is ignored, and their programs would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	debug.SetMemoryLimit(maxMemory / 2)
	bin, err := os.MkdirTemp("", "skaro-hostile-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	if err := writeAuthority(filepath.Join(bin, "authority.pem")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	skaroctl = filepath.Join(bin, "skaroctl")
	build := exec.Command("go", "build", fmt.Sprintf("-race=%v", race), "-o", skaroctl, "../../cmd/skaroctl")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "can't build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// skaroctl is the path of the program.
var skaroctl string

// peerCase is a peer that breaks a rule, and how each command ends: a character for each
// of commands.
//
//	0 to 8   the exit status
//	t, T     the exit status 6 or 7 after --timeout
//	c, p     4 or 8, and 7 if the message has left with the login: both may come first
//	-        the command is not run
type peerCase struct {
	name  string
	trick trick
	ends  string
	lines string // of standard output, for each command; "" means those of a good server after 0, and none after any other end
}

// command is what runs against a peer, and how many lines a good server makes it print.
type command struct {
	args  string
	stdin string
	lines byte
	after []string // arguments after the flags
}

// commands run against every peer. A column of peerCase.ends belongs to each.
var commands = []command{
	{args: "send bob hi", lines: '1'},
	{args: "send bob --lines", stdin: "one\ntwo\nthree\n", lines: '3'},
	{args: "listen -n 1 --no-reconnect", lines: '1'},
	{args: "contacts -o json", lines: '1'},
	{args: "history bob", lines: '1'},
	{args: "status", lines: '1'},
	{args: "login alice --store file --password-stdin", stdin: "pw\n", lines: '1'},
	{args: "request get_user_data -f login=bob", lines: '1'},
	{args: "contacts -o text", lines: '1'},
}

var tables = []struct {
	name  string
	cases []peerCase
}{
	{"transport", transportCases},
	{"http", httpCases},
	{"framing", framingCases()},
	{"greetings", greetingCases},
	{"logins", loginCases},
	{"replies", replyCases},
	{"contents", contentCases()},
	{"pushes", pushCases},
	{"pages", pageCases},
}

// TestNoPeerMisleads: whatever a peer does, each command ends as it should.
func TestNoPeerMisleads(t *testing.T) {
	statSources(t)
	count := 0
	for _, table := range tables {
		count += len(table.cases)
		t.Run(table.name, func(t *testing.T) {
			m := &machine{busy: make(chan struct{}, 2*runtime.NumCPU()), waiting: make(chan struct{}, 32)}
			var running sync.WaitGroup
			for _, c := range table.cases {
				if len(c.ends) != len(commands) || c.lines != "" && len(c.lines) != len(commands) {
					t.Fatalf("%s: %d commands, ends %q, lines %q", c.name, len(commands), c.ends, c.lines)
				}
				running.Go(func() { c.try(t, m) })
			}
			running.Wait()
		})
	}
	if own := ownMemory(); !race && own > maxMemory {
		t.Errorf("this process had %d MiB: it could not measure less of another", own>>20)
	}
	t.Logf("%d cases; this process had %d MiB", count, ownMemory()>>20)
}

// TestLongTextsTakeLittleMemory: what 15 MiB of control characters become is written in parts,
// or cut.
func TestLongTextsTakeLittleMemory(t *testing.T) {
	if race {
		t.Skip("the race detector changes the memory of a program")
	}
	part, parts := raw(strings.Repeat("\x1b", 1<<10)), 15<<10
	text := raw(head(3, parts*len(part)))
	push := func(start raw) trick { return after("get_updates", large(start, parts, part)) }
	reply := func(request, field string, start raw) trick {
		return onRequest(only(request, bulk(field, start, parts, part)))
	}
	for _, c := range []struct {
		name  string
		trick trick
		args  string
	}{
		{"message", push(object("type", "show_message", "id", 6, "body", text)), "listen -n 1 --no-reconnect -o text"},
		{"message for a template", push(object("type", "show_message", "id", 6, "body", text)), "listen -n 1 --no-reconnect --format {{.body}}"},
		{"message for a command", push(object("type", "show_message", "id", 6, "body", text)), "listen -n 1 --no-reconnect --exec true"},
		{"info", push(object("type", "info", "info", text)), "listen --for 5s --no-reconnect --events -o text"},
		{"other push", push(object("type", "x", "y", text)), "listen --for 5s --no-reconnect --events -o text"},
		{"history", reply("get_history", "history", "\x81\xa1\x64body"+text), "history bob -o text"},
		{"name of a contact", reply("get_contacts", "data", "\x81\xa2\x65login\x61a\x64name"+text), "contacts -o text"},
		{"login of a contact", reply("get_contacts", "data", "\x81\xa1\x65login"+text), "contacts -o text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := peerCase{name: c.name, trick: c.trick}.run(t, command{args: c.args}, patience)
			if err != nil || r.exit != 0 || r.hung {
				t.Fatalf("exit status %d, %v: %.300q", r.exit, err, r.stderr)
			}
			t.Logf("%d MiB", r.memory>>20)
			if r.memory > max(maxMemory, ownMemory()) {
				t.Errorf("%d MiB, more than %d", r.memory>>20, maxMemory>>20)
			}
		})
	}
}

// TestNoPeerChangesTheStatusOfRun: whatever a peer does, the exit status of run and its output
// are those of the command. If the message can't be sent, one error says so.
func TestNoPeerChangesTheStatusOfRun(t *testing.T) {
	statSources(t)
	const sendColumn = 0 // run sends its message as send does
	for _, table := range tables {
		t.Run(table.name, func(t *testing.T) {
			places := make(chan struct{}, 2*runtime.NumCPU())
			var running sync.WaitGroup
			for _, c := range table.cases {
				end := c.ends[sendColumn]
				if end == '-' || race && len(c.name)%raceSample != 0 {
					continue
				}
				running.Go(func() {
					places <- struct{}{}
					defer func() { <-places }()
					c.tryRun(t, end)
				})
			}
			running.Wait()
		})
	}
}

// tryRun runs a command with run. end is how send ends against the peer.
func (c peerCase) tryRun(t *testing.T, end byte) {
	limit := patience
	if strings.IndexByte("tT", end) >= 0 {
		limit = stallTime
	}
	r, err := c.run(t, command{args: "run bob", after: []string{"--", "sh", "-c", "echo done; exit 9"}}, limit)
	if err != nil {
		t.Error(c.name, err)
		return
	}
	wanted, failures := 1, strings.Count("\n"+r.stderr, "\nskaroctl: send")
	if end == '0' {
		wanted = 0
	}
	fault := control(r.stderr)
	if r.exit != 9 || r.hung || r.stdout.start != "done\n" || failures != wanted || fault != "" {
		t.Errorf("%s: exit status %d, output %.40q, %d errors instead of %d %s: %.400q", c.name, r.exit, r.stdout.start, failures, wanted, fault, r.stderr)
	}
}

// Under the race detector, which makes a run ten times as slow, only one run of raceSample
// is tried.
const raceSample = 10

// machine bounds how much runs at a time.
type machine struct{ busy, waiting chan struct{} }

// try runs every command against the peer, and reports what is wrong.
func (c peerCase) try(t *testing.T, m *machine) {
	ends, faults := []byte(c.ends), make([]string, len(commands))
	var running sync.WaitGroup
	for column := range commands {
		if ends[column] == '-' || race && (column+len(c.name))%raceSample != 0 {
			continue
		}
		running.Go(func() {
			places := m.busy
			if strings.IndexByte("tT", ends[column]) >= 0 {
				places = m.waiting
			}
			places <- struct{}{}
			defer func() { <-places }()
			ends[column], faults[column] = c.tryOne(t, column)
		})
	}
	running.Wait()
	var first string // the other commands fail in the same way, as a rule
	var failed []string
	for column, fault := range faults {
		if fault != "" {
			failed, first = append(failed, strings.Fields(commands[column].args)[0]), cmp.Or(first, fault)
		}
	}
	if string(ends) != c.ends || len(failed) > 0 {
		t.Errorf("%s: ends %q, wanted %q; %s: %s", c.name, ends, c.ends, strings.Join(failed, ", "), first)
	}
}

// tryOne runs one command. If --timeout is to end it, a slow machine may need a longer one.
func (c peerCase) tryOne(t *testing.T, column int) (end byte, fault string) {
	wanted, limit := c.ends[column], patience
	if strings.IndexByte("tT", wanted) >= 0 {
		limit = stallTime
	}
	for {
		r, err := c.run(t, commands[column], limit)
		if err != nil {
			return '?', err.Error()
		}
		end = "0123456789"[min(max(r.exit, 0), 9)]
		switch {
		case limit != patience && end == '6':
			end = 't'
		case limit != patience && end == '7':
			end = 'T'
		case r.hung:
			end = '?'
		case wanted == 'c' && (end == '4' || end == '7'), wanted == 'p' && (end == '8' || end == '7'):
			end = wanted
		}
		if end != 't' || wanted != 'T' || limit > patience/8 {
			return end, c.check(r, column, end == wanted)
		}
		limit *= 2
	}
}

// result is what became of a run.
type result struct {
	exit   int
	stdout output
	stderr string
	cpu    time.Duration
	memory int64 // the most it had, in bytes
	hung   bool
	home   string
}

// run runs a command once.
func (c peerCase) run(t *testing.T, command command, limit time.Duration) (r result, err error) {
	s, err := newServer(c.trick)
	if err != nil {
		return r, err
	}
	defer s.Close()
	home, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := append(strings.Fields(command.args), "--timeout", limit.String(), "--server", s.url(c.trick))
	if limit != patience && args[0] == "listen" {
		args = append(args, "--for", limit.String())
	}
	args = append(args, command.after...)
	cmd := exec.CommandContext(ctx, skaroctl, args...)
	cmd.Env = []string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_STATE_HOME=" + home, "XDG_CACHE_HOME=" + home, "XDG_RUNTIME_DIR=" + home,
		"TZ=UTC", "PATH=/usr/bin:/bin", "DBUS_SESSION_BUS_ADDRESS=disabled:", "GORACE=halt_on_error=1 atexit_sleep_ms=0", "SSL_CERT_FILE=" + authorityFile,
	}
	if args[0] != "login" {
		cmd.Env = append(cmd.Env, "SKAROCTL_LOGIN=alice", "SKAROCTL_TOKEN="+token.Text())
	}
	cmd.Stdin = strings.NewReader(command.stdin)
	stdout, err := os.Create(filepath.Join(home, "stdout")) // which may become large
	if err != nil {
		return r, err
	}
	defer stdout.Close()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return r, err
	}
	if r.stdout, err = readOutput(stdout); err != nil {
		return r, err
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return result{
		exit: cmd.ProcessState.ExitCode(), stdout: r.stdout, stderr: stderr.String(), hung: ctx.Err() != nil, home: home,
		cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), memory: usage.Maxrss << 10,
	}, nil
}

// check returns which promises a run has broken.
func (c peerCase) check(r result, column int, ended bool) string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if r.hung {
		fault("does not end within %v", patience)
	}
	if !race && r.cpu > maxCPU {
		fault("takes %v of the processor", r.cpu)
	}
	if !race && r.memory > max(maxMemory, ownMemory()) {
		fault("takes %d MiB", r.memory>>20)
	}
	if fault := checkErrors(r.stderr, r.exit); fault != "" {
		faults = append(faults, fault)
	}
	lines := byte('0')
	if c.lines != "" {
		lines = c.lines[column]
	} else if r.exit == 0 {
		lines = commands[column].lines
	}
	if n := r.stdout.lines; lines != '*' && n != int(lines-'0') {
		fault("%d lines of output, not %c", n, lines)
	}
	switch {
	case r.stdout.control != "":
		fault("%s on standard output", r.stdout.control)
	case r.stdout.cut:
		fault("the last line of output has no end")
	case r.stdout.notJSON && !strings.HasSuffix(commands[column].args, "-o text"):
		fault("output that is not JSON")
	}
	if left, _ := filepath.Glob(filepath.Join(r.home, "skaroctl", "c*.[tj]*")); r.exit != 0 && len(left) > 0 {
		fault("it leaves %q", left)
	}
	if len(faults) > 0 || !ended {
		fault("%.200q %.400q", r.stdout.start, r.stderr)
	}
	return strings.Join(faults, "; ")
}

// checkErrors returns what is wrong with standard error: every failure is one line, and
// perhaps a hint.
func checkErrors(stderr string, exit int) string {
	if text := control(stderr); text != "" {
		return text + " on standard error"
	}
	failures := 0
	for line := range strings.Lines(stderr) {
		switch {
		case len(line) > maxLine:
			return fmt.Sprintf("a line of %d bytes on standard error", len(line))
		case strings.Contains(line, "; trying again in "), strings.HasSuffix(line, " again\n"): // a notice
		case strings.HasPrefix(line, "skaroctl: "), strings.HasPrefix(line, `{"error":`):
			failures++
		case !strings.HasPrefix(line, "hint: "):
			return "a line on standard error that is neither an error nor a hint"
		}
	}
	if (failures == 0) != (exit == 0) && exit != 0 || failures > 2 {
		return fmt.Sprintf("%d errors", failures)
	}
	return ""
}

// output describes standard output.
type output struct {
	start   string
	lines   int
	cut     bool   // the last line has no end
	control string // the first character that must not reach a terminal, or ""
	notJSON bool   // a line is not JSON
}

// readOutput reads a file piece by piece.
func readOutput(f *os.File) (o output, err error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return o, err
	}
	const most = 1 << 20 // bytes of a line that is looked at as JSON
	var line []byte
	for in := bufio.NewReaderSize(f, 64<<10); ; {
		r, size, err := in.ReadRune()
		if err == io.EOF {
			return o, nil
		} else if err != nil {
			return o, err
		}
		if len(o.start) < 200 {
			o.start += string(r)
		}
		if o.control == "" {
			o.control = forbidden(r, size)
		}
		if o.cut = r != '\n'; o.cut {
			if len(line) < most {
				line = utf8.AppendRune(line, r)
			}
			continue
		}
		o.lines++
		o.notJSON = o.notJSON || len(line) < most && !json.Valid(line)
		line = line[:0]
	}
}

// control is the first character of a text that must not reach a terminal, or "".
func control(text string) string {
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if fault := forbidden(r, size); fault != "" {
			return fault
		}
		text = text[size:]
	}
	return ""
}

// forbidden returns what is wrong with a character of size bytes, or "".
func forbidden(r rune, size int) string {
	switch {
	case r == utf8.RuneError && size == 1:
		return "no UTF-8"
	case r != '\n' && (unicode.Is(unicode.Cc, r) || unicode.In(r, unicode.Zl, unicode.Zp) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069):
		return fmt.Sprintf("%q", r)
	}
	return ""
}

// ownMemory is the most that this process had, in bytes.
func ownMemory() int64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Maxrss << 10
}

var token = newToken()

func newToken() proto.Token {
	token, err := proto.NewToken("pw")
	if err != nil {
		panic(err)
	}
	return token
}

// statSources stats every source file of the program, so that `go test` does not repeat a
// cached result after a change.
func statSources(t *testing.T) {
	for _, root := range []string{"../../cmd", "../../internal", "../../go.mod", "../../go.sum"} {
		err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoPeerLeavesAnythingBehind: after a session with any of the peers, the goroutines and
// files are the same as before.
func TestNoPeerLeavesAnythingBehind(t *testing.T) {
	log.SetOutput(io.Discard) // as skaroctl does
	for _, table := range tables {
		t.Run(table.name, func(t *testing.T) {
			for _, c := range table.cases {
				c.openAndClose(t)
			}
		})
	}
}

// openAndClose opens a session with the peer, which may fail in any way, and closes it. The
// peer itself ends nothing.
func (c peerCase) openAndClose(t *testing.T) {
	s, err := newServer(c.trick)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	e := session.Endpoint{URL: s.url(c.trick), CAFile: authorityFile}
	opened, err := session.Open(ctx, e, func(context.Context) (session.Credentials, error) {
		return session.Credentials{Login: "alice", Token: token}, nil
	}, nil)
	if err == nil {
		_, _ = opened.Contacts(ctx)
		opened.Close()
	}
	cancel()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > goroutines || openFiles(t) > files; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %d goroutines instead of %d, %d files instead of %d", c.name, runtime.NumGoroutine(), goroutines, openFiles(t), files)
		}
	}
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
