package cli

import (
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/output"
)

// Completions returns the words with the typed prefix, each prepended with before. It
// leaves out a word that a shell would have to quote, because others may have chosen it
// and the shell might run it, and a word with invisible characters.
func Completions(words []string, before, typed string) []cobra.Completion {
	var found []cobra.Completion
	for _, word := range words {
		if strings.HasPrefix(word, typed) && !strings.HasPrefix(word, "-") && !strings.ContainsFunc(word, needsQuotes) && output.Login(word) == word {
			found = append(found, before+word)
		}
	}
	return found
}

func needsQuotes(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+@:", r)
}

// CompleteFlag sets the values that completion offers for a flag.
func CompleteFlag(c *cobra.Command, flag string, values ...string) {
	CompleteFlagFunc(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// CompleteFlagFunc sets the function that completes the value of a flag.
func CompleteFlagFunc(c *cobra.Command, flag string, complete cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // there is no such flag
	}
}

// completeFiles makes completion offer names of files for operands and flags that are
// called FILE or FOLDER, and for no others.
func completeFiles(c *cobra.Command) {
	for _, child := range c.Commands() {
		completeFiles(child)
	}
	if c.ValidArgsFunction == nil && strings.HasSuffix(c.Use, " FILE") {
		c.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	}
	if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	complete := func(f *pflag.Flag) {
		if _, ok := c.GetFlagCompletionFunc(f.Name); ok {
			return
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		switch value, _ := pflag.UnquoteUsage(f); value {
		case "FILE":
			directive = cobra.ShellCompDirectiveDefault
		case "FOLDER":
			directive = cobra.ShellCompDirectiveFilterDirs
		}
		CompleteFlagFunc(c, f.Name, cobra.FixedCompletions(nil, directive))
	}
	c.LocalNonPersistentFlags().VisitAll(complete)
	c.PersistentFlags().VisitAll(complete)
}
