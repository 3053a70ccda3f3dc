package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// CheckArgs is the Args of every command: it compares the number of arguments with the
// operands in the command's usage line. To a command that only has others below it, an
// argument is an unknown command.
func CheckArgs(c *cobra.Command, args []string) error {
	if c.HasSubCommands() && len(args) > 0 {
		return UnknownCommand(c, args[0])
	}
	needed, most := operands(c)
	var msg string
	switch {
	case len(args) < len(needed):
		msg = path(c) + " needs " + strings.Join(needed[len(args):], " and ")
	case most < 0 || len(args) <= most:
		return nil
	case most == 0:
		msg = fmt.Sprintf("%s takes no argument, and got %q", path(c), args[0])
	case most == 1:
		msg = fmt.Sprintf("%s takes one argument, and got %d", path(c), len(args))
	default:
		msg = fmt.Sprintf("%s takes %d arguments, and got %d", path(c), most, len(args))
	}
	return Usage(msg, usageOf(c))
}

// operands returns the operands in the usage line of a command: those that are needed,
// and the highest number there may be; -1 means no limit.
func operands(c *cobra.Command) (needed []string, most int) {
	for _, word := range strings.Fields(c.Use)[1:] {
		if word == "--" {
			continue
		}
		if !strings.HasPrefix(word, "[") {
			needed = append(needed, word)
		}
		most++
		if repeats(word) {
			return needed, -1
		}
	}
	return needed, most
}

// repeats reports whether an operand may be given more than once, as "LOGIN..." and
// "[TEXT...]" may. "LOGIN[,LOGIN...]" is one word.
func repeats(operand string) bool {
	name, ok := strings.CutSuffix(strings.Trim(operand, "[]"), "...")
	return ok && !strings.ContainsAny(name, "[],")
}

// usageOf returns how a command is written, with the first of its examples.
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

// SeeHelp returns the hint for wrong usage that has no better one.
func SeeHelp(c *cobra.Command) string { return fmt.Sprintf("see `%s --help`", c.CommandPath()) }

// hintKey is the annotation of a command with the hint for a word that is not one of its
// subcommands.
func hintKey(word string) string { return "hint for " + word }

// HintFor sets the hint for words that are not subcommands of c.
func HintFor(c *cobra.Command, hint string, words ...string) {
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	for _, word := range words {
		c.Annotations[hintKey(word)] = hint
	}
}

// UnknownCommand returns the error of a word that is not a subcommand of c.
func UnknownCommand(c *cobra.Command, word string) *Error {
	unknown := word
	if c.HasParent() {
		unknown = path(c) + " " + word
	}
	hint := c.Annotations[hintKey(word)]
	if hint == "" {
		hint = didYouMean(meant(c, word), SeeHelp(c))
	}
	return Usage(fmt.Sprintf("unknown command %q", unknown), hint)
}

// meant returns the commands that the user may have meant by an unknown word below c.
func meant(c *cobra.Command, word string) []string {
	if names := nearest(c, word); len(names) > 0 {
		return names
	}
	if containsFold(c.SuggestFor, word) {
		return []string{path(c)} // the word asks for what c itself does
	}
	var names []string
	for _, child := range c.Commands() {
		for _, deeper := range child.Commands() { // adduser for user add
			if deeper.IsAvailableCommand() && (deeper.Name() == word || containsFold(deeper.SuggestFor, word)) {
				names = append(names, path(deeper))
			}
		}
	}
	return names
}

func containsFold(words []string, word string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}

func didYouMean(names []string, otherwise string) string {
	if len(names) == 0 {
		return otherwise
	}
	return "did you mean " + strings.Join(names, " or ") + "?"
}

// typo returns how many letters of a mistyped word may be wrong. A word of three letters
// with two wrong ones has too little in common with any name.
func typo(word string) int { return min(2, (len(word)+2)/3) }

// nearest returns the commands and topics of c whose names are close to a mistyped word.
// cobra measures the distance, but ignores topics: they become commands here.
func nearest(c *cobra.Command, word string) []string {
	names := &cobra.Command{SuggestionsMinimumDistance: typo(word)}
	for _, child := range c.Commands() {
		if child.IsAvailableCommand() || child.IsAdditionalHelpTopicCommand() {
			names.AddCommand(placeholder(child.Name(), child.SuggestFor))
		}
	}
	return slices.Compact(names.SuggestionsFor(word))
}

