package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

type restoreOptions struct {
	file string // "-" is standard input
}

func newRestoreCmd(f *Factory, run runFunc[restoreOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "restore FILE",
		SuggestFor: []string{"import", "load"},
		Short:      "Replace the database with a backup",
		Long: `Stop the server first. FILE is checked, and stays as it is; "-" is standard
input. The old database is kept under another name, which is printed.

Everything that came after the backup is lost: messages, accounts, passwords and
members of conferences. All sessions end. New messages get higher ids than any
message in the backup and in the old database.`,
		Example: `  skarod restore skarod-backup.db
  gunzip -c skarod.db.gz | skarod restore - --data ./skaro`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			return run(ctx, f, &restoreOptions{file: args[0]})
		}),
	}
}

// runRestore opens the backup before it enters the data folder, because the owner of that
// folder may not be allowed to read the backup.
func runRestore(ctx context.Context, f *Factory, o *restoreOptions) error {
	path, err := f.databasePath()
	if err != nil {
		return err
	}
	backup, err := openBackup(ctx, f.streams, o.file)
	if err != nil {
		return err
	}
	defer backup.Close()
	d, err := f.enterDatabase(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.opened), 0o700); err != nil {
		return openHint(path, err)
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	restored, err := store.Restore(ctx, d.opened, backup, time.Now())
	if err != nil {
		return restoreError(ctx, path, err)
	}
	if restored.Kept != "" {
		f.notice("the old database is kept as %s", output.Line(filepath.Join(filepath.Dir(path), filepath.Base(restored.Kept))))
	}
	if restored.Unread != nil {
		f.notice("the old database can't be read (%s): if a backup was restored earlier, new messages may get ids that were used since then", output.Line(store.InWords(restored.Unread).Error()))
	}
	f.done("replaced %s with the backup; new messages get ids above %d", output.Line(path), restored.Above)
	return nil
}

// restoreError returns what a user reads if a backup can't be restored.
func restoreError(ctx context.Context, path string, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, store.ErrForeign), errors.Is(err, store.ErrEmpty):
		return cli.WithHint(err, "give a FILE that `skarod backup` has written, not compressed")
	case errors.Is(err, store.ErrNewer):
		return cli.WithHint(err, "use the newer skarod, or take an older backup: nothing was changed")
	case errors.Is(err, store.ErrDamaged):
		return cli.WithHint(err, "take another backup: nothing was changed")
	}
	return openHint(path, store.InWords(err))
}

// openBackup opens a backup, which may be a pipe that has no writer yet.
func openBackup(ctx context.Context, streams terminal.Streams, name string) (io.ReadCloser, error) {
	if name == "-" {
		if streams.InTerminal {
			return nil, cli.Usage("standard input is a terminal, not a backup", "name a FILE")
		}
		return io.NopCloser(terminal.BlockingReader(streams.In)), nil
	}
	if log, err := os.Stat(name + "-wal"); err == nil && log.Size() > 0 {
		return nil, cli.Usage(
			fmt.Sprintf("the newest messages of %s are in %s", output.Line(name), output.Line(filepath.Base(name)+"-wal")),
			"put both files into a FOLDER, as skarod.db and skarod.db-wal, and make a backup of them with `skarod backup NEW --data FOLDER`",
		)
	}
	file, err := terminal.Await(ctx, func() (*os.File, error) { return os.Open(name) })
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, cli.Usage(err.Error(), "give a FILE that `skarod backup` has written")
	}
	if err := store.CheckLink(name, file); err != nil {
		file.Close()
		return nil, cli.Usage(err.Error(), "name the file itself, and not a link to it")
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close()
		return nil, cli.Usage(output.Line(name)+" is a folder", "give a FILE that `skarod backup` has written")
	}
	return file, nil
}
