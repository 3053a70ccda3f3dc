package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 64 << 10

// passwordFrom reads a password from standard input.
func (a *app) passwordFrom(ctx context.Context) (string, error) {
	b, err := terminal.ReadAll(ctx, a.streams.In, maxPassword+1)
	if err != nil {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	if len(b) > maxPassword {
		return "", &usageError{fmt.Sprintf("the password has more than %d bytes", maxPassword), "give the password alone"}
	}
	return terminal.TrimPassword(b), nil
}

// askTwice asks for a new password.
func (a *app) askTwice(ctx context.Context, question string) (string, error) {
	password, err := terminal.AskTwice(func(question string) (string, error) { return a.ask(ctx, question) }, question)
	if errors.Is(err, terminal.ErrMismatch) {
		return "", &usageError{err.Error(), "type the same one twice, or give --password-stdin"}
	}
	return password, err
}

func (a *app) ask(ctx context.Context, question string) (string, error) {
	password, err := terminal.Ask(ctx, a.streams.In, a.streams.Err, question, false)
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return "", &usageError{fmt.Sprintf("can't ask for the password: %v", err), "give --password-stdin"}
	case errors.Is(err, terminal.ErrNoAnswer):
		return "", &usageError{fmt.Sprintf("no password was given: %v", err), "give --password-stdin"}
	}
	return password, err
}
