package store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// maxLogin is how many characters a login has at most. However it is spelled, it has no
// more than maxSpelled bytes: none of its characters decomposes into more than 12.
const (
	maxLogin   = 64
	maxSpelled = maxLogin * 12
)

// Login is the form of a login for a new account. It fails for what can't be one:
// what LoginForm refuses, and what the command line of a client can't reach.
func Login(s string) (string, error) {
	login, err := LoginForm(s)
	switch {
	case err != nil:
		return "", err
	case strings.Contains(login, ","):
		return "", fmt.Errorf("%q can't be a login: a comma stands between two logins", s)
	case strings.HasPrefix(login, "-"):
		return "", fmt.Errorf("%q can't be a login: what begins with - is taken for a flag", s)
	}
	return login, nil
}

// LoginForm is the one form of a login that is stored and compared: PRECIS
// UsernameCaseMapped (RFC 8265, 3.3), so that neither case nor look-alike forms
// make twins. It fails for what no account has. Accounts are looked up by it, and
// not by Login, which earlier versions were less strict in.
func LoginForm(s string) (string, error) {
	if len(s) > maxSpelled { // it is not worth a long look
		return "", tooLong(utf8.RuneCountInString(s))
	}
	login, err := precis.UsernameCaseMapped.String(s)
	if err != nil || !utf8.ValidString(s) {
		return "", fmt.Errorf("%q can't be a login: letters, digits and most symbols may be in it, spaces may not", s)
	}
	if n := utf8.RuneCountInString(login); n < 1 || n > maxLogin {
		return "", tooLong(n)
	}
	return login, nil
}

func tooLong(n int) error {
	return fmt.Errorf("a login has 1 to %d characters, this one has %d", maxLogin, n)
}
