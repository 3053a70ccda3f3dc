package main

import (
	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// newRootCmd makes the tree of commands.
func newRootCmd(f *Factory) *cobra.Command {
	root := &cobra.Command{
		Use:   "skaroctl",
		Short: "Send and receive messages from scripts, cron jobs and pipelines",
		Long: `skaroctl is a client for servers that speak the Skaro protocol, such as skarod.
Results go to standard output, everything else to standard error.`,
		Example: `  skaroctl login alice --server wss://chat.example.org/skaro_client/
  echo "disk almost full" | skaroctl send ops
  skaroctl listen | jq -r .body`,
		Version:       buildInfo().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print only the name and the version") // cobra's own would take -v
	f.given.add(root, f.completeProfile)
	contacts := newContactsCmd(f, runContacts)
	contacts.AddCommand(newContactsAddCmd(f, runContactsAdd), newContactsRemoveCmd(f, runContactsRemove), newContactsSearchCmd(f, runContactsSearch))
	root.AddCommand(
		newLoginCmd(f, runLogin), newLogoutCmd(f, runLogout), newStatusCmd(f, runStatus), newProfileCmd(f),
		newRegisterTypeCmd(f, runRegisterType), newRegisterCmd(f, runRegister),
		contacts, newHistoryCmd(f, runHistory), newSendCmd(f, runSend), newListenCmd(f, runListen), newRunCmd(f, runRun),
		newChatCmd(f, runChat), newSpoolCmd(f), newRequestCmd(f, runRequest), newVersionCmd(f, runVersion),
	)
	root.AddCommand(topics()...)
	cli.HintFor(root, "change it at the server, with `skarod user passwd LOGIN`, and log in again with `skaroctl login`", "passwd", "password")
	cli.Finish(root)
	return root
}
