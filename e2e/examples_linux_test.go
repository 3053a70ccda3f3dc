package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var helpExamples = regexp.MustCompile(`(?ms)^Examples:\n(.*?)(?:\n\n|\z)`)

// exampleShims replace the programs while examples run: a program that listens or serves
// ends by itself or prints its address, and no example leaves this machine.
var exampleShims = map[string]string{
	"skaroctl": `#!/bin/sh
export HTTPS_PROXY=$PROXY SSL_CERT_FILE=$WORK/ca.pem
if [ "$1" = listen ]; then
	case " $* " in *" --count "*) ;; *) set -- "$@" --count 1 ;; esac
	set -- "$@" --verbose
fi
if [ "$1" = register ]; then
	export SKAROCTL_SERVER=wss://chat.example.org/skaro_client/
	set -- "$@" --profile carol --store file
fi
exec PROGRAM "$@"
`,
	"skarod": `#!/bin/sh
if [ "$1" = serve ]; then
	echo $$ >"$TMPDIR/serve.pid"
	set -- "$@" --listen 127.0.0.1:0
fi
exec PROGRAM "$@"
`,
}

// examples PROGRAM runs every example in the help of a program and of its commands, as it stands,
// in a shell on a terminal. Each example starts with the script's current files and, if the script
// has a server, a server of its own; each must succeed. The answer to a password prompt is pw. A
// listener gets two messages from profile bob, one of them in the conference dev, both with the
// fields that the examples match. A chat ends at once. A command with fewer than two examples fails
// the script.
func cmdExamples(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1 && exampleShims[args[0]] != "", "examples PROGRAM")
	serving := processesOf(ts).running["skarod"] != nil
	if serving {
		stopServer(ts)
	}
	bin := ts.MkAbs("bin")
	ts.Check(os.Mkdir(bin, 0o700))
	for name, shim := range exampleShims {
		shim = strings.ReplaceAll(shim, "PROGRAM", lookPath(ts, name))
		ts.Check(os.WriteFile(filepath.Join(bin, name), []byte(shim), 0o700))
	}
	path := ts.Getenv("PATH")
	saved, err := os.MkdirTemp("", "skaro-examples-")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(saved) })
	ts.Check(ts.Exec("sh", "-c", `cp -a . "$1"`, "sh", saved))
	for _, words := range commandsOf(ts, args[0], nil) {
		lines := examplesOf(ts, args[0], words)
		if len(lines) < 2 {
			ts.Fatalf("%s %s has fewer than two examples", args[0], strings.Join(words, " "))
		}
		for _, line := range lines {
			ts.Check(ts.Exec("sh", "-c", `rm -rf ./* && cp -a "$1/." .`, "sh", saved))
			if serving {
				cmdSkarod(ts, false, []string{"--tls-cert", "cert.pem", "--tls-key", "key.pem", "--registration", "open"})
				processesOf(ts).proxy.serve(ts.Getenv("ADDRESS"))
			}
			ts.Setenv("PATH", bin+string(os.PathListSeparator)+path)
			runExample(ts, line)
			ts.Setenv("PATH", path)
			if serving {
				stopServer(ts)
			}
		}
	}
}

func stopServer(ts *testscript.TestScript) {
	cmdSignal(ts, false, []string{"skarod", "TERM"})
	cmdCollect(ts, false, []string{"skarod"})
}

// examplesOf returns the examples in the help of a command. A pipeline may take two lines.
func examplesOf(ts *testscript.TestScript, program string, words []string) (examples []string) {
	if m := helpExamples.FindStringSubmatch(helpOf(ts, program, words)); m != nil {
		pipelines := regexp.MustCompile(`\|\s*\n\s*`).ReplaceAllString(m[1], "| ")
		for example := range strings.Lines(pipelines) {
			examples = append(examples, strings.TrimSpace(example))
		}
	}
	return examples
}

// runExample runs one line on a terminal of its own.
func runExample(ts *testscript.TestScript, line string) {
	keyboard, terminal := openPTY(ts.Check)
	defer terminal.Close()
	defer keyboard.Close()
	cmd := command(ts, "bash", "-o", "pipefail", "-c", line)
	cmd.Stdin = terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	stdout, stderr, screen := newOutput(), newOutput(), newOutput()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := keyboard.Read(b)
			if err != nil {
				return
			}
			_, _ = screen.Write(b[:n])
		}
	}()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	late := time.After(deadline)
	asked, heard, served, left := 0, false, false, false
	for {
		_, grown := stderr.read()
		text, drawn := screen.read()
		if n := strings.Count(text, "Password of ") + strings.Count(text, "Repeat the password: "); n > asked {
			asked = n
			_, err := keyboard.WriteString("pw\n")
			ts.Check(err)
		}
		if !heard && strings.Contains(stderr.String(), "listening as ") {
			heard = true
			ts.Check(ts.Exec("skaroctl", "send", "--profile", "bob", "-f", "urgency=critical", "-F", `tags=["web1"]`, "alice,dev", "hello"))
		}
		if !served && strings.Contains(stderr.String(), " msg=listening ") {
			served = true
			pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(filepath.Join(ts.Getenv("TMPDIR"), "serve.pid"))))
			ts.Check(err)
			ts.Check(syscall.Kill(pid, syscall.SIGTERM))
		}
		if !left && strings.Contains(stderr.String(), "Ctrl-D leaves") {
			left = true
			_, err := keyboard.WriteString("\x04")
			ts.Check(err)
		}
		select {
		case err := <-done:
			ts.Logf("%s\n%s%s", line, stdout, stderr)
			if err != nil {
				ts.Fatalf("%v: %s\n[stdout]\n%s\n[stderr]\n%s", err, line, stdout, stderr)
			}
			return
		case <-grown:
		case <-drawn:
		case <-late:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			ts.Fatalf("it does not end: %s\n[stdout]\n%s\n[stderr]\n%s\n[terminal]\n%s", line, stdout, stderr, screen)
		}
	}
}
