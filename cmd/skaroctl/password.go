package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// passwordOptions are the ways to give a password. There is no flag for the
// password itself: arguments are visible to every process.
type passwordOptions struct {
	stdin bool
	file  string
}

func (o *passwordOptions) addFlags(c *cobra.Command) {
	c.Flags().BoolVar(&o.stdin, "password-stdin", false, "read the password from standard input")
	c.Flags().StringVar(&o.file, "password-file", "", "read the password from `FILE`")
	c.MarkFlagsMutuallyExclusive("password-stdin", "password-file")
}

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 64 << 10

// password gets a password: from standard input, from a file, or by a prompt on
// the terminal. With confirm the prompt asks twice.
func (a *app) password(ctx context.Context, o passwordOptions, prompt string, confirm bool) (string, error) {
	var password string
	switch {
	case o.stdin:
		if a.streams.InTerminal {
			return "", &usageError{"--password-stdin was given, but standard input is a terminal", "leave the flag out to be asked"}
		}
		b, err := terminal.ReadAll(ctx, a.streams.In, maxPassword+1)
		if err != nil {
			return "", fmt.Errorf("read the password from standard input: %w", err)
		}
		password = terminal.TrimPassword(b)
	case o.file != "":
		b, err := terminal.ReadFile(ctx, o.file, maxPassword+1)
		var noFile *fs.PathError
		switch {
		case errors.As(err, &noFile):
			return "", &usageError{fmt.Sprintf("read the password: %v", err), "check --password-file, or leave it out to be asked"}
		case err != nil:
			return "", fmt.Errorf("read the password: %w", err)
		}
		password = terminal.TrimPassword(b)
	default:
		ask := func(question string) (string, error) { return a.askHidden(ctx, question) }
		var err error
		if confirm {
			password, err = terminal.AskTwice(ask, prompt)
		} else {
			password, err = ask(prompt)
		}
		switch {
		case errors.Is(err, terminal.ErrMismatch):
			return "", &usageError{err.Error(), "type the same one twice, or give --password-stdin or --password-file"}
		case err != nil:
			return "", err
		}
	}
	if err := validText("the password", password); err != nil {
		return "", err // also where it seems to have lines: PowerShell writes UTF-16
	}
	switch {
	case password == "":
		return "", &usageError{"the password is empty", "a password has at least one character"}
	case len(password) > maxPassword:
		return "", &usageError{fmt.Sprintf("the password has more than %d bytes", maxPassword), "give the password alone"}
	case strings.ContainsAny(password, "\r\n"):
		return "", &usageError{"the password has more than one line", "give the password alone, with one line end behind it or none"}
	}
	return password, nil
}

// askHidden asks for a password.
func (a *app) askHidden(ctx context.Context, question string) (string, error) {
	password, err := a.ask(ctx, question, false)
	return password, unanswered(err, "password", "give --password-stdin or --password-file")
}

// ask asks a question, which may hold what came from a server.
func (a *app) ask(ctx context.Context, question string, echo bool) (string, error) {
	return terminal.Ask(ctx, a.streams.In, a.streams.Err, output.Line(question), echo)
}

// unanswered is the error of a question that has no answer, with how else to give what
// it was for.
func unanswered(err error, what, hint string) error {
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return &usageError{fmt.Sprintf("can't ask for the %s: %v", what, err), hint}
	case errors.Is(err, terminal.ErrNoAnswer):
		return &usageError{fmt.Sprintf("no %s was given: %v", what, err), hint}
	}
	return err
}
