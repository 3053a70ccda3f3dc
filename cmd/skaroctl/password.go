package main

import (
	"context"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// password reads a password.
func (a *app) password(ctx context.Context, o cli.PasswordOptions, prompt string, confirm bool) (string, error) {
	return cli.ReadPassword(ctx, a.streams, o, prompt, confirm)
}
