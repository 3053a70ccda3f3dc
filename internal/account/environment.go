package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Environment is a token that the environment gives in place of a store.
type Environment struct {
	Token  proto.Token
	Source string // where it comes from, for people
}

// FromEnvironment looks for a token: in SKAROCTL_TOKEN, in the file that
// SKAROCTL_TOKEN_FILE names, and in skaroctl-token among systemd's credentials
// (systemd.exec(5), LoadCredential=), in this order. ok tells whether there is
// one. Its errors name the source and never quote the token.
func FromEnvironment(getenv func(string) string) (e Environment, ok bool, err error) {
	if text := getenv("SKAROCTL_TOKEN"); text != "" {
		return environment("SKAROCTL_TOKEN", text)
	}
	if path := getenv("SKAROCTL_TOKEN_FILE"); path != "" {
		b, err := readPrivate(path)
		if err != nil {
			return Environment{}, false, fmt.Errorf("SKAROCTL_TOKEN_FILE: %w", err)
		}
		return environment("SKAROCTL_TOKEN_FILE", string(b))
	}
	if dir := getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		// systemd sees to the permissions; its files may be readable by a group.
		b, err := os.ReadFile(filepath.Join(dir, "skaroctl-token"))
		if errors.Is(err, fs.ErrNotExist) {
			return Environment{}, false, nil // the credentials of a service that has others
		}
		if err != nil {
			return Environment{}, false, fmt.Errorf("the systemd credential: %w", err)
		}
		return environment("the systemd credential skaroctl-token", string(b))
	}
	return Environment{}, false, nil
}

func environment(source, text string) (Environment, bool, error) {
	token, err := proto.ParseToken(text)
	if err != nil {
		return Environment{}, false, &tokenError{source, err}
	}
	return Environment{Token: token, Source: source}, true, nil
}

// tokenError is a token that can't be read.
type tokenError struct {
	source string
	err    error
}

func (e *tokenError) Error() string { return fmt.Sprintf("the token in %s: %v", e.source, e.err) }
func (e *tokenError) Unwrap() error { return e.err }
func (e *tokenError) Hint() string  { return "make one with `skaroctl login --print-token`" }