// placeholder returns a command that does nothing, to be suggested.
func placeholder(name string, suggestFor []string) *cobra.Command {
	return &cobra.Command{Use: name, SuggestFor: suggestFor, Run: func(*cobra.Command, []string) {}}
}

// flagError makes an error of usage from an error of pflag. Finish makes it the
// FlagErrorFunc of the root; Main does so again, with the arguments of the program.
func flagError(c *cobra.Command, err error, args []string) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
		syntax  *pflag.InvalidSyntaxError
	)
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(c, unknown, args)
	case errors.As(err, &missing):
		f := missing.GetFlag()
		return Usage("--"+f.Name+" needs a value", flagHelp(f))
	case errors.As(err, &invalid):
		return Usage(badValue(invalid), flagHelp(invalid.GetFlag()))
	case errors.As(err, &syntax):
		hint := SeeHelp(c)
		if takesText(c) {
			hint = afterDashes(c, syntax.GetSpecifiedFlag())
		}
		return Usage(fmt.Sprintf("%q is not a flag", syntax.GetSpecifiedFlag()), hint)
	}
	return Usage(err.Error(), SeeHelp(c))
}

func unknownFlag(c *cobra.Command, err *pflag.NotExistError, args []string) *Error {
	msg, word, typed := "unknown flag --"+err.GetSpecifiedName(), err.GetSpecifiedName(), "--"+err.GetSpecifiedName()
	if letters := err.GetSpecifiedShortnames(); letters != "" {
		msg, word, typed = "unknown flag -"+err.GetSpecifiedName(), "", "-"+letters
		if len(letters) > 1 {
			msg += fmt.Sprintf(" (in -%s)", letters)
			word = letters // -timeout for --timeout
		}
	}
	var names []string
	if word != "" {
		names = nearestFlags(c, word)
	}
	return Usage(msg, didYouMean(names, unknownHint(c, typed, args)))
}

// unknownHint is the hint for an unknown flag that is close to no other. If a word follows
// it, it may be a part of a text; a long one may also be a flag with its value.
func unknownHint(c *cobra.Command, typed string, args []string) string {
	switch {
	case takesCommand(c):
		return usageOf(c)
	case !takesText(c) || !looksLikeText(typed) && !textBehind(c.Flags(), typed, args):
		return knownFlags(c)
	case strings.HasPrefix(typed, "--"):
		return knownFlags(c) + "; " + afterDashes(c, typed)
	}
	return afterDashes(c, typed)
}

// knownFlags is a hint with the flags of c itself.
func knownFlags(c *cobra.Command) string {
	var names []string
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			names = append(names, "--"+f.Name)
		}
	})
	if len(names) == 0 {
		return SeeHelp(c)
	}
	return fmt.Sprintf("use one of %s, or of `%s --help`", strings.Join(names, ", "), c.CommandPath())
}

// takesCommand reports whether a command takes another one, with flags of its own, after --.
func takesCommand(c *cobra.Command) bool { return strings.Contains(c.Use, " -- ") }

func takesText(c *cobra.Command) bool { return strings.Contains(c.Use, "TEXT") }

// looksLikeText reports whether a word that starts with - is certainly not a flag: it is a
// negative number, or has a space.
func looksLikeText(typed string) bool {
	word := strings.TrimLeft(typed, "-")
	return strings.ContainsFunc(word, unicode.IsSpace) || word != "" && unicode.IsDigit(rune(word[0]))
}

// textBehind reports whether there is text in args after an unknown flag: a word that is
// neither a flag nor the value of a known one.
func textBehind(set *pflag.FlagSet, typed string, args []string) bool {
	at := slices.IndexFunc(args, func(arg string) bool { return arg == typed || strings.HasPrefix(arg, typed+"=") })
	if at < 0 {
		return false
	}
	for i := at + 1; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			return i+1 < len(args)
		case !strings.HasPrefix(arg, "-") || arg == "-":
			return true
		default:
			if _, takesNext := flagsOf(set, arg); takesNext {
				i++
			}
		}
	}
	return false
}

