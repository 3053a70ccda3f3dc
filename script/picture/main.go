// Picture draws docs/picture.svg: two terminals, a real server between them, and
// what the programs really wrote. Only the times are replaced, so that a new run
// draws the same picture. It needs Debian's dash, script (bsdutils) and jq.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	columns  = 84
	patience = 30 * time.Second
	// prompt is the prompt of each shell.
	prompt = "\x1b[1;32m$\x1b[0m "
)

func main() {
	if err := run("docs/picture.svg"); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func run(name string) (err error) {
	dir, err := os.MkdirTemp("", "picture")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	compile := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+"/", "./cmd/skaroctl", "./cmd/skarod")
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", compile, err, out)
	}
	s, err := serve(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	build, err := s.terminal("build")
	if err != nil {
		return err
	}
	defer build.close()
	ops, err := s.terminal("ops")
	if err != nil {
		return err
	}
	defer ops.close()
	if err := play(s, build, ops); err != nil {
		return err
	}
	return os.WriteFile(name, draw([]pane{{"build, on a server", build.text()}, {"ops, at a desk", ops.text()}}), 0o644)
}

// play is what happens in the picture.
func play(s *server, build, ops *terminal) error {
	for _, step := range []func() error{
		func() error { return ops.enter("skaroctl listen --resume", "\n") },
		func() error { return s.await("skarod_users_online 1") },
		func() error { return build.enter("tail -n 3 build.log | skaroctl send ops", prompt) },
		func() error { return ops.await("internal/session") },
		func() error {
			return build.enter(`skaroctl send ops,carol "v1.4.2 is live"; echo "exit status $?"`, prompt)
		},
		func() error { return ops.await("is live") },
		func() error {
			return s.with("", s.command("carol", "skaroctl", "send", "ops", "Thanks! The dashboard looks good."))
		},
		func() error { return ops.await("dashboard") },
		func() error { return ops.enter("\x03", prompt) },
		func() error { return build.enter(`skaroctl send opps "are you there?"; echo "exit status $?"`, prompt) },
		func() error { return build.enter(`skaroctl send -q ops "while you were out"`, prompt) },
		func() error {
			return ops.enter(`skaroctl listen --resume --count 1 | jq -c '{from, body}'`, prompt)
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// server is a skarod with its accounts, in a folder.
type server struct {
	dir, url, admin string
	cmd             *exec.Cmd
}

// serve starts a server on a free port, and logs every user in.
func serve(dir string) (*server, error) {
	s := &server{dir: dir}
	logins := []string{"build", "carol", "ops"}
	for _, login := range logins {
		if err := s.with(login+"\n", s.command("", "skarod", "user", "add", login, "--password-stdin")); err != nil {
			return nil, err
		}
	}
	s.cmd = s.command("", "skarod", "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(log)
	line, err := lines.ReadString('\n')
	_, addresses, _ := strings.Cut(strings.TrimSpace(line), " url=")
	url, admin, found := strings.Cut(addresses, " admin=")
	if !found {
		return nil, errors.Join(fmt.Errorf("skarod did not start: %q", line), err, s.stop())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	s.url, s.admin = url, admin
	for _, login := range logins {
		if err := s.with(login+"\n", s.command(login, "skaroctl", "login", login, "--server", url, "--store", "file", "--password-stdin")); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	}
	return s, nil
}

// command is a command of one user, with the user's own files.
func (s *server) command(login, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	if program := filepath.Join(s.dir, "bin", name); strings.HasPrefix(name, "skaro") {
		cmd = exec.Command(program, args...)
	}
	cmd.Dir = s.dir
	cmd.Env = []string{
		"PATH=" + filepath.Join(s.dir, "bin") + ":" + os.Getenv("PATH"), "TERM=xterm-256color", "LANG=C.UTF-8", "PS1=" + prompt,
		"XDG_CONFIG_HOME=" + filepath.Join(s.dir, login, "config"), "XDG_STATE_HOME=" + filepath.Join(s.dir, login, "state"),
		"XDG_DATA_HOME=" + filepath.Join(s.dir, "data"), "XDG_CACHE_HOME=" + filepath.Join(s.dir, login, "cache"),
	}
	return cmd
}

// with runs a command that is not in the picture, with an input.
func (s *server) with(input string, cmd *exec.Cmd) error {
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// await waits until the server's metrics have a line.
func (s *server) await(line string) error {
	metrics := "http://" + s.admin + "/metrics"
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r, err := http.Get(metrics)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return err
		}
		if strings.Contains(string(text), line+"\n") {
			return nil
		}
	}
	return fmt.Errorf("the server's metrics never said %q", line)
}

func (s *server) stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// terminal is a shell on a terminal of its own.
type terminal struct {
	cmd    *exec.Cmd
	keys   io.WriteCloser
	output chan []byte
	seen   []byte
	mark   int // where await continues to look
}

func (s *server) terminal(login string) (*terminal, error) {
	const log = "all tests pass\ncmd/skaroctl      1.2s\ninternal/session  2.3s\n"
	if err := os.WriteFile(filepath.Join(s.dir, "build.log"), []byte(log), 0o600); err != nil {
		return nil, err
	}
	t := &terminal{cmd: s.command(login, "script", "--quiet", "--command", fmt.Sprintf("stty cols %d rows 40; exec dash -i", columns), "/dev/null"), output: make(chan []byte)}
	var err error
	if t.keys, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(t.output)
		for {
			b := make([]byte, 4096)
			n, err := out.Read(b)
			if n > 0 {
				t.output <- b[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	return t, t.await(prompt)
}

// enter types a command, or a key, and waits for what must come then.
func (t *terminal) enter(text, then string) error {
	if !strings.HasPrefix(text, "\x03") {
		text += "\n"
	}
	t.mark = len(t.seen)
	if _, err := io.WriteString(t.keys, text); err != nil {
		return err
	}
	return t.await(then)
}

// await waits until the terminal has shown a text since the last command.
func (t *terminal) await(text string) error {
	deadline := time.After(patience)
	for !bytes.Contains(t.seen[t.mark:], []byte(text)) {
		select {
		case b, ok := <-t.output:
			if !ok {
				return fmt.Errorf("the terminal ended before %q: %q", text, t.seen)
			}
			t.seen = append(t.seen, b...)
		case <-deadline:
			return fmt.Errorf("the terminal never showed %q: %q", text, t.seen)
		}
	}
	return nil
}

var (
	clock  = regexp.MustCompile(`\d\d:\d\d`)
	port   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	escape = regexp.MustCompile(`\x1b\[[\d;]*[@-~]`)
)

// text is what the terminal has shown, without the last prompt, and with the same time of
// day and the same port everywhere.
func (t *terminal) text() string {
	text := strings.ReplaceAll(string(t.seen), "\r\n", "\n")
	text = strings.ReplaceAll(text, "^C"+prompt, "^C\n"+prompt) // dash writes no new line there
	text = port.ReplaceAllString(strings.TrimSuffix(text, prompt), "127.0.0.1:8765")
	return wrap(clock.ReplaceAllString(text, "09:41"))
}

// wrap breaks lines where the terminal does. An escape sequence takes no column.
func wrap(text string) string {
	var b strings.Builder
	column := 0
	for text != "" {
		if at := escape.FindStringIndex(text); at != nil && at[0] == 0 {
			b.WriteString(text[:at[1]])
			text = text[at[1]:]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch {
		case r == '\n':
			column = 0
		case column == columns:
			b.WriteByte('\n')
			column = 1
		default:
			column++
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (t *terminal) close() {
	t.keys.Close()
	go func() {
		for range t.output { // so that the reader ends
		}
	}()
	_ = t.cmd.Wait()
}
