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
func completeFiles(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) { completeFileFlag(root, f) })
	for _, c := range root.Commands() {
		completeFilesOf(c)
	}
}

func completeFilesOf(c *cobra.Command) {
	if c.ValidArgsFunction == nil && strings.HasSuffix(c.Use, " FILE") {
		c.ValidArgsFunction = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
	}
	c.Flags().VisitAll(func(f *pflag.Flag) { completeFileFlag(c, f) }) // not yet merged with those of the root
	for _, child := range c.Commands() {
		completeFilesOf(child)
	}
}

func completeFileFlag(c *cobra.Command, f *pflag.Flag) {
	directive := cobra.ShellCompDirectiveDefault
	switch value, _ := pflag.UnquoteUsage(f); value {
	case "FILE":
	case "FOLDER":
		directive = cobra.ShellCompDirectiveFilterDirs
	default:
		return
	}
	if _, ok := c.GetFlagCompletionFunc(f.Name); !ok {
		CompleteFlagFunc(c, f.Name, cobra.FixedCompletions(nil, directive))
	}
}
