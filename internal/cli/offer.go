package cli

import (
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/output"
)

// Offer are the words that begin as the user has begun, each behind what stands before
// it. One that a shell would have to quote is left out: others may have chosen the words,
// and what a shell is given there might be run. So is one that can't be seen as a whole,
// and might be taken for another.
func Offer(words []string, before, begun string) []cobra.Completion {
	var offered []cobra.Completion
	for _, word := range words {
		if strings.HasPrefix(word, begun) && !strings.HasPrefix(word, "-") && !strings.ContainsFunc(word, special) && output.Login(word) == word {
			offered = append(offered, before+word)
		}
	}
	return offered
}

func special(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+@:", r)
}
