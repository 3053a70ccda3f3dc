package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func (a *app) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "backup FILE",
		SuggestFor: []string{"dump", "export", "save"},
		Short:      "Write a copy of the database; also while the server runs",
		Long: `Write a copy of the database, as it is at this moment, into a new FILE with mode 0600;
"-" is standard output. The copy is checked, and has its name only when it is whole. A
file that is there is not overwritten.

Keep the copy as secret as the database: it has what is as good as everybody's
password. "skarod restore" puts it back.`,
		Example: `  skarod backup skarod-$(date +%F).db
  skarod backup - --data ./skaro | gzip >skarod.db.gz`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			if args[0] == "-" && a.streams.OutTerminal {
				return cli.Usage("a database is nothing to show on a terminal", "name a FILE, or give standard output to a file or a program")
			}
			err := a.backup(ctx, args[0])
			switch {
			case err == nil && args[0] != "-":
				a.done("wrote the backup, %s", output.Line(args[0]))
			case err != nil && ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, fs.ErrExist):
				return cli.Usage(err.Error(), "name a file that is not there yet")
			}
			return err
		}),
	}
}

// backup writes a backup to a new file, or to standard output.
func (a *app) backup(ctx context.Context, file string) error {
	if file == "-" {
		return a.withStore(false, func(s *store.Store) error { return a.backupTo(ctx, s) })
	}
	path, err := a.databasePath()
	if err != nil {
		return err
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	if store.NeedsTwoProcesses(path, file) {
		return store.WriteNew(file, func(f *os.File) error { return a.backupApart(ctx, filepath.Dir(path), f) })
	}
	return a.withStore(false, func(s *store.Store) error { return s.Backup(ctx, file) })
}

// apartWait is how long a process that was told to end may take for it.
const apartWait = 5 * time.Second

// backupApart writes a backup into an open file, by a process of its own: that one has the
// rights of the folder's owner, and this one those for the file.
func (a *app) backupApart(ctx context.Context, data string, f *os.File) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, program, "backup", "-", "--data", data)
	c.Stdout, c.Stderr = f, a.streams.Err
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = apartWait
	err = c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return cli.Exit(exit.ExitCode()) // it has said why
	}
	return err
}

// backupTo writes a backup to standard output, when it is whole.
func (a *app) backupTo(ctx context.Context, s *store.Store) error {
	folder, err := os.MkdirTemp(filepath.Dir(s.Path()), ".backup-*") // as private as the database
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, filepath.Base(s.Path()))
	if err := s.Backup(ctx, file); err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = terminal.Await(ctx, func() (int64, error) { return io.Copy(a.streams.Out, f) }); err != nil {
		// Also where the reader has gone: half a backup is none.
		return fmt.Errorf("write the backup to standard output: %v", err)
	}
	return nil
}

func (a *app) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "restore FILE",
		SuggestFor: []string{"import", "load"},
		Short:      "Put a backup in the place of the database, while the server is stopped",
		Long: `Put a FILE that "skarod backup" has written in the place of the database; "-" is
standard input. Stop the server before. The file is checked first, and stays as it is.
The database that was there is kept under another name, which is printed.

What came after the backup is gone: messages, accounts and passwords, members of
conferences; an invitation that was used since is good again. All sessions end. The ids
of new messages are far above the highest one before, so that none is given twice.`,
		Example: `  skarod restore skarod-backup.db
  gunzip -c skarod.db.gz | skarod restore - --data ./skaro`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			path, err := a.databasePath()
			if err != nil {
				return err
			}
			backup, err := a.backupFrom(ctx, args[0])
			if err != nil {
				return err
			}
			defer backup.Close()
			entered, err := enter(path)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(entered), 0o700); err != nil {
				return cantOpen(path, err)
			}
			unlock, err := lockServe(ctx, path, entered)
			if err != nil {
				return err
			}
			defer unlock()
			done, err := store.Restore(ctx, entered, backup, time.Now())
			switch {
			case err != nil && ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, store.ErrForeign), errors.Is(err, store.ErrEmpty):
				return cli.WithHint(err, "FILE is what `skarod backup` has written, not packed")
			case errors.Is(err, store.ErrDamaged):
				return cli.WithHint(err, "nothing was changed: take another backup")
			case err != nil:
				return cantOpen(path, err)
			}
			if done.Kept != "" {
				fmt.Fprintf(a.streams.Err, "skarod: the database from before is kept as %s\n", output.Line(filepath.Join(filepath.Dir(path), filepath.Base(done.Kept))))
			}
			if done.Unread != nil {
				fmt.Fprintf(a.streams.Err, "skarod: it can't be read (%s): if a backup was restored before, ids that were given out since may be given again\n", output.Line(done.Unread.Error()))
			}
			a.done("put the backup in the place of %s; the ids of new messages are above %d", output.Line(path), done.Above)
			return nil
		}),
	}
}

// backupFrom opens a backup, which may be a pipe that nobody has opened yet.
func (a *app) backupFrom(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == "-" {
		if a.streams.InTerminal {
			return nil, cli.Usage("standard input is a terminal, and no backup", "name a FILE")
		}
		return io.NopCloser(a.streams.In), nil
	}
	if log, err := os.Stat(name + "-wal"); err == nil && log.Size() > 0 {
		return nil, cli.Usage(
			fmt.Sprintf("the newest messages of %s are in %s", output.Line(name), output.Line(filepath.Base(name)+"-wal")),
			"it is a database and no backup: `skarod backup NEW --data FOLDER`, with both in FOLDER as skarod.db and skarod.db-wal, makes one of it",
		)
	}
	f, err := terminal.Await(ctx, func() (*os.File, error) { return os.Open(name) })
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, cli.Usage(err.Error(), "FILE is what `skarod backup` has written")
	}
	if err := store.CheckLink(name, f); err != nil {
		f.Close()
		return nil, cli.Usage(err.Error(), "name the file itself, and not a link to it")
	}
	return f, nil
}
