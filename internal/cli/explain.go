package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Explain turns an error that cobra met before a command's own code ran into what
// was wrong and what to do about it. c is the command that cobra had found.
//
// The patterns of this file are made where they are used: none is needed at a start
// that goes well.
func Explain(c *cobra.Command, err error) (why, hint string) {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(c, unknown)
	case errors.As(err, &missing):
		return flagName(missing.GetFlag()) + " needs a value", flagHelp(missing.GetFlag())
	case errors.As(err, &invalid):
		return badValue(invalid), flagHelp(invalid.GetFlag())
	case errors.As(err, &syntax):
		return fmt.Sprintf("%q is not a flag", syntax.GetSpecifiedFlag()), notAFlag(c, syntax.GetSpecifiedFlag())
	}
	unknownCommand := regexp.MustCompile(`^unknown command ("(?:[^"\\]|\\.)*") for `)
	if m := unknownCommand.FindStringSubmatch(err.Error()); m != nil {
		if word, unquoteErr := strconv.Unquote(m[1]); unquoteErr == nil && c.HasSubCommands() {
			return UnknownCommand(c, word)
		}
	}
	if why, hint := flagGroup(err.Error()); why != "" {
		return why, hint
	}
	if why := arguments(c, c.Flags().Args()); why != "" {
		return why, usageOf(c)
	}
	return err.Error(), SeeHelp(c)
}

// UnknownCommand is what to say about a word that is no command of c.
func UnknownCommand(c *cobra.Command, word string) (why, hint string) {
	unknown := word
	if c.HasParent() {
		unknown = path(c) + " " + word
	}
	meant := nearest(c, word)
	if len(meant) == 0 && hasName(c.SuggestFor, word) {
		meant = []string{path(c)} // its own work is what the word asks for
	}
	if len(meant) == 0 {
		for _, child := range c.Commands() {
			for _, deeper := range child.Commands() { // adduser for user add
				if deeper.IsAvailableCommand() && (deeper.Name() == word || hasName(deeper.SuggestFor, word)) {
					meant = append(meant, path(deeper))
				}
			}
		}
	}
	return fmt.Sprintf("unknown command %q", unknown), didYouMean(meant, SeeHelp(c))
}

// path is how a command is called, without the program.
func path(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

func hasName(names []string, word string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, word) })
}

// SeeHelp is the hint where there is no better one.
func SeeHelp(c *cobra.Command) string { return fmt.Sprintf("see `%s --help`", c.CommandPath()) }

func didYouMean(names []string, otherwise string) string {
	if len(names) == 0 {
		return otherwise
	}
	return "did you mean " + strings.Join(names, " or ") + "?"
}

// typo is how many letters may be wrong in a name that is taken for another: of
// three, two that are wrong leave too little.
func typo(word string) int { return min(2, (len(word)+2)/3) }

// nearest are the commands and topics of c that a mistyped word may mean. cobra
// measures how far a word is from the names of commands, and passes over topics: so
// these become commands for it.
func nearest(c *cobra.Command, word string) []string {
	names := &cobra.Command{SuggestionsMinimumDistance: typo(word)}
	for _, child := range c.Commands() {
		if child.IsAvailableCommand() || child.IsAdditionalHelpTopicCommand() {
			names.AddCommand(named(child.Name(), child.SuggestFor))
		}
	}
	return slices.Compact(names.SuggestionsFor(word))
}

// named is a command that does nothing.
func named(name string, alsoFor []string) *cobra.Command {
	return &cobra.Command{Use: name, SuggestFor: alsoFor, Run: func(*cobra.Command, []string) {}}
}

func unknownFlag(c *cobra.Command, err *pflag.NotExistError) (why, hint string) {
	word := err.GetSpecifiedName()
	typed := "--" + word
	if letters := err.GetSpecifiedShortnames(); letters != "" {
		why, word, typed = "unknown flag -"+word, "", "-"+letters
		if len(letters) > 1 {
			why += fmt.Sprintf(" (in -%s)", letters)
			word = letters // -timeout for --timeout
		}
	} else {
		why = "unknown flag --" + word
	}
	names := &cobra.Command{} // the flags become commands, for nearest
	if word != "" {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names.AddCommand(named(f.Name, nil))
			}
		})
	}
	found := nearest(names, word)
	for i := range found {
		found[i] = "--" + found[i]
	}
	return why, didYouMean(found, notAFlag(c, typed))
}

