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

type backupOptions struct {
	file string // "-" is standard output
}

func newBackupCmd(f *Factory, run runFunc[backupOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "backup FILE",
		SuggestFor: []string{"dump", "export", "save"},
		Short:      "Write a copy of the database",
		Long: `The copy is checked, and gets the name FILE only when it is complete. FILE must
not exist. "-" is standard output. "skarod restore" puts a copy back.

Keep the copy as secret as the database: anyone with it can log in as every
user.`,
		Example: `  skarod backup "skarod-$(date +%F).db"
  (umask 077; skarod backup - --data ./skaro | gzip >skarod.db.gz)`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			return run(ctx, f, &backupOptions{file: args[0]})
		}),
	}
}

func runBackup(ctx context.Context, f *Factory, o *backupOptions) error {
	if o.file == "-" {
		if f.streams.OutTerminal {
			return cli.Usage("a database can't be shown on a terminal", "name a FILE, or give standard output to a file or a program")
		}
		return backupError(ctx, f.withStore(mustExist, func(s *store.Store) error { return backupToOutput(ctx, f.streams.Out, s) }))
	}
	if err := backupToFile(ctx, f, o.file); err != nil {
		return backupError(ctx, err)
	}
	f.done("wrote the backup, %s", output.Line(o.file))
	return nil
}

// backupError returns what a user reads if a backup fails.
func backupError(ctx context.Context, err error) error {
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, fs.ErrExist):
		return cli.Usage(err.Error(), "name a file that is not there yet")
	}
	return err
}

func backupToFile(ctx context.Context, f *Factory, file string) error {
	path, err := f.databasePath()
	if err != nil {
		return err
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	if store.NeedsTwoProcesses(path, file) {
		return store.WriteNew(file, func(w *os.File) error { return backupAsOwner(ctx, f, filepath.Dir(path), w) })
	}
	return f.withStore(mustExist, func(s *store.Store) error { return s.Backup(ctx, file) })
}

// ownerWait is how long the process of backupAsOwner may take to end after an interrupt.
const ownerWait = 5 * time.Second

// backupAsOwner writes a backup to an open file with a second process, which gets the rights
// of the data folder's owner. This one keeps the rights that the file needs.
func backupAsOwner(ctx context.Context, f *Factory, data string, w *os.File) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, program, "backup", "-", "--data", data)
	c.Stdout, c.Stderr = w, f.streams.Err
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = ownerWait
	err = c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return cli.Exit(exit.ExitCode()) // it has printed the reason
	}
	return err
}

// backupToOutput writes a backup to standard output when it is complete.
func backupToOutput(ctx context.Context, out io.Writer, s *store.Store) error {
	folder, err := os.MkdirTemp(filepath.Dir(s.Path()), ".backup-*") // as private as the database
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, filepath.Base(s.Path()))
	if err := s.Backup(ctx, file); err != nil {
		return err
	}
	r, err := os.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err = terminal.Await(ctx, func() (int64, error) { return io.Copy(out, r) }); err != nil {
		// Without %w: half a backup is an error even if the reader has gone.
		return fmt.Errorf("write the backup to standard output: %v", err)
	}
	return nil
}
