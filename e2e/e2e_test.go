// Package e2e runs the two programs as people do: against each other, and
// against peers that this project did not write. Each script in testdata is one
// subject; commands_test.go has the commands that scripts know beyond those of
// testscript.
package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// gorace is for programs with the race detector: by default each sleeps for a second at its end.
const gorace = "halt_on_error=1 atexit_sleep_ms=0"

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds both programs, puts them on PATH, and runs the tests.
func run(m *testing.M) int {
	// If nohup(1) runs the tests, SIGHUP is ignored, and their programs would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	bin, err := os.MkdirTemp("", "skaro-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	args := append([]string{"build"}, buildFlags()...)
	build := exec.Command("go", append(args, "-o", bin+string(os.PathSeparator), "./cmd/skaroctl", "./cmd/skarod")...)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "can't build the programs: %v\n%s", err, out)
		return 1
	}
	os.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	os.Setenv("GORACE", gorace)
	return m.Run()
}

// TestProgram runs the scripts that need skaroctl and skarod alone.
func TestProgram(t *testing.T) { runScripts(t, "testdata/script", nil) }

// TestExamples runs the examples of every command's help.
func TestExamples(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: it needs a pseudo-terminal, which this test opens on Linux only")
	}
	for _, program := range []string{"bash", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, "there is no "+program, "apt-get install "+program)
		}
	}
	runScripts(t, "testdata/examples", nil)
}

// TestPython runs the scripts with peers in Python: a plain Skaro server on the
// packages websockets and cbor, and the reference client libskaro.
func TestPython(t *testing.T) {
	runScripts(t, "testdata/python", []string{"PYTHON=" + python(t)})
}

// TestKeyring runs the scripts that need a real Secret Service.
func TestKeyring(t *testing.T) {
	for _, program := range []string{"dbus-daemon", "gnome-keyring-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, "there is no "+program, "apt-get install dbus gnome-keyring")
		}
	}
	runScripts(t, "testdata/keyring", nil)
}

// skip reports what is not tested. With SKARO_TEST_REQUIRE=1 a skip is a failure.
func skip(t *testing.T, why, enable string) {
	t.Helper()
	text := fmt.Sprintf("SKIPPED: %s; how to enable it: %s", why, enable)
	if os.Getenv("SKARO_TEST_REQUIRE") == "1" {
		t.Fatal(text)
	}
	t.Skip(text)
}

// python is the Python that has the packages of peers/requirements.txt.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("SKARO_TEST_PYTHON")
	if path == "" {
		path = "../.venv/bin/python"
	}
	const enable = "make venv, or set SKARO_TEST_PYTHON to a Python with the packages of e2e/peers/requirements.txt"
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		skip(t, "there is no Python at "+path, enable)
	}
	const imports = "import asyncio, types; asyncio.coroutine = types.coroutine; import websockets, cbor, libskaro"
	if out, err := exec.Command(path, "-c", imports).CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		skip(t, path+" lacks a package: "+lines[len(lines)-1], enable)
	}
	return path
}

func runScripts(t *testing.T, dir string, vars []string) {
	statSources(t)
	peers, err := filepath.Abs("peers")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.Abs("../docs")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                dir,
		Deadline:           time.Now().Add(5 * deadline), // a script that hangs then names its line
		RequireUniqueNames: true,
		Cmds:               commands,
		Condition:          condition,
		Setup: func(env *testscript.Env) error {
			env.Values[processesKey{}] = &processes{t: t, running: map[string]*process{}}
			env.Values[tmuxKey{}] = new(string)
			env.Vars = append(env.Vars, vars...)
			env.Vars = append(env.Vars,
				"PEERS="+peers,
				"DOCS="+docs,
				"TZ=UTC",
				"SKAROCTL_TIMEOUT="+deadline.String(), // a busy machine is no silent server
				"DBUS_SESSION_BUS_ADDRESS=disabled:",
				"GORACE="+gorace,
			)
			for name, folder := range map[string]string{
				"HOME": "home", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state", "XDG_DATA_HOME": "share",
				"XDG_CACHE_HOME": "cache", "XDG_RUNTIME_DIR": "run",
			} {
				folder = filepath.Join(env.WorkDir, folder)
				if err := os.Mkdir(folder, 0o700); err != nil {
					return err
				}
				env.Vars = append(env.Vars, name+"="+folder)
			}
			return makePrivate(env.WorkDir)
		},
	})
}

// makePrivate takes the files of a script away from other users: --password-file and
// SKAROCTL_TOKEN_FILE refuse those that others can read.
func makePrivate(folder string) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
}

// condition decides the conditions of scripts in addition to testscript's own: [namespaces]
// means that the script can hide a part of this machine from a program.
func condition(name string) (bool, error) {
	switch name {
	case "cover":
		return os.Getenv("SKARO_TEST_COVER") != "", nil
	case "namespaces":
		return exec.Command("unshare", "--mount", "--pid", "--fork", "true").Run() == nil, nil
	case "root":
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("there is no condition %q", name)
}

// statSources stats every source file of the programs and the peers, so that `go test`
// does not repeat a cached result after a change.
func statSources(t *testing.T) {
	for _, root := range []string{"../cmd", "../internal", "../go.mod", "../go.sum", "../docs", "peers"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			_, err = os.Stat(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
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
