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
	b.WriteString(`With -o json, an error has the kind that stands before the colon here.

`)
	b.WriteString("  0    done, or the reader of the output has gone away\n")
	b.WriteString(exitTable.Help(true))
	b.WriteString(`
A message was delivered if the status is 0, and was not delivered if it is 2, 3,
4, 5 or 6. The other statuses leave it open, most of all 7. With several
recipients or --lines, the status is that of the worst error. A message that
standard output names was delivered, whatever the status; a "spooled" one waits.`)
	return b.String()
}

const environmentHelp = `A flag overrides its variable, and a variable overrides the profile. --profile
also overrides SKAROCTL_SERVER and a token in the environment. An empty variable
counts as not set.

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
  SKAROCTL_TOKEN_FILE  a file with such a token, read before each login. If
                       it is yours, on a writable file system, no other user may
                       be able to read it
  CREDENTIALS_DIRECTORY
                       where systemd puts the credential skaroctl-token
  SSL_CERT_FILE        PEM file with root certificates
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
