package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// checkTextWords returns an error of usage if a flag may be a part of a text: if the text
// has several words, and a flag comes between or after them, or if the flag for help is
// given with any text. pflag would take such a flag out of the text, and send the rest. It
// applies to commands that take a text of any number of words, "[TEXT...]".
func checkTextWords(root *cobra.Command, args []string) error {
	c, args, err := root.Find(args)
	if err != nil {
		return nil // cobra finds the same error
	}
	needed, most := operands(c)
	if most >= 0 || !strings.Contains(c.Use, "[TEXT...]") {
		return nil
	}
	c.InitDefaultHelpFlag()
	_ = c.InheritedFlags() // adds them to Flags
	l, ok := readCommandLine(c.Flags(), args)
	if !ok || len(l.words) <= len(needed) {
		return nil
	}
	text := l.words[len(needed):]
	for _, f := range l.flags {
		behind := fmt.Sprintf("to send %s as text, write `%s %s -- TEXT...`", f.typed, c.CommandPath(), strings.Join(needed, " "))
		switch several := len(text) > 1; {
		case f.name == "help":
			return Usage(f.typed+" is given with a text", fmt.Sprintf("run `%s --help` alone to see the help; %s", c.CommandPath(), behind))
		case several && f.at > text[len(text)-1].at:
			return Usage(f.typed+" comes after a text of several words", "put flags before the text, or the text in quotes; "+behind)
		case several && f.at > text[0].at:
			return Usage(f.typed+" comes between the words of a text", "put flags before the text, or the text in quotes; "+behind)
		}
	}
	return nil
}

// commandLine has the words and flags of a command line, with their places.
type commandLine struct {
	words []placedWord
	flags []placedWord
}

// placedWord is an argument at a place.
type placedWord struct {
	at    int
	typed string
	name  string // of a flag
}

// readCommandLine finds out which arguments are flags, as pflag does. ok is false if one is
// unknown or incomplete.
func readCommandLine(set *pflag.FlagSet, args []string) (l commandLine, ok bool) {
	for i := 0; i < len(args); i++ {
		switch at, arg := i, args[i]; {
		case arg == "--":
			for j, word := range args[i+1:] {
				l.words = append(l.words, placedWord{at: i + 1 + j, typed: word})
			}
			return l, true
		case len(arg) < 2 || arg[0] != '-':
			l.words = append(l.words, placedWord{at: at, typed: arg})
		default:
			flags, takesNext := flagsOf(set, arg)
			if flags == nil || takesNext && i+1 == len(args) {
				return l, false
			}
			for _, f := range flags {
				l.flags = append(l.flags, placedWord{at: at, typed: arg, name: f.Name})
			}
			if takesNext {
				i++
			}
		}
	}
	return l, true
}

// flagsOf returns the flags in one argument, nil if one of them is unknown, and whether
// the next argument is the value of the last one.
func flagsOf(set *pflag.FlagSet, arg string) (flags []*pflag.Flag, takesNext bool) {
	if name, long := strings.CutPrefix(arg, "--"); long {
		name, _, hasValue := strings.Cut(name, "=")
		f := set.Lookup(name)
		if f == nil {
			return nil, false
		}
		return []*pflag.Flag{f}, !hasValue && f.NoOptDefVal == ""
	}
	for i := 1; i < len(arg); i++ {
		f := set.ShorthandLookup(arg[i : i+1])
		if f == nil {
			return nil, false
		}
		flags = append(flags, f)
		switch rest := arg[i+1:]; {
		case strings.HasPrefix(rest, "="):
			return flags, false
		case f.NoOptDefVal == "":
			return flags, rest == "" // the rest is the value
		}
	}
	return flags, false
}
