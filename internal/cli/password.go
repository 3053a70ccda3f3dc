package cli

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

// PasswordOptions say where a password comes from: standard input, a file, or else a
// prompt. No flag has the password itself, because every process can see arguments.
type PasswordOptions struct {
	Stdin bool
	File  string
}

// AddFlags adds --password-stdin and --password-file to a command.
func (o *PasswordOptions) AddFlags(c *cobra.Command) {
	c.Flags().BoolVar(&o.Stdin, "password-stdin", false, "read the password from standard input")
	c.Flags().StringVar(&o.File, "password-file", "", "read the password from `FILE`")
	Exclusive(c, "password-stdin", "password-file")
}

// Typed reports whether the user types the password.
func (o PasswordOptions) Typed() bool { return !o.Stdin && o.File == "" }

// MaxPassword is the longest password, in bytes.
const MaxPassword = 64 << 10

// ReadPassword reads a password, without one line end after it. prompt is the question at
// the terminal; confirm asks it twice.
func ReadPassword(ctx context.Context, streams terminal.Streams, o PasswordOptions, prompt string, confirm bool) (string, error) {
	var password string
	var err error
	switch {
	case o.Stdin:
		password, err = passwordFromStdin(ctx, streams)
	case o.File != "":
		password, err = passwordFromFile(ctx, o.File)
	default:
		password, err = askPassword(ctx, streams, prompt, confirm)
	}
	if err == nil {
		err = checkPassword(password)
	}
	if err != nil {
		return "", err
	}
	return password, nil
}

func passwordFromStdin(ctx context.Context, streams terminal.Streams) (string, error) {
	if streams.InTerminal {
		return "", Usage("--password-stdin was given, but standard input is a terminal", "leave the flag out to be asked")
	}
	b, err := terminal.ReadAll(ctx, streams.In, MaxPassword+1)
	if err != nil {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	return terminal.TrimPassword(b), nil
}

func passwordFromFile(ctx context.Context, name string) (string, error) {
	b, err := terminal.Await(ctx, func() ([]byte, error) {
		b, _, err := terminal.ReadSecret(name, MaxPassword+1)
		return b, err
	})
	var noFile *fs.PathError
	var exposed *terminal.ExposedError
	switch {
	case errors.As(err, &exposed):
		return "", Usage(fmt.Sprintf("read the password: %v", err), exposed.Hint)
	case errors.As(err, &noFile):
		return "", Usage(fmt.Sprintf("read the password: %v", err), "check --password-file, or leave it out to be asked")
	case err != nil:
		return "", fmt.Errorf("read the password: %w", err)
	}
	return terminal.TrimPassword(b), nil
}

func askPassword(ctx context.Context, streams terminal.Streams, prompt string, confirm bool) (string, error) {
	once := func(question string) (string, error) {
		return ask(ctx, streams, question, false, "password", "give --password-stdin or --password-file")
	}
	if !confirm {
		return once(prompt)
	}
	password, err := terminal.AskTwice(once, prompt)
	if errors.Is(err, terminal.ErrMismatch) {
		return "", Usage(err.Error(), "type the same one twice, or give --password-stdin or --password-file")
	}
	return password, err
}

func checkPassword(password string) error {
	if err := CheckUTF8("the password", password); err != nil {
		return err // first, because UTF-16, which PowerShell writes, seems to have lines
	}
	switch {
	case password == "":
		return Usage("the password is empty", "give a password of at least one character")
	case len(password) > MaxPassword:
		return Usage(fmt.Sprintf("the password has more than %d bytes", MaxPassword), "give the password alone")
	case strings.ContainsAny(password, "\r\n"):
		return Usage("the password has more than one line", "give the password alone, with at most one line end after it")
	}
	return nil
}

// Ask asks a question at the terminal, and shows the answer while it is typed. what names
// the answer and hint says how else to give it, for the error if there is no answer.
func Ask(ctx context.Context, streams terminal.Streams, question, what, hint string) (string, error) {
	return ask(ctx, streams, question, true, what, hint)
}

func ask(ctx context.Context, streams terminal.Streams, question string, echo bool, what, hint string) (string, error) {
	answer, err := terminal.Ask(ctx, streams.In, streams.Err, output.Block(question), echo)
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return "", Usage(fmt.Sprintf("can't ask for the %s: %v", what, err), hint)
	case errors.Is(err, terminal.ErrNoAnswer):
		return "", Usage(fmt.Sprintf("no %s was given: %v", what, err), hint)
	}
	return answer, err
}