// nearestFlags returns the flags of c whose names are close to a mistyped word.
func nearestFlags(c *cobra.Command, word string) []string {
	names := &cobra.Command{}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names.AddCommand(placeholder(f.Name, nil))
		}
	})
	found := nearest(names, word)
	for i := range found {
		found[i] = "--" + found[i]
	}
	return found
}

// afterDashes is the hint for a part of a text that looks like a flag.
func afterDashes(c *cobra.Command, typed string) string {
	words := append([]string{c.CommandPath()}, c.Flags().Args()...)
	needed, _ := operands(c)
	for _, operand := range needed[min(c.Flags().NArg(), len(needed)):] {
		if operand != "TEXT" {
			words = append(words, operand)
		}
	}
	return "write text that begins with - after --, for example: " + strings.Join(append(words, "--", typed), " ")
}

// flagHelp returns a flag and what it is for.
func flagHelp(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	return "give " + strings.TrimSpace("--"+f.Name+" "+strings.ToUpper(value)) + ": " + usage
}

func badValue(err *pflag.InvalidValueError) string {
	f := err.GetFlag()
	var number *strconv.NumError
	if errors.As(err, &number) {
		if f.Value.Type() == "bool" {
			return "--" + f.Name + " takes no value" // which is not shown: it may be a password
		}
		return fmt.Sprintf("--%s: %q is not a whole number", f.Name, err.GetValue())
	}
	return fmt.Sprintf("--%s: %v", f.Name, err.Unwrap())
}

// The annotations of a flag with the groups that it is in. cobra has such annotations too,
// and completion follows them, but its errors have neither a type nor a hint: checkGroups
// comes before them.
const (
	exclusiveKey = "exclusive flags"
	togetherKey  = "flags that go together"
)

// Exclusive makes it an error of usage to give more than one of the flags.
func Exclusive(c *cobra.Command, flags ...string) {
	c.MarkFlagsMutuallyExclusive(flags...)
	annotate(c, exclusiveKey, flags)
}

// Together makes it an error of usage to give some of the flags without the others.
func Together(c *cobra.Command, flags ...string) {
	c.MarkFlagsRequiredTogether(flags...)
	annotate(c, togetherKey, flags)
}

// annotate adds a group to its first flag.
func annotate(c *cobra.Command, key string, flags []string) {
	f := c.Flag(flags[0])
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[key] = append(f.Annotations[key], strings.Join(flags, " "))
}

// checkGroups returns the error of the first group of flags that is given wrongly.
func checkGroups(c *cobra.Command, _ []string) error {
	var err error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		for _, group := range f.Annotations[exclusiveKey] {
			if given, _ := split(c, group); err == nil && len(given) > 1 {
				err = Usage(strings.Join(given, " and ")+" can't be given together", "leave one of them out")
			}
		}
		for _, group := range f.Annotations[togetherKey] {
			if given, missing := split(c, group); err == nil && len(given) > 0 && len(missing) > 0 {
				all := "--" + strings.ReplaceAll(group, " ", " and --")
				err = Usage(all+" are given together or not at all", "give "+strings.Join(missing, " and ")+" too")
			}
		}
	})
	return err
}

// split sorts the flags of a group into those that are given and those that are not.
func split(c *cobra.Command, group string) (given, missing []string) {
	for _, name := range slices.Sorted(slices.Values(strings.Fields(group))) {
		if c.Flags().Changed(name) {
			given = append(given, "--"+name)
		} else {
			missing = append(missing, "--"+name)
		}
	}
	return given, missing
}

// checkEmptyFlags returns an error if a flag has an empty value.
func checkEmptyFlags(c *cobra.Command) error {
	var err error
	c.Flags().Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if slices.Contains(values, "") {
			err = Usage(fmt.Sprintf("--%s is empty", f.Name), "give a value, or leave the flag out")
		}
	})
	return err
}

// CheckChoice returns an error of usage if the value of a flag is not one of those allowed.
func CheckChoice(flag, value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return Usage(fmt.Sprintf("%s is %q, not one of %s", flag, value, strings.Join(allowed, ", ")), "give one of these values")
}

// CheckUTF8 returns an error of usage if a text is not UTF-8.
func CheckUTF8(what, text string) error {
	if strings.ToValidUTF8(text, "") != text {
		return Usage(what+" is not UTF-8", "convert it to UTF-8, with iconv for example")
	}
	return nil
}
