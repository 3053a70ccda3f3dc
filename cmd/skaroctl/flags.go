package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// commonFlags are the flags of every command.
type commonFlags struct {
	server, profile, output, colour, caFile string
	timeout                                 cli.Duration
	verbose, quiet, allowPlaintext, utc     bool

	// profileGiven and serverGiven say that resolve found profile and server on the command
	// line, and not in the environment.
	profileGiven, serverGiven bool

	changed func(name string) bool // reports whether the command line has a flag
}

const defaultTimeout = 10 * time.Second

// add adds the flags to the root of the commands.
func (o *commonFlags) add(root *cobra.Command, completeProfile cobra.CompletionFunc) {
	f := root.PersistentFlags()
	o.timeout = cli.Duration(defaultTimeout)
	f.StringVarP(&o.server, "server", "s", "", "`URL` of the server, ws:// or wss://; without a path, /skaro_client/ is used; or unix:PATH (SKAROCTL_SERVER)")
	f.StringVarP(&o.profile, "profile", "p", "", "use the account of the profile `NAME` (SKAROCTL_PROFILE)")
	f.StringVarP(&o.output, "output", "o", "auto", "`FORMAT` of results: auto, text or json; auto is text on a terminal, JSON Lines elsewhere (SKAROCTL_OUTPUT)")
	f.Var(&o.timeout, "timeout", "time limit for the command; listen, chat, send --lines and send --retry apply it to each attempt, run to sending (SKAROCTL_TIMEOUT)")
	f.StringVar(&o.colour, "color", "auto", "colour text `WHEN`: auto, always or never (NO_COLOR, CLICOLOR, CLICOLOR_FORCE)")
	f.BoolVar(&o.utc, "utc", false, "use UTC for times in text, and for times that you give without a zone")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show every frame and state change on standard error, with secrets masked")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "hide notices, and results that only confirm")
	f.StringVar(&o.caFile, "ca-file", "", "PEM `FILE` with root certificates to trust besides the system's")
	f.BoolVar(&o.allowPlaintext, "allow-plaintext", false, "permit ws:// to another machine")
	cli.Exclusive(root, "quiet", "verbose")
	o.changed = f.Changed
	cli.CompleteFlag(root, "output", outputs...)
	cli.CompleteFlag(root, "color", colours...)
	cli.CompleteFlagFunc(root, "profile", completeProfile)
}

// The values of --output and --color.
var (
	outputs = []string{"auto", "text", "json"}
	colours = []string{"auto", "always", "never"}
)

// resolve returns the flags with the values of the environment for those that the command
// line lacks, or an error if a value is not allowed.
func (o commonFlags) resolve(getenv func(string) string) (commonFlags, error) {
	set := func(flag, variable string, assign func(string) error) error {
		s := getenv(variable)
		if s == "" || o.changed(flag) {
			return nil
		}
		if err := assign(s); err != nil {
			return cli.Usage(fmt.Sprintf("%s: %v", variable, err), "correct the variable, or unset it")
		}
		return nil
	}
	text := func(p *string) func(string) error {
		return func(s string) error { *p = s; return nil }
	}
	o.serverGiven, o.profileGiven = o.changed("server"), o.changed("profile")
	_ = set("server", "SKAROCTL_SERVER", text(&o.server))
	_ = set("profile", "SKAROCTL_PROFILE", text(&o.profile))
	_ = set("output", "SKAROCTL_OUTPUT", text(&o.output))
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" { // elsewhere crypto/x509 reads it: reading it twice takes 20 ms
		_ = set("ca-file", "SSL_CERT_FILE", text(&o.caFile))
	}
	if err := set("timeout", "SKAROCTL_TIMEOUT", o.timeout.Set); err != nil {
		return o, err
	}
	if trimmed := strings.TrimSpace(o.server); trimmed != "" {
		o.server = trimmed // a URL from a file or the clipboard may end with a newline
	}
	name := "--output"
	if !o.changed("output") {
		name = "SKAROCTL_OUTPUT"
	}
	if err := cli.CheckChoice(name, o.output, outputs); err != nil {
		return o, err
	}
	return o, cli.CheckChoice("--color", o.colour, colours)
}

// wantsJSON reports whether the flag or the environment asks for JSON. Whether standard output
// is a terminal does not count. It works for flags that are not resolved, too.
func (o commonFlags) wantsJSON(getenv func(string) string) bool {
	if o.output == "auto" {
		return getenv("SKAROCTL_OUTPUT") == "json"
	}
	return o.output == "json"
}
