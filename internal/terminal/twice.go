package terminal

import "errors"

// ErrUnlike is the error of a new password that was typed twice and was not the same,
// again and again.
var ErrUnlike = errors.New("the two passwords are not the same")

// attempts is how often a new password is asked for until it is typed twice the same.
const attempts = 3

// Twice asks for a new password, and to repeat it, until both are the same or
// ErrUnlike. An empty one needs no repetition.
func Twice(ask func(question string) (string, error), question string) (string, error) {
	first := question
	for range attempts {
		password, err := ask(first)
		if err != nil || password == "" {
			return password, err
		}
		again, err := ask("Repeat the password: ")
		if err != nil {
			return "", err
		}
		if again == password {
			return password, nil
		}
		first = "These are not the same: try again.\n" + question
	}
	return "", ErrUnlike
}
