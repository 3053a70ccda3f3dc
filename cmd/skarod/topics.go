package main

import (
	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// topics returns the pages of help that are no commands.
func topics() []*cobra.Command {
	return []*cobra.Command{
		cli.Topic("exit-status", "What the exit status says", "  0    done; for \"skarod serve\": ended by a signal\n"+exitTable.Help(false)),
		cli.Topic("environment", "The variables that skarod reads", environmentHelp),
		cli.Topic("files", "The files that skarod keeps", filesHelp),
	}
}

const environmentHelp = `  XDG_DATA_HOME  the folder that has the data folder skarod in it, if --data is not
                 given
  NO_COLOR, CLICOLOR, CLICOLOR_FORCE
                 whether errors are in colour on a terminal`

const filesHelp = `  ~/.local/share/skarod/skarod.db
       accounts, conferences, sessions and messages, mode 0600. It has no password, but
       what is as good as one for logging in, and the messages as they are.
  /var/lib/skarod/skarod.db
       the same for the service of the packages; to reach it, every other command
       needs --data /var/lib/skarod, and root
  skarod.db-wal, skarod.db-shm
       belong to the database while it is in use
  skarod.db.lock
       keeps a second server away
  skarod.db.old-1, skarod.db.old-2, ...
       the database that was there before a restore

--data and XDG_DATA_HOME name other folders. Without them it is ~/Library/Application
Support/skarod on macOS, %LocalAppData%\skarod on Windows.`
