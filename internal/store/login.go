package store

import (
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// maxLogin is how many characters a login has at most.
const maxLogin = 64

// Login is the one form of a login that is stored and compared: PRECIS
// UsernameCaseMapped (RFC 8265, 3.3), so that neither case nor look-alike forms
// make twins. It fails for what can't be a login.
func Login(s string) (string, error) {
	login, err := precis.UsernameCaseMapped.String(s)
	if err != nil || !utf8.ValidString(s) {
		return "", fmt.Errorf("%q can't be a login: letters, digits and most symbols may be in it, spaces may not", s)
	}
	if n := utf8.RuneCountInString(login); n < 1 || n > maxLogin {
		return "", fmt.Errorf("a login has 1 to %d characters, this one has %d", maxLogin, n)
	}
	return login, nil
}
