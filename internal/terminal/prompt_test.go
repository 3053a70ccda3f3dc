package terminal

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestAskTwiceUntilBothAreTheSame(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		typed string
		want  string
		err   error
		asked int
	}{
		{"a a", "a", nil, 2},
		{"a b c c", "c", nil, 4},
		{"a b c d e e", "e", nil, 6},
		{"a b c d e f g g", "", ErrMismatch, 6},
		{" a", "", nil, 1},
		{"a b  a", "", nil, 3},
		{"!", "", broken, 1},
		{"a !", "", broken, 2},
	} {
		left := strings.Split(c.typed, " ")
		var questions []string
		got, err := AskTwice(func(question string) (string, error) {
			questions = append(questions, question)
			answer := left[0]
			left = left[1:]
			if answer == "!" {
				return "", broken
			}
			return answer, nil
		}, "New: ")
		if got != c.want || err != c.err || len(questions) != c.asked {
			t.Errorf("%q: %q, %v, asked %q", c.typed, got, err, questions)
		}
		if c.asked > 2 && !slices.Contains(questions, "These are not the same: try again.\nNew: ") {
			t.Errorf("%q: the question does not say why it is asked again: %q", c.typed, questions)
		}
	}
}
