package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// deadline ends a test that waits for an event that never comes. No event takes nearly
// as long.
const deadline = 10 * time.Minute

// commands are the scripts' commands in addition to testscript's own. All of them wait
// for events: no script sleeps.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"skarod":    cmdSkarod,
	"plain":     cmdPlain,
	"adduser":   cmdAddUser,
	"login":     cmdLogin,
	"start":     cmdStart,
	"listen":    cmdListen,
	"caughtup":  cmdCaughtUp,
	"longer":    cmdLonger,
	"expect":    cmdExpect,
	"signal":    cmdSignal,
	"insist":    cmdInsist,
	"collect":   cmdCollect,
	"exitcode":  cmdExitCode,
	"cmplines":  cmdCmpLines,
	"mode":      cmdMode,
	"no-secret": cmdNoSecret,
	"keyring":   cmdKeyring,
	"items":     cmdItems,

	"certificate": cmdCertificate,
	"proxy":       cmdProxy,
	"proxied":     cmdProxied,
	"silent":      cmdSilent,
	"instead":     cmdInstead,
	"within":      cmdWithin,
	"bus":         cmdBus,

	"pane":     cmdPane,
	"resize":   cmdResize,
	"close":    cmdClose,
	"type":     cmdType,
	"paste":    cmdPaste,
	"screen":   cmdScreen,
	"scrolled": cmdScrolled,
	"cursor":   cmdCursor,

	"prompted": cmdPrompted,
	"tab":      cmdTab,
	"examples": cmdExamples,
	"hints":    cmdHints,

	"behind":  cmdBehind,
	"blocks":  cmdBlocks,
	"crontab": cmdCrontab,
	"units":   cmdUnits,
	"service": cmdService,
	"icinga":  cmdIcinga,
	"yaml":    cmdYAML,
}

// output is the text that a process has written so far to one of its streams.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed when text grows
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	close(o.grown)
	o.grown = make(chan struct{})
	return len(b), nil
}

func (o *output) read() (text string, grown <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.grown
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}

// process is a program in the background.
type process struct {
	name           string
	cmd            *exec.Cmd
	stdout, stderr *output
	done           chan struct{} // closed when it has ended and all its output is read
	shared         *shared       // its streams, if the command nonblock started it
}

// shared are the standard streams of a program, which this process has too.
type shared struct {
	input      *os.File // feeds standard input
	out, write *os.File // standard output: the ends to read from and to write to
}

// processes are those of one script.
type processes struct {
	t       *testing.T
	running map[string]*process
	proxy   *proxy       // the last one that the script started
	instead *http.Server // the last one that the command instead started
}

type processesKey struct{}

func processesOf(ts *testscript.TestScript) *processes {
	return ts.Value(processesKey{}).(*processes)
}

