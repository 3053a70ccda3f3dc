package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	password = "a password of the benchmark"
	text     = "disk /dev/sda1 on host-17 is 91% full, please have a look"
	// patience bounds each wait, on a machine of any speed.
	patience = 20 * time.Second
)

// lab is where the measurement takes place: a folder that is removed at the end,
// and the servers that run meanwhile. Nothing of the user's is read or written.
type lab struct {
	dir                     string
	skaroctl, skarod, floor string
	python                  string
	stderr                  *os.File  // what the measured programs say on standard error
	server                  *exec.Cmd // the skarod that was started last
	closers                 []func()
}

// newLab copies the programs, as an installation does. The page cache holds a file that
// the linker has just written in smaller pieces, which costs a millisecond per start; the
// programs it is compared with were installed.
func newLab(bin, python string) (l *lab, err error) {
	l = &lab{}
	if l.python, err = filepath.Abs(python); err != nil {
		return nil, err
	}
	if l.dir, err = os.MkdirTemp("", "skaro-bench-"); err != nil {
		return nil, err
	}
	dir := l.dir // a return without a lab clears l
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	for _, p := range []struct {
		path *string
		name string
	}{{&l.skaroctl, "skaroctl"}, {&l.skarod, "skarod"}, {&l.floor, "floor"}} {
		program, err := os.ReadFile(filepath.Join(bin, p.name))
		if err != nil {
			return nil, fmt.Errorf("%w; run it with `make bench`", err)
		}
		*p.path = filepath.Join(l.dir, p.name)
		if err := os.WriteFile(*p.path, program, 0o700); err != nil {
			return nil, err
		}
	}
	l.stderr, err = os.Create(filepath.Join(l.dir, "stderr"))
	return l, err
}

// close ends the servers, the last one first, and removes the folder.
func (l *lab) close() {
	for i := len(l.closers) - 1; i >= 0; i-- {
		l.closers[i]()
	}
	l.stderr.Close()
	os.RemoveAll(l.dir)
}

// command is a program as it is measured: with an environment of its own, its
// output thrown away, its standard error in a file, so that nothing is copied
// through this process.
func (l *lab) command(ctx context.Context, env []string, argv ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "LANG=C.UTF-8"}, env...)
	c.Dir = l.dir
	c.Stderr = l.stderr
	// An interrupt, so that it can remove what it has made.
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = patience
	return c
}

// failed adds a program's standard error to its error.
func (l *lab) failed(c *exec.Cmd, err error) error {
	said, _ := os.ReadFile(l.stderr.Name())
	_, last, _ := strings.Cut(string(said[max(0, len(said)-500):]), "\n")
	if len(said) <= 500 {
		last = string(said)
	}
	return fmt.Errorf("%s: %w: %s", filepath.Base(c.Path), err, strings.TrimSpace(last))
}

