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
	return terminal.Password(b), nil
}

// askTwice asks for a new password.
func (a *app) askTwice(ctx context.Context, question string) (string, error) {
	password, err := a.ask(ctx, question)
	if err != nil || password == "" {
		return password, err
	}
	again, err := a.ask(ctx, "Repeat the password: ")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", &usageError{"the two passwords are not the same", "try again, and type the same one twice"}
	}
	return password, nil
}

func (a *app) ask(ctx context.Context, question string) (string, error) {
	password, err := terminal.Ask(ctx, a.streams.In, a.streams.Err, question, false)
	switch {
	case errors.Is(err, terminal.ErrNone):
		return "", &usageError{fmt.Sprintf("can't ask for the password: %v", err), "give --password-stdin"}
	case errors.Is(err, terminal.ErrNothing):
		return "", &usageError{fmt.Sprintf("no password was given: %v", err), "give --password-stdin"}
	}
	return password, err
}