// environ is the script's environment.
func environ(ts *testscript.TestScript) []string {
	file := filepath.Join(ts.Getenv("WORK"), ".tmp", "environ")
	ts.Check(ts.Exec("sh", "-c", `env -0 >"$WORK/.tmp/environ"`))
	text, err := os.ReadFile(file)
	ts.Check(err)
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// command is a program with the environment and the folder of the script.
func command(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	return setUp(ts, exec.Command(name, args...))
}

// brief is command for a program that must end by itself: it is killed after deadline.
func brief(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	ts.Defer(cancel)
	return setUp(ts, exec.CommandContext(ctx, name, args...))
}

func setUp(ts *testscript.TestScript, cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = environ(ts)
	cmd.Dir = ts.MkAbs(".")
	return cmd
}

// spawn starts a program in the background and sees that it ends with the script.
func spawn(ts *testscript.TestScript, name string, cmd *exec.Cmd) *process {
	ps := processesOf(ts)
	if ps.running[name] != nil {
		ts.Fatalf("%s is running already", name)
	}
	p := &process{name: name, cmd: cmd, stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	if cmd.Stdout == nil { // nonblock has its own
		cmd.Stdout = p.stdout
	}
	cmd.Stderr = p.stderr
	var stdin *os.File
	if cmd.Stdin == nil {
		// Open while the process runs: some peers end with it.
		r, w, err := os.Pipe()
		ts.Check(err)
		defer r.Close()
		cmd.Stdin, stdin = r, w
	}
	ts.Check(cmd.Start())
	go func() {
		_ = cmd.Wait() // its result is in cmd.ProcessState
		close(p.done)
	}()
	ps.running[name] = p
	ts.Defer(func() {
		p.end(ps.t, ps.running[name] != p)
		if stdin != nil {
			stdin.Close()
		}
	})
	return p
}

// end ends a process that the script did not collect. A process that has ended by
// itself was not expected to.
func (p *process) end(t *testing.T, collected bool) {
	select {
	case <-p.done:
		if !collected {
			t.Errorf("%s ended by itself (%v); its standard error:\n%s", p.name, p.cmd.ProcessState, p.stderr)
		}
	default:
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has just ended
		select {
		case <-p.done:
		case <-time.After(deadline):
			_ = p.cmd.Process.Kill()
			t.Errorf("%s did not end within %v of SIGTERM; its standard error:\n%s", p.name, deadline, p.stderr)
		}
	}
	if strings.Contains(p.stderr.String(), "WARNING: DATA RACE") {
		t.Errorf("%s has a data race:\n%s", p.name, p.stderr)
	}
}

// await waits until what a process has written to one stream matches.
func (p *process) await(ts *testscript.TestScript, o *output, pattern string) []string {
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	late := time.After(deadline)
	for {
		text, grown := o.read()
		if match := re.FindStringSubmatch(text); match != nil {
			return match
		}
		select {
		case <-grown:
		case <-p.done:
			if match := re.FindStringSubmatch(o.String()); match != nil {
				return match
			}
			ts.Fatalf("%s ended (%v) without %q\n[stdout]\n%s\n[stderr]\n%s", p.name, p.cmd.ProcessState, pattern, p.stdout, p.stderr)
		case <-late:
			ts.Fatalf("%s: no %q within %v\n[stdout]\n%s\n[stderr]\n%s", p.name, pattern, deadline, p.stdout, p.stderr)
		}
	}
}

func find(ts *testscript.TestScript, name string) *process {
	p := processesOf(ts).running[name]
	if p == nil {
		ts.Fatalf("nothing named %s is running", name)
	}
	return p
}

func want(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

// dataDir is the data folder of the script's skarod.
func dataDir(ts *testscript.TestScript) string {
	return filepath.Join(ts.Getenv("WORK"), "skarod")
}

var serverURL = `(wss?://([^/\s"]+)/skaro_client/)`

// patientServer gives clients on a busy machine the time that they need.
var patientServer = []string{"--limit", "http-time=10m", "--limit", "write-time=10m", "--limit", "ping-interval=10m", "--limit", "login-time=10m", "--limit", "frame-time=10m"}

const (
	firstPort = 10_000 // of the ports for servers that scripts stop
	lastPort  = 30_000
)

// lastUsed is the last of these ports that was given out. Runs of these tests that go on at the
// same time begin elsewhere.
var lastUsed atomic.Int64

func init() { lastUsed.Store(rand.Int64N(lastPort - firstPort)) }

// freeAddress returns an address for a server. While a script has stopped the server, nothing else
// gets its port: it is below those that systems give out (RFC 6335 section 6, and Linux).
func freeAddress() string {
	for {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+lastUsed.Add(1)%(lastPort-firstPort))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
}

// skarod [FLAG…] starts skarod on a free port, and again on the same data after
// `collect skarod`. It sets $SERVER and $ADDRESS (host and port).
func cmdSkarod(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, true, "skarod [FLAG...]")
	all := slices.Concat([]string{"serve", "--listen", freeAddress(), "--data", dataDir(ts)}, patientServer, args)
	p := spawn(ts, "skarod", command(ts, "skarod", all...))
	match := p.await(ts, p.stderr, serverURL)
	ts.Setenv("SERVER", match[1])
	ts.Setenv("ADDRESS", match[2])
}

// plain [FLAG…] starts the plain Skaro server in Python. It sets $SERVER.
func cmdPlain(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, true, "plain [FLAG...]")
	name := "plain"
	for n := 2; processesOf(ts).running[name] != nil; n++ {
		name = "plain" + strconv.Itoa(n)
	}
	all := append([]string{filepath.Join(ts.Getenv("PEERS"), "plain_server.py"), freeAddress()}, args...)
	p := spawn(ts, name, command(ts, ts.Getenv("PYTHON"), all...))
	ts.Setenv("SERVER", p.await(ts, p.stdout, serverURL)[1])
}

// runWith runs a program that must succeed, with a text as its standard input.
// Its output is the script's last.
func runWith(ts *testscript.TestScript, stdin string, name string, args ...string) {
	cmd := brief(ts, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if err := cmd.Run(); err != nil {
		ts.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, cmd.Stderr)
	}
}

// adduser LOGIN PASSWORD makes an account at the script's skarod.
func cmdAddUser(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "adduser LOGIN PASSWORD")
	runWith(ts, args[1]+"\n", "skarod", "user", "add", "--data", dataDir(ts), "--password-stdin", args[0])
}

