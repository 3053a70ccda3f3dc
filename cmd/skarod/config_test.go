package main

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/server"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "skarod.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// parseServe returns the options of serve with some arguments.
func parseServe(t *testing.T, args ...string) (serveOptions, error) {
	t.Helper()
	var o serveOptions
	c := &cobra.Command{}
	o.addFlags(c)
	c.Flags().String("data", "", "")
	c.Flags().Bool("verbose", false, "")
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	err := o.readConfig(t.Context(), c.Flags())
	if err == nil {
		err = o.check()
	}
	return o, err
}

// A config file has every flag, and the limits by name. A flag goes before it.
func TestConfigFileCompletesTheFlags(t *testing.T) {
	file := writeConfig(t, `
# the address
listen = "127.0.0.1:9000"
registration = "invite"
allow-plaintext = true
trusted-proxy = ["127.0.0.1", "10.0.0.0/8"]
allow-origin = "https://chat.example.org"
limits.max-sessions-per-user = 5

[limits]
max-body = "64KiB"
max-connections = 500
login-time = "5s"
`)
	if _, err := parseServe(t, "--config", file); err == nil || !strings.Contains(err.Error(), file+", line ") {
		t.Errorf("a table twice: %v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	file = writeConfig(t, strings.Replace(string(text), "limits.max-sessions-per-user = 5\n", "", 1))
	o, err := parseServe(t, "--config", file, "--registration", "open", "--limit", "max-connections=7", "--trusted-proxy", "unix")
	if err != nil {
		t.Fatal(err)
	}
	if o.listen != "127.0.0.1:9000" || o.registration != "open" || !o.allowPlaintext || !slices.Equal(o.proxies, []string{"unix"}) ||
		!slices.Equal(o.allowOrigins, []string{"https://chat.example.org"}) {
		t.Errorf("%+v", o)
	}
	if want := []string{"max-connections=7", "max-body=64KiB", "login-time=5s"}; !slices.Equal(o.limits, want) {
		t.Errorf("the limits are %v, not %v", o.limits, want)
	}
	again, err := o.reread(t.Context())
	if err != nil || !reflect.DeepEqual(*again, o) {
		t.Errorf("read again: %v\n%+v\n%+v", err, again, o)
	}
}

// Every flag of serve can be in the file, and every limit.
func TestConfigFileTakesEveryLimit(t *testing.T) {
	text := "[limits]\n"
	for _, l := range server.Limits() {
		text += l.Name + " = \"" + strings.NewReplacer(" ", "", "bytes", "").Replace(l.Default) + "\"\n"
	}
	o, err := parseServe(t, "--config", writeConfig(t, text))
	if err != nil || len(o.limits) != len(server.Limits()) {
		t.Errorf("%v, %v", o.limits, err)
	}
}

// docs/server-reference.md has every flag, with its default, and says of each limit whether it changes at
// SIGHUP.
func TestSettingsAreDocumented(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "server-reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(manual), "\n## Config file\n")
	section, _, _ := strings.Cut(text, "\n## ")
	c := &cobra.Command{}
	new(serveOptions).addFlags(c)
	c.Flags().VisitAll(func(flag *pflag.Flag) {
		byDefault := flag.DefValue
		if byDefault == "" || byDefault == "[]" {
			byDefault = "none"
		}
		if row := "\n| `" + flag.Name + "` | " + byDefault + " | "; !slices.Contains(notInConfig, flag.Name) && !strings.Contains(section, row) {
			t.Errorf("there is no %q", row)
		}
	})
	for _, name := range server.ChangeableLimits() {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("%s is not among the limits that change at SIGHUP", name)
		}
	}
}

func TestConfigFileRefusesWhatItDoesNotKnow(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("\n", maxConfig) + "lissen = 1": "has more than 1048576 bytes",
		"keep = \"90d\"\nlisten = \"\"":                "line 2: listen is empty",
		"trusted-proxy = [\"::1\", \"\"]":              "line 1: trusted-proxy is empty",
		"tls-key = \"\"":                               "line 1: tls-key is empty",
		"\nkeep = \"1h\"":                              "line 2: --keep is 1h0m0s",
		"\ntrusted-proxy = [\"::1\", \"x\"]":           `line 2: --trusted-proxy: "x" is not `,
		"\nallow-origin = \"*\"":                       `line 2: --allow-origin: "*" is not `,
		"\n[[limits]]\nmax-body = 1":                   "line 2: limits must be ",
		"\n[limits.max-body]\nx = 1":                   "line 2: max-body must be ",
		"[limits]\n\nmax-body.x = 1":                   "line 3: max-body must be ",
		"\nlimits = {max-body = 1, max-colors = 7}":    "line 2: there is no limit",
		"\nlisten = \n":                                "line 2: ",
		"# x\n\nlissen = \"x\"\n":                      `line 3: there is no setting "lissen"`,
		"limit = [\"max-body=5\"]":                     `line 1: there is no setting "limit"`,
		"config = \"x\"":                               `line 1: there is no setting "config"`,
		"[limits]\nmax-body = 1\nmax-colors = 7":       `line 3: there is no limit "max-colors"`,
		"[limits]\nmax-body = \"much\"":                `line 2: max-body is "much", not a number of bytes`,
		"[limits]\nmax-body = [\"1\", \"2\"]":          "line 2: max-body must be one value",
		"x = 1\n[limit]\nmax-body = 1":                 "there is no ",
		"[tls]\ncert = \"x\"":                          "line 1: there is no table [tls]",
		"listen = [\"a\", \"b\"]":                      "line 1: listen must be one value",
		"listen = 1.5":                                 "line 1: listen must be text",
		"allow-plaintext = \"maybe\"":                  `line 1: allow-plaintext is "maybe", not true or false`,
		"tls-cert = \"x\"":                             "tls-cert and tls-key belong together",
		"registration = \"maybe\"":                     "line 1: --registration is \"maybe\", not one of open, invite, closed",
		"listen = \"a\"\nlisten = \"b\"":               "line 2: ",
	} {
		if _, err := parseServe(t, "--config", writeConfig(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v instead of %q", text, err, want)
		}
	}
	if code, _, errs := skarod("", "serve", "--config", "missing.toml", "--data", t.TempDir()); code != 2 || !strings.Contains(errs, "hint: check --config") {
		t.Errorf("no file: exit %d, %s", code, errs)
	}
}

// SIGHUP makes the server read its config file again. The log says what has changed and what
// needs a restart. A wrong file changes nothing.
func TestServeReadsItsConfigAgain(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this system has no SIGHUP")
	}
	data := t.TempDir()
	addUsers(t, data, "alice")
	file := writeConfig(t, "[limits]\nmax-connections-per-user = 1\n")
	p := startServer(t, data, "--config", file)
	hangUp := func(text, says string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.logged(says)
	}
	p.login("alice")
	hangUp("[limits]\nmax-connections-per-user = 2\nmax-body = 5\n", `msg="configuration read again" changed=max-connections-per-user needs_restart=max-body`)
	p.login("alice") // the second one
	hangUp("registration = \"open\"\n[limits]\nmax-connections-per-user = 3\n", `changed=max-connections-per-user needs_restart=registration`)
	hangUp("[limits]\nmax-colors = 1\n", `msg="the configuration stays as it was" error="`+file+`, line 2: there is no limit \"max-colors\""`)
	p.login("alice")
}