// notAFlag is what to do about a word that was taken for a flag, and is none: where
// c takes text, it may have been meant as such.
func notAFlag(c *cobra.Command, typed string) string {
	if !strings.Contains(c.Use, "TEXT") {
		return SeeHelp(c)
	}
	words := append([]string{c.CommandPath()}, c.Flags().Args()...)
	needed, _ := operands(c)
	for _, operand := range needed[min(c.Flags().NArg(), len(needed)):] {
		if operand != "TEXT" {
			words = append(words, operand)
		}
	}
	return "text that begins with - goes after --, for example: " + strings.Join(append(words, "--", typed), " ")
}

func flagName(f *pflag.Flag) string { return "--" + f.Name }

// flagHelp is a flag and what it is for.
func flagHelp(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	return strings.TrimSpace(flagName(f)+" "+strings.ToUpper(value)) + ": " + usage
}

func badValue(err *pflag.InvalidValueError) string {
	f := err.GetFlag()
	var number *strconv.NumError
	if errors.As(err, &number) {
		if f.Value.Type() == "bool" {
			return flagName(f) + " takes no value" // and it may be a password
		}
		return fmt.Sprintf("%s: %q is not a whole number", flagName(f), err.GetValue())
	}
	return fmt.Sprintf("%s: %v", flagName(f), err.Unwrap())
}

// flagGroup looks for what cobra says of flags that go together, or don't.
func flagGroup(text string) (why, hint string) {
	exclusive := regexp.MustCompile(`^if any flags in the group \[.*\] are set none of the others can be; \[(.*)\] were all set$`)
	together := regexp.MustCompile(`^if any flags in the group \[(.*)\] are set they must all be set; missing \[(.*)\]$`)
	list := func(names string) string { return "--" + strings.Join(strings.Fields(names), " and --") }
	if m := exclusive.FindStringSubmatch(text); m != nil {
		return list(m[1]) + " can't be given together", "leave one of them out"
	}
	if m := together.FindStringSubmatch(text); m != nil {
		return list(m[1]) + " are given together or not at all", "give " + list(m[2]) + " too"
	}
	return "", ""
}

// operands are the arguments in the usage line of a command: which must be there,
// and how many there may be, -1 where there is no limit.
func operands(c *cobra.Command) (needed []string, most int) {
	repeated := regexp.MustCompile(`^\[?\w+\.\.\.\]?$`)
	for _, word := range strings.Fields(c.Use)[1:] {
		if !strings.HasPrefix(word, "[") {
			needed = append(needed, word)
		}
		most++
		if repeated.MatchString(word) {
			return needed, -1
		}
	}
	return needed, most
}

// arguments says what is wrong with the number of arguments.
func arguments(c *cobra.Command, given []string) string {
	needed, most := operands(c)
	switch {
	case len(given) < len(needed):
		return path(c) + " needs " + strings.Join(needed[len(given):], " and ")
	case most < 0 || len(given) <= most:
		return ""
	case most == 0:
		return fmt.Sprintf("%s takes no argument, and got %q", path(c), given[0])
	case most == 1:
		return fmt.Sprintf("%s takes one argument, and got %d", path(c), len(given))
	}
	return fmt.Sprintf("%s takes %d arguments, and got %d", path(c), most, len(given))
}

// usageOf is how a command is written, with the first of its examples.
func usageOf(c *cobra.Command) string {
	usage := "write `" + c.CommandPath()
	if _, rest, ok := strings.Cut(c.Use, " "); ok {
		usage += " " + rest
	}
	usage += "`"
	for line := range strings.Lines(c.Example) {
		if line = strings.TrimSpace(line); line != "" {
			return usage + ", for example: " + line
		}
	}
	return usage
}