// login PROFILE LOGIN PASSWORD [FLAG…] logs in at $SERVER, with the file store
// unless a flag says otherwise. The profile may be that of another account.
func cmdLogin(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 3, "login PROFILE LOGIN PASSWORD [FLAG...]")
	all := []string{"login", args[1], "--profile", args[0], "--server", ts.Getenv("SERVER"), "--password-stdin", "--store", "file", "--replace"}
	runWith(ts, args[2]+"\n", "skaroctl", append(all, args[3:]...)...)
}

// start NAME PATTERN PROGRAM [ARG…] starts a program in the background and waits
// until its standard error or, if the pattern starts with "stdout:", its standard
// output matches.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 3, "start NAME PATTERN PROGRAM [ARG...]")
	p := spawn(ts, args[0], command(ts, args[2], args[3:]...))
	if pattern, ok := strings.CutPrefix(args[1], "stdout:"); ok {
		p.await(ts, p.stdout, pattern)
	} else {
		p.await(ts, p.stderr, args[1])
	}
}

// listen NAME [ARG…] starts `skaroctl listen -v ARG…` in the background and
// waits until it is live.
func cmdListen(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 1, "listen NAME [ARG...]")
	cmdStart(ts, false, append([]string{args[0], "listening", "skaroctl", "listen", "-v"}, args[1:]...))
}

// caughtup [ARG…] runs `skaroctl listen -v ARG…` until it has caught up.
func cmdCaughtUp(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, true, "caughtup [ARG...]")
	const name = "a listener that catches up"
	cmdListen(ts, false, append([]string{name}, args...))
	cmdSignal(ts, false, []string{name, "TERM"})
	cmdCollect(ts, false, []string{name, "143"})
}

// longer CODE PATTERN PROGRAM [ARG…] runs a program with a time limit, {} in its
// arguments. If the limit ends it before its standard error or, if the pattern starts with
// "stdout:", its standard output matches, the run proves nothing, and longer tries again
// with twice the time. It asserts the exit status of the run that matched.
func cmdLonger(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 3, "longer CODE PATTERN PROGRAM [ARG...]")
	pattern, inStdout := strings.CutPrefix(args[1], "stdout:")
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	for limit := 200 * time.Millisecond; limit < deadline; limit *= 2 {
		words := slices.Clone(args[3:])
		for i, word := range words {
			words[i] = strings.ReplaceAll(word, "{}", limit.String())
		}
		p := spawn(ts, "a run of "+limit.String(), brief(ts, args[2], words...))
		<-p.done
		if inStdout && re.MatchString(p.stdout.String()) || !inStdout && re.MatchString(p.stderr.String()) {
			cmdCollect(ts, false, []string{p.name, args[0]})
			return
		}
		delete(processesOf(ts).running, p.name)
	}
	ts.Fatalf("no run of less than %v matched %q", deadline, args[1])
}

// expect NAME PATTERN waits until the standard output of a program in the background
// or, if the pattern starts with "stderr:", its standard error matches.
func cmdExpect(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "expect NAME PATTERN")
	p := find(ts, args[0])
	if pattern, ok := strings.CutPrefix(args[1], "stderr:"); ok {
		p.await(ts, p.stderr, pattern)
	} else {
		p.await(ts, p.stdout, args[1])
	}
}

var signals = map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt, "HUP": syscall.SIGHUP, "QUIT": syscall.SIGQUIT, "KILL": os.Kill}

