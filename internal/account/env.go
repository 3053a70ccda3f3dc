package account

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Environment is a token from the environment, which replaces a store.
type Environment struct {
	Token  proto.Token
	Source string // "SKAROCTL_TOKEN", "SKAROCTL_TOKEN_FILE" or "$CREDENTIALS_DIRECTORY/skaroctl-token"
}

// systemdToken is the name of our credential (systemd.exec(5), LoadCredential=).
const systemdToken = "skaroctl-token"

// tokenFileLimit is how much of a token file is read, in bytes: a token has 185.
const tokenFileLimit = 4096

// FromEnvironment returns the token of the environment, and reports whether there is one:
// the text in SKAROCTL_TOKEN, else the file that SKAROCTL_TOKEN_FILE names, else the file
// skaroctl-token in systemd's CREDENTIALS_DIRECTORY. An empty variable counts as not set.
// A token file that others can read is an error, except in systemd's folder, which only
// its user can enter.
func FromEnvironment(getenv func(string) string) (Environment, bool, error) {
	if text := getenv("SKAROCTL_TOKEN"); text != "" {
		return environment("SKAROCTL_TOKEN", text, nil)
	}
	credentials := getenv("CREDENTIALS_DIRECTORY")
	if path := getenv("SKAROCTL_TOKEN_FILE"); path != "" {
		accept := check(private)
		if credentials != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(credentials) {
			accept = anyMode
		}
		text, err := readToken(path, accept)
		return environment("SKAROCTL_TOKEN_FILE", text, err)
	}
	if credentials != "" {
		text, err := readToken(filepath.Join(credentials, systemdToken), anyMode)
		if errors.Is(err, fs.ErrNotExist) {
			return Environment{}, false, nil // the service has other credentials
		}
		return environment("$CREDENTIALS_DIRECTORY/"+systemdToken, text, err)
	}
	return Environment{}, false, nil
}

// TokenVariables returns the names of the variables that FromEnvironment looks at and that
// are set, so that their unsetting hides every token.
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

// environment returns the token in a text, or the error of reading that text.
func environment(source, text string, err error) (Environment, bool, error) {
	var token proto.Token
	if err == nil {
		token, err = proto.ParseToken(text)
	}
	if err != nil {
		return Environment{}, false, &Error{Kind: KindToken, Err: fmt.Errorf("%s: %w", source, err), Hint: cmp.Or(hintOf(err), tokenHint)}
	}
	return Environment{Token: token, Source: source}, true, nil
}

// readToken reads a token file. The mode of a file that is not regular, such as the pipe of
// a shell's <(command), says nothing.
func readToken(path string, accept check) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fileError(path, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return "", fileError(path, err)
	}
	if info.Mode().IsRegular() {
		if err := accept(f, info); err != nil {
			return "", err
		}
	}
	var text strings.Builder
	n, err := io.Copy(&text, io.LimitReader(f, tokenFileLimit+1))
	if err != nil {
		return "", fileError(path, err)
	}
	if n > tokenFileLimit {
		return "", &Error{Kind: KindFile, Path: path, Msg: "it is too long for a token", Hint: tokenHint}
	}
	return text.String(), nil
}
