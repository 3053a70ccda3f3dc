package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// longWait bounds every wait of these tests; none is expected to last.
const longWait = 10 * time.Minute

// built builds the program, as it is when it is installed.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "skarod-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "skarod")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	out, err := exec.Command("go", "build", "-ldflags", "-X main.version=1.2.3", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	completionWait = "10m" // a busy machine is no slow database
	code := m.Run()
	if path, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func program(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// skarod runs a command inside this process.
func skarod(in string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(args, terminal.Streams{In: strings.NewReader(in), Out: &o, Err: &e}, func(string) string { return "" })
	return code, o.String(), e.String()
}

func addUsers(t testing.TB, data string, logins ...string) {
	t.Helper()
	for _, login := range logins {
		if code, _, errs := skarod("secret of "+login+"\n", "user", "add", login, "--password-stdin", "--data", data); code != 0 {
			t.Fatalf("add %s: %d %s", login, code, errs)
		}
	}
}

// commandCase is a row of a table for runCommands: what a command reads and says.
type commandCase struct {
	in, args string
	status   int
	out      string // all of standard output
	errs     string // a part of standard error; all of it if the status is 0
}

// runCommands runs commands one after the other on the same data.
func runCommands(t *testing.T, data string, cases ...commandCase) {
	t.Helper()
	for _, c := range cases {
		args := append([]string{"--data", data}, strings.Split(c.args, " ")...)
		status, out, errs := skarod(c.in, args...)
		if status != c.status || out != c.out || !strings.Contains(errs, c.errs) || status == 0 && errs != c.errs || status != 0 && !strings.HasPrefix(errs, "skarod: ") {
			t.Errorf("%s: exit %d, output %q, errors %q", c.args, status, out, errs)
		}
		if strings.Contains(errs, "secret") {
			t.Errorf("%s shows the password", c.args)
		}
	}
}

// parse returns the options that the arguments of a command give, and the exit status of
// arguments that are wrong. The command itself does not run.
func parse[O any](t *testing.T, newCmd func(*Factory, runFunc[O]) *cobra.Command, args ...string) (got O, status int) {
	t.Helper()
	streams := terminal.Streams{Out: io.Discard, Err: io.Discard}
	status = cli.MainContext(t.Context(), args, streams, func(string) string { return "" }, func(p *cli.Process) cli.Program {
		root := &cobra.Command{Use: "skarod", SilenceErrors: true, SilenceUsage: true}
		c := newCmd(newFactory(p), func(_ context.Context, _ *Factory, o *O) error { got = *o; return nil })
		root.AddCommand(c)
		cli.Finish(root)
		root.SetHelpFunc(func(*cobra.Command, []string) {})
		return cli.Program{Root: root, Table: exitTable}
	})
	return got, status
}

// parsed is a row of a table for checkParsing: what the arguments of a command give.
type parsed[O any] struct {
	args string
	want O
	ok   bool // or else it is wrong usage
}

func checkParsing[O any](t *testing.T, newCmd func(*Factory, runFunc[O]) *cobra.Command, rows ...parsed[O]) {
	t.Helper()
	for _, row := range rows {
		got, status := parse(t, newCmd, strings.Split(row.args, " ")...)
		if !reflect.DeepEqual(got, row.want) || (status == 0) != row.ok || !row.ok && status != 2 {
			t.Errorf("%s: %+v, status %d", row.args, got, status)
		}
	}
}

// process is a running `skarod serve`.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	addr  string        // HOST:PORT, or unix:PATH
	admin string        // the same of --admin, or ""
	done  chan struct{} // its standard error has ended
	log   logText       // what it wrote after its first line
}

// logText is what a process has written so far.
type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// logged waits until the log has a text.
func (p *process) logged(text string) {
	p.t.Helper()
	for end := time.Now().Add(longWait); !strings.Contains(p.log.String(), text); time.Sleep(time.Millisecond) {
		select {
		case <-p.done:
			p.t.Fatalf("it ended, and did not log %q:\n%s", text, p.log.String())
		default:
		}
		if time.Now().After(end) {
			p.t.Fatalf("no %q in the log:\n%s", text, p.log.String())
		}
	}
}

// startServer starts the program and waits until it is ready.
func startServer(t testing.TB, data string, args ...string) *process {
	t.Helper()
	return startCommand(t, program(t), append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, args...)...)
}

// startCommand is startServer with a command that becomes the program.
func startCommand(t testing.TB, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(name, args...), done: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	_, addr, ok := strings.Cut(first, " msg=listening ")
	_, addr, _ = strings.Cut(addr, " url=")
	addr, p.admin, _ = strings.Cut(strings.TrimSpace(addr), " admin=")
	if !ok {
		rest, _ := io.ReadAll(lines)
		t.Fatalf("it says %q %s, %v", first, rest, err)
	}
	p.addr = strings.TrimSuffix(strings.TrimPrefix(addr, "ws://"), "/skaro_client/")
	go func() {
		defer close(p.done)
		_, _ = io.Copy(&p.log, lines)
	}()
	return p
}

// wait returns the exit status of the process, -1 after a kill.
func (p *process) wait() int {
	p.t.Helper()
	<-p.done
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// client is a bare Skaro client that is logged in.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func withWait() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), longWait)
}

func (p *process) login(login string) *client {
	p.t.Helper()
	ctx, cancel := withWait()
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://"+p.addr+"/skaro_client/", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(proto.MaxFrame)
	c := &client{p.t, ws}
	greeting, err := c.read()
	if err != nil {
		p.t.Fatal(err)
	}
	r := c.request(1, proto.TypeAuthorize, map[string]any{"login": login, "password": newToken("secret of " + login).Answer(greeting.Text("token"))})
	if !r.OK() {
		p.t.Fatalf("login of %s: %s", login, r.Status)
	}
	return c
}

func (c *client) read() (proto.Frame, error) {
	ctx, cancel := withWait()
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return proto.Frame{}, err
	}
	return proto.Decode(b)
}

func (c *client) write(id int64, name string, fields map[string]any) error {
	b, err := proto.EncodeRequest(name, id, fields)
	if err != nil {
		return err
	}
	ctx, cancel := withWait()
	defer cancel()
	return c.ws.Write(ctx, websocket.MessageBinary, b)
}

// request sends a request and waits for its reply. It ignores pushes.
func (c *client) request(id int64, name string, fields map[string]any) proto.Reply {
	c.t.Helper()
	if err := c.write(id, name, fields); err != nil {
		c.t.Fatal(err)
	}
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		if r, err := proto.ParseReply(f); err == nil && r.ID == id {
			return r
		}
	}
}

// newToken makes the token of a password.
func newToken(password string) proto.Token {
	token, err := proto.NewToken(password)
	if err != nil {
		panic(err)
	}
	return token
}