// signal NAME TERM|INT|HUP|QUIT|KILL|STOP|CONT sends a signal; the last two on Unix only.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2 && signals[args[1]] != nil, "signal NAME TERM|INT|HUP|QUIT|KILL|STOP|CONT")
	ts.Check(find(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

// insist NAME TERM|INT|HUP|QUIT sends a signal again and again, until the program ends.
func cmdInsist(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2 && signals[args[1]] != nil, "insist NAME TERM|INT|HUP|QUIT")
	p := find(ts, args[0])
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.After(deadline)
	for {
		_ = p.cmd.Process.Signal(signals[args[1]]) // fails if it has just ended
		select {
		case <-again.C:
		case <-p.done:
			return
		case <-late:
			ts.Fatalf("%s does not end", p.name)
		}
	}
}

// collect NAME [CODE] waits for the end of a program in the background, asserts its
// exit status (0, a number, or a signal that ended it), and makes its output the
// script's last.
func cmdCollect(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1 || len(args) == 2, "collect NAME [CODE]")
	p := find(ts, args[0])
	code := "0"
	if len(args) == 2 {
		code = args[1]
	}
	select {
	case <-p.done:
	case <-time.After(deadline):
		ts.Fatalf("%s did not end within %v\n[stdout]\n%s\n[stderr]\n%s", p.name, deadline, p.stdout, p.stderr)
	}
	delete(processesOf(ts).running, p.name)
	fmt.Fprint(ts.Stdout(), p.stdout)
	fmt.Fprint(ts.Stderr(), p.stderr)
	got := strconv.Itoa(p.cmd.ProcessState.ExitCode())
	if got == "-1" {
		got = p.cmd.ProcessState.String()
	}
	if got != code {
		ts.Fatalf("%s ended with %s, not with %s\n[stdout]\n%s\n[stderr]\n%s", p.name, got, code, p.stdout, p.stderr)
	}
}

// exitcode CODE PROGRAM [ARG…] runs a program and asserts its exit status.
func cmdExitCode(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 2, "exitcode CODE PROGRAM [ARG...]")
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
	if code, err := strconv.Atoi(args[0]); err != nil || got != code {
		ts.Fatalf("exit status %d, not %s", got, args[0])
	}
}

// The parts of a line that differ from run to run.
var varying = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`"date":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`), `"date":"DATE"`},
	{regexp.MustCompile(`"id":[1-9]\d*`), `"id":ID`},
	{regexp.MustCompile(`ws://127\.0\.0\.1:\d+`), `ws://ADDRESS`},
}

// cmplines FILE WANT compares two files line by line, after dates, ids and
// loopback addresses were replaced by DATE, ID and ADDRESS. FILE may be stdout.
func cmdCmpLines(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "cmplines FILE WANT")
	got := ts.ReadFile(args[0])
	for _, v := range varying {
		got = v.re.ReplaceAllString(got, v.to)
	}
	if wanted := ts.ReadFile(args[1]); got != wanted {
		ts.Fatalf("%s is\n%s\nand not\n%s", args[0], got, wanted)
	}
}

// mode OCTAL FILE asserts a file's permissions.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2, "mode OCTAL FILE")
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%#o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has the mode %s, not %s", args[1], got, args[0])
	}
}

// secret matches what no output may contain: a challenge answer, a token, and the values
// of the credential file.
var (
	secret      = regexp.MustCompile(`[0-9a-f]{128}|skaro-token-1:[\w-]+`)
	credentials = regexp.MustCompile(`"(?:sid|token)":\s*"([^"]+)"`)
)

// no-secret FILE… [-- TEXT…] asserts that the files (stdout and stderr among them)
// hold no token, no SID of the credential file, no challenge answer and no TEXT.
func cmdNoSecret(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 1, "no-secret FILE... [-- TEXT...]")
	files, texts := args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		files, texts = args[:i], args[i+1:]
	}
	stored := credentials.FindAllStringSubmatch(ts.ReadFile(filepath.Join(ts.Getenv("XDG_STATE_HOME"), "skaroctl", "credentials.json")), -1)
	if len(stored) == 0 {
		ts.Fatalf("the credential file holds no secret: this test would see nothing")
	}
	for _, s := range stored {
		texts = append(texts, s[1])
	}
	for _, file := range files {
		content := ts.ReadFile(file)
		if found := secret.FindString(content); found != "" {
			ts.Fatalf("%s holds the secret %s", file, found)
		}
		for _, text := range texts {
			if strings.Contains(content, text) {
				ts.Fatalf("%s holds the secret %s", file, text)
			}
		}
	}
}
