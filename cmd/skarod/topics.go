package main

import (
	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// topics returns the pages of help that are not about a command.
func topics() []*cobra.Command {
	return []*cobra.Command{
		cli.Topic("flags", "The flags of every command", ""),
		cli.Topic("exit-status", "What the exit status means", "  0    done; for \"skarod serve\", a signal stopped it\n"+exitTable.Help(false)),
		cli.Topic("environment", "The variables that skarod reads", environmentHelp),
		cli.Topic("files", "The files that skarod keeps", filesHelp),
	}
}

const environmentHelp = `  XDG_DATA_HOME  the data is in its folder skarod, if --data is not given
  NO_COLOR, CLICOLOR, CLICOLOR_FORCE
                 whether errors have colour on a terminal`

const filesHelp = `  ~/.local/share/skarod/skarod.db
       the database, with mode 0600: accounts, conferences, sessions, messages.
       It has no passwords, but each account's token, which is enough to log in
  /var/lib/skarod/skarod.db
       the database of the packages' service; run other commands as root, with
       --data /var/lib/skarod
  skarod.db-wal, skarod.db-shm
       parts of the database while it is in use
  skarod.db.lock
       keeps a second server away
  skarod.db.old-1, skarod.db.old-2, ...
       the database from before a restore

--data and XDG_DATA_HOME name other folders. The default is
~/Library/Application Support/skarod on macOS, and %LocalAppData%\skarod on
Windows.`