// timed runs a program and returns how long it took from its start to its end, in
// milliseconds.
func (l *lab) timed(c *exec.Cmd) (float64, error) {
	start := time.Now()
	if err := c.Run(); err != nil {
		return 0, l.failed(c, err)
	}
	return milliseconds(time.Since(start)), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// background starts a server that runs until the lab closes.
func (l *lab) background(c *exec.Cmd) error {
	if err := c.Start(); err != nil {
		return err
	}
	l.closers = append(l.closers, func() { end(c) })
	return nil
}

// end ends a program that this one started.
func end(c *exec.Cmd) {
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait()
}

// serve starts a skarod with the accounts alice and bob, and returns its URL.
func (l *lab) serve(ctx context.Context, name string, flags ...string) (url string, err error) {
	data := filepath.Join(l.dir, name)
	for _, login := range []string{"alice", "bob"} {
		c := l.command(ctx, nil, l.skarod, "user", "add", login, "--password-stdin", "--data", data)
		c.Stdin = strings.NewReader(password)
		if _, err := l.timed(c); err != nil {
			return "", err
		}
	}
	return l.listening(ctx, name, flags...)
}

// listening starts a skarod with the data that is there.
func (l *lab) listening(ctx context.Context, name string, flags ...string) (url string, err error) {
	data := filepath.Join(l.dir, name)
	c := l.command(ctx, nil, append([]string{l.skarod, "serve", "--listen", "127.0.0.1:0", "--data", data}, flags...)...)
	c.Stderr = nil
	l.server = c
	said, err := c.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := l.background(c); err != nil {
		return "", err
	}
	r := bufio.NewReader(said)
	var first string
	for !strings.Contains(first, " msg=listening ") {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("skarod did not start: %s", first)
		}
		first = line
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // ends with skarod
	_, url, _ = strings.Cut(strings.TrimSpace(first), " url=")
	return url, nil
}

// logIn logs alice in, with a config and a store of their own, and returns the
// environment for commands on this account.
func (l *lab) logIn(ctx context.Context, name, url, store string, env []string, flags ...string) ([]string, error) {
	home := filepath.Join(l.dir, name)
	env = append([]string{"XDG_CONFIG_HOME=" + home, "XDG_STATE_HOME=" + home}, env...)
	c := l.command(ctx, env, append([]string{l.skaroctl, "login", "alice", "--server", url, "--store", store, "--password-stdin"}, flags...)...)
	c.Stdin = strings.NewReader(password)
	_, err := l.timed(c)
	return env, err
}

// mosquitto starts the MQTT broker with persistence on, and returns its port. ok is
// false if it is not installed.
func (l *lab) mosquitto(ctx context.Context) (port string, ok bool, err error) {
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // Debian's place, which a user's PATH may lack
	}
	if _, err := os.Stat(path); err != nil {
		return "", false, nil
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", true, err
	}
	_, port, _ = net.SplitHostPort(free.Addr().String())
	free.Close()
	data := filepath.Join(l.dir, "mosquitto")
	if err := os.Mkdir(data, 0o700); err != nil {
		return "", true, err
	}
	config := filepath.Join(l.dir, "mosquitto.conf")
	// As root it would change to its own user, which can't write to our folder.
	if err := os.WriteFile(config, fmt.Appendf(nil,
		"listener %s 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location %s/\nlog_type none\n", port, data), 0o600); err != nil {
		return "", true, err
	}
	if err := l.background(l.command(ctx, nil, path, "-c", config)); err != nil {
		return "", true, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
			return port, true, nil
		}
		if time.Now().After(deadline) {
			return "", true, fmt.Errorf("mosquitto did not start: %w", err)
		}
	}
}

// keyring starts a session bus with a real Secret Service on it, and returns what
// the environment needs to reach it. ok is false if it is not installed.
func (l *lab) keyring(ctx context.Context) (env []string, ok bool, err error) {
	for _, name := range []string{"dbus-run-session", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, false, nil
		}
	}
	home := filepath.Join(l.dir, "keyring-daemon")
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, true, err
	}
	// It prints the daemon's answer, which comes when it is ready, and ends when
	// this process closes its standard input.
	const script = `echo "$DBUS_SESSION_BUS_ADDRESS"
printf secret | gnome-keyring-daemon --unlock --components=secrets >/dev/null && echo ready
cat >/dev/null`
	c := l.command(ctx, []string{"XDG_DATA_HOME=" + home, "XDG_RUNTIME_DIR=" + home}, "dbus-run-session", "--", "sh", "-c", script)
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, true, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, true, err
	}
	if err := c.Start(); err != nil {
		return nil, true, err
	}
	l.closers = append(l.closers, func() {
		stdin.Close()
		_ = c.Wait()
	})
	r := bufio.NewReader(stdout)
	address, err := r.ReadString('\n')
	if err == nil {
		_, err = r.ReadString('\n')
	}
	if err != nil {
		return nil, true, l.failed(c, fmt.Errorf("no Secret Service came up: %w", err))
	}
	address = strings.TrimSpace(address)
	return []string{"DBUS_SESSION_BUS_ADDRESS=" + address}, true, awaitOwner(ctx, address, "org.freedesktop.secrets")
}

// awaitOwner waits until a process on the bus owns the name. The daemon reports that it is
// ready a little earlier, and the bus would start a second, locked daemon.
func awaitOwner(ctx context.Context, address, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("no process owns "+name))
	defer cancel()
	bus, err := dbus.Connect(address)
	if err != nil {
		return err
	}
	defer bus.Close()
	changes := make(chan *dbus.Signal, 16)
	bus.Signal(changes)
	if err := bus.AddMatchSignalContext(ctx, dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, name)); err != nil {
		return err
	}
	for {
		var has bool
		if err := bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&has); err != nil || has {
			return err
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// peak is the peak memory of a running program in MiB; 0 if the system does not report it.
func peak(pid int) float64 { return statusKiB(pid, "VmHWM") / 1024 }

// resident is the memory of a running program in KiB; 0 if the system does not report it.
func resident(pid int) float64 { return statusKiB(pid, "VmRSS") }

// statusKiB is a figure of /proc/PID/status in KiB (proc(5)).
func statusKiB(pid int, name string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := bytes.Cut(status, []byte("\n"+name+":"))
	var kib float64
	_, _ = fmt.Sscan(string(after), &kib)
	return kib
}
