package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// topics are the pages of help that are not about a command.
func topics() []*cobra.Command {
	return []*cobra.Command{
		cli.Topic("flags", "The flags of every command", flagsHelp),
		cli.Topic("exit-status", "What the exit status means", exitStatusHelp()),
		cli.Topic("environment", "The variables that skaroctl reads", environmentHelp),
		cli.Topic("files", "The files that skaroctl keeps", filesHelp),
	}
}

const flagsHelp = `A name in capitals and parentheses is the variable with the same effect. A flag
overrides its variable, and a variable overrides the profile.`

func exitStatusHelp() string {
	var b strings.Builder
	b.WriteString(`The word after the status of an error is its "kind" with -o json.

`)
	b.WriteString("  0    done, or the reader of the output has gone away\n")
	b.WriteString(exitTable.Help(true))
	b.WriteString(`
Delivered means stored by the server. A message was delivered if the status is
0, unless its result is "spooled": then it waits. It was not delivered if the
status is 2, 3, 4, 5 or 6. After any other status, especially 7, it may have
been delivered. A message that is listed as "sent" was delivered, whatever the
status. With several recipients or --lines, the status is that of the worst
error. "run" has the status of its command.`)
	return b.String()
}

const environmentHelp = `A flag overrides its variable, and a variable overrides the profile. --profile
also overrides SKAROCTL_SERVER, SKAROCTL_LOGIN and a token in the environment.
An empty variable counts as not set.

  SKAROCTL_SERVER      the URL of the server, as --server
  SKAROCTL_PROFILE     the name of the profile, as --profile
  SKAROCTL_STORE       keyring or file, as --store of login and register
  SKAROCTL_OUTPUT      auto, text or json, as --output
  SKAROCTL_TIMEOUT     the time limit, as --timeout
  SKAROCTL_LOGIN       the login of a token in the environment; "skaroctl login"
                       uses it too, if no profile is named
  SKAROCTL_TOKEN       a token that replaces the credential store, made by
                       "skaroctl login --print-token". Other programs of the
                       same user can read it there, so a file is better
  SKAROCTL_TOKEN_FILE  a file with such a token, read before each login. It is
                       refused if you own it and other users can read it,
                       unless its file system is read-only
  CREDENTIALS_DIRECTORY
                       where systemd puts the credential skaroctl-token
  SSL_CERT_FILE        PEM file with root certificates, which replace the
                       system's on Linux and the BSDs
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
                       proxies (http://, https:// or socks5h://), and the hosts
                       that need none; this machine never needs one
  NO_COLOR, CLICOLOR, CLICOLOR_FORCE
                       whether text has colour with --color auto
  XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME
                       the folders of the files: see "skaroctl help files"`

const filesHelp = `Every file has mode 0600, and none has the password.

  ~/.config/skaroctl/config.toml
                       the profiles: server, login and credential store
  ~/.local/state/skaroctl/credentials.json
                       the tokens, with "login --store file"
  ~/.local/state/skaroctl/positions/
                       the position of "listen --resume" for each account
  ~/.local/state/skaroctl/spool/
                       the messages of "send --spool" that wait: their texts too
  ~/.cache/skaroctl/   the contacts that completion offers; "skaroctl contacts"
                       renews them

Files named *.lock keep two commands from writing the same file at once. The
store "keyring" is the keyring of the operating system.

XDG_CONFIG_HOME, XDG_STATE_HOME and XDG_CACHE_HOME replace ~/.config,
~/.local/state and ~/.cache. Without them, the folders are
~/Library/Application Support and ~/Library/Caches on macOS, %AppData% and
%LocalAppData% on Windows.`
