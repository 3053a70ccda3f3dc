package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// Environment is a token from the environment, which replaces a store.
type Environment struct {
	Token  proto.Token
	Source string // "SKAROCTL_TOKEN", "SKAROCTL_TOKEN_FILE" or "$CREDENTIALS_DIRECTORY/skaroctl-token"

	path string // the file that has the token, if it can be read again; else ""
}

// Reread returns the token that is there now: its file may have been replaced. If it can't
// be read at the moment, because it is being replaced, the error is of KindRotation.
func (e Environment) Reread() (proto.Token, error) {
	if e.path == "" {
		return e.Token, nil
	}
	now, err := readToken(e.Source, e.path)
	if err != nil {
		return proto.Token{}, &Error{Kind: KindRotation, Err: err, Hint: hintOf(err)}
	}
	return now.Token, nil
}

// systemdToken is the name of our credential (systemd.exec(5), LoadCredential=).
const systemdToken = "skaroctl-token"

// tokenFileLimit is how much of a token file is read, in bytes: a token has 185.
const tokenFileLimit = 4096

// FromEnvironment returns the token of the environment, and reports whether there is one:
// the text in SKAROCTL_TOKEN, else the file that SKAROCTL_TOKEN_FILE names, else the file
// skaroctl-token in systemd's CREDENTIALS_DIRECTORY. An empty variable counts as not set.
func FromEnvironment(getenv func(string) string) (Environment, bool, error) {
	if text := getenv("SKAROCTL_TOKEN"); text != "" {
		token, err := parseToken("SKAROCTL_TOKEN", text)
		return Environment{Token: token, Source: "SKAROCTL_TOKEN"}, err == nil, err
	}
	if path := getenv("SKAROCTL_TOKEN_FILE"); path != "" {
		env, err := readToken("SKAROCTL_TOKEN_FILE", path)
		return env, err == nil, err
	}
	if folder := getenv("CREDENTIALS_DIRECTORY"); folder != "" {
		env, err := readToken("$CREDENTIALS_DIRECTORY/"+systemdToken, filepath.Join(folder, systemdToken))
		if errors.Is(err, fs.ErrNotExist) {
			return Environment{}, false, nil // the service has other credentials
		}
		return env, err == nil, err
	}
	return Environment{}, false, nil
}

// TokenVariables returns the names of the set variables that FromEnvironment reads.
// Unsetting them hides every token.
func TokenVariables(getenv func(string) string) []string {
	var names []string
	for _, name := range []string{"SKAROCTL_TOKEN", "SKAROCTL_TOKEN_FILE"} {
		if getenv(name) != "" {
			names = append(names, name)
		}
	}
	if folder := getenv("CREDENTIALS_DIRECTORY"); folder != "" {
		if _, err := os.Lstat(filepath.Join(folder, systemdToken)); err == nil {
			names = append(names, "CREDENTIALS_DIRECTORY")
		}
	}
	return names
}

// readToken reads a token file. What a shell opens for <(command) or a redirection can be
// read only once.
func readToken(source, path string) (Environment, error) {
	text, regular, err := terminal.ReadSecret(path, tokenFileLimit+1)
	var exposed *terminal.ExposedError
	switch {
	case errors.As(err, &exposed):
		return Environment{}, badToken(source, exposed, exposed.Hint)
	case err != nil:
		return Environment{}, badToken(source, fileError(path, err), tokenHint)
	case len(text) > tokenFileLimit:
		return Environment{}, badToken(source, &Error{Kind: KindFile, Path: path, Msg: "it is too long for a token"}, tokenHint)
	}
	env := Environment{Source: source}
	if regular && !strings.HasPrefix(path, "/dev/") {
		env.path = path
	}
	env.Token, err = parseToken(source, string(text))
	return env, err
}

func parseToken(source, text string) (proto.Token, error) {
	token, err := proto.ParseToken(text)
	if err != nil {
		return proto.Token{}, badToken(source, err, tokenHint)
	}
	return token, nil
}

// badToken returns the error of a token that is missing or can't be used.
func badToken(source string, err error, hint string) error {
	return &Error{Kind: KindToken, Err: fmt.Errorf("%s: %w", source, err), Hint: hint}
}
