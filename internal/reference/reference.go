// Package reference writes the manual pages and docs/commands from a tree of
// commands. Only programs made for that use it (build tag docs): what it needs
// would make every start of skaroctl slower.
package reference

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Main is a program that writes the reference of a tree of commands. Its arguments
// are `man DIR` or `markdown DIR`; it returns the exit status.
func Main(root *cobra.Command, args []string) int {
	if err := write(root, args); err != nil {
		fmt.Fprintf(os.Stderr, "reference of %s: %v\n", root.Name(), err)
		return 1
	}
	return 0
}

func write(root *cobra.Command, args []string) error {
	if len(args) != 2 || args[0] != "man" && args[0] != "markdown" {
		return errors.New("the arguments are not `man DIR` or `markdown DIR`")
	}
	date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	for _, c := range commands(root) {
		file, content := pageName(c)+".md", []byte(markdownPage(c))
		if args[0] == "man" {
			file, content = pageName(c)+".1", manual(c, date)
		}
		if err := os.WriteFile(filepath.Join(args[1], file), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sourceDate is the date of the pages, from SOURCE_DATE_EPOCH; without it they have
// none, so that the same source makes the same pages on every day.
func sourceDate(epoch string) (string, error) {
	if epoch == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH is %q, not a number of seconds", epoch)
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}

// commands are a command and all below it. Topics of help are none.
func commands(c *cobra.Command) []*cobra.Command {
	c.InitDefaultHelpFlag()
	all := []*cobra.Command{c}
	for _, child := range c.Commands() {
		if !child.Hidden && !child.IsAdditionalHelpTopicCommand() {
			all = append(all, commands(child)...)
		}
	}
	return all
}

// topics are the topics of help of c, in the order that man-pages(7) gives them.
func topics(c *cobra.Command) (found []*cobra.Command) {
	for _, name := range []string{"exit-status", "environment", "files"} {
		for _, child := range c.Commands() {
			if child.Name() == name {
				found = append(found, child)
			}
		}
	}
	return found
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// related are the pages to look at after that of c.
func related(c *cobra.Command) []*cobra.Command {
	if c.HasParent() && c.Parent().HasParent() {
		return []*cobra.Command{c.Root(), c.Parent()}
	}
	if c.HasParent() {
		return append([]*cobra.Command{c.Root()}, commands(c)[1:]...)
	}
	return commands(c)[1:]
}

func synopsis(c *cobra.Command) string {
	line := c.CommandPath()
	if c.HasAvailableFlags() {
		line += " [flags]"
	}
	if !c.Runnable() || c.HasSubCommands() {
		line += " [command]"
	}
	if _, operands, ok := strings.Cut(c.Use, " "); ok {
		line += " " + operands
	}
	return line
}

func description(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

// block is a part of a help text between empty lines: a paragraph, a list of terms
// and what they are, or lines to show as they stand.
type block struct {
	text  string
	terms []term
	lines bool
}

type term struct{ name, text string }

var (
	termLine     = regexp.MustCompile(`^  (\S.*?)(?: {2,}(\S.*))?$`)
	continuation = regexp.MustCompile(`^ {4,}(\S.*)$`)
)

// blocks takes a help text apart. Indented lines are a list of terms where each
// begins with a term and two spaces or more, or goes on with the one before.
func blocks(text string) []block {
	var found []block
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		b := block{text: part, lines: strings.HasPrefix(part, "  ")}
		if b.lines {
			b.terms = terms(strings.Split(part, "\n"))
		}
		found = append(found, b)
	}
	return found
}

func terms(lines []string) (found []term) {
	for _, line := range lines {
		if m := termLine.FindStringSubmatch(line); m != nil {
			found = append(found, term{m[1], m[2]})
		} else if m := continuation.FindStringSubmatch(line); m != nil && len(found) > 0 {
			last := &found[len(found)-1]
			last.text = strings.TrimSpace(last.text + " " + m[1])
		} else {
			return nil
		}
	}
	for _, t := range found {
		if t.text == "" {
			return nil
		}
	}
	return found
}

// unindent removes what the lines of an example are indented by.
func unindent(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		lines = append(lines, strings.TrimPrefix(line, "  "))
	}
	return strings.Join(lines, "\n")
}

var special = regexp.MustCompile("[\\\\`*_{}\\[\\]()#+\\-.!:|&<>~]")

// plain protects a text from being read as Markdown.
func plain(text string) string { return special.ReplaceAllString(text, `\$0`) }

// flags calls show for each flag that is to be seen: its names and value, and what
// it is for, with its default.
func flags(set *pflag.FlagSet, show func(names, value, usage string)) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		names := "--" + f.Name
		if f.Shorthand != "" {
			names = "-" + f.Shorthand + ", " + names
		}
		value, usage := pflag.UnquoteUsage(f)
		switch f.DefValue {
		case "", "0", "0s", "false", "[]":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		show(names, strings.ToUpper(value), usage)
	})
}

// manual is the manual page of a command. md2man makes it from Markdown.
func manual(c *cobra.Command, date string) []byte {
	var b strings.Builder
	f := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	text := func(s string) {
		for _, part := range blocks(s) {
			switch {
			case part.terms != nil:
				for _, t := range part.terms {
					f("**%s**\n: %s\n\n", plain(t.name), plain(t.text))
				}
			case part.lines:
				f("```\n%s\n```\n\n", unindent(part.text))
			default:
				f("%s\n\n", plain(part.text))
			}
		}
	}
	options := func(title string, set *pflag.FlagSet) {
		if set.HasAvailableFlags() {
			f("# %s\n\n", title)
			flags(set, func(names, value, usage string) {
				f("**%s**", plain(names))
				if value != "" {
					f(" *%s*", plain(value))
				}
				f("\n: %s\n\n", plain(usage))
			})
		}
	}
	f("%% %q \"1\" %q %q \"User Commands\"\n\n", strings.ToUpper(pageName(c)), date, c.Root().Name())
	f("# NAME\n\n%s \\- %s\n\n", pageName(c), plain(c.Short))
	f("# SYNOPSIS\n\n**%s**%s\n\n", plain(c.CommandPath()), plain(strings.TrimPrefix(synopsis(c), c.CommandPath())))
	f("# DESCRIPTION\n\n")
	text(description(c))
	if c.HasAvailableSubCommands() {
		f("# COMMANDS\n\n")
		for _, child := range commands(c)[1:] {
			f("**%s**(1)\n: %s\n\n", plain(pageName(child)), plain(child.Short))
		}
	}
	options("OPTIONS", c.NonInheritedFlags())
	options("COMMON OPTIONS", c.InheritedFlags())
	for _, topic := range topics(c) {
		f("# %s\n\n", strings.ToUpper(strings.ReplaceAll(topic.Name(), "-", " ")))
		text(topic.Long)
	}
	if c.HasParent() {
		f("# EXIT STATUS\n\nSee **%s**(1).\n\n", c.Root().Name())
	}
	f("# EXAMPLES\n\n```\n%s\n```\n\n", unindent(c.Example))
	f("# SEE ALSO\n\n")
	for i, other := range related(c) {
		if i > 0 {
			f(", ")
		}
		f("**%s**(1)", plain(pageName(other)))
	}
	f("\n")
	return md2man.Render([]byte(b.String()))
}

// markdownPage is the page of a command in docs/commands.
func markdownPage(c *cobra.Command) string {
	var b strings.Builder
	f := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	text := func(s string) {
		for _, part := range blocks(s) {
			switch {
			case part.terms != nil:
				f("| | |\n| --- | --- |\n")
				for _, t := range part.terms {
					f("| `%s` | %s |\n", strings.ReplaceAll(t.name, "|", `\|`), cell(t.text))
				}
				f("\n")
			case part.lines:
				f("```sh\n%s\n```\n\n", unindent(part.text))
			default:
				f("%s\n\n", markdown(part.text))
			}
		}
	}
	options := func(title string, set *pflag.FlagSet) {
		if set.HasAvailableFlags() {
			f("## %s\n\n| | |\n| --- | --- |\n", title)
			flags(set, func(names, value, usage string) {
				f("| `%s` | %s |\n", strings.TrimSpace(names+" "+value), cell(usage))
			})
			f("\n")
		}
	}
	f("<!-- Made by `make docs` from the help of the program: change that instead. -->\n\n# %s\n\n", c.CommandPath())
	f("%s.\n\n```\n%s\n```\n\n", markdown(c.Short), synopsis(c))
	if c.Long != "" {
		text(c.Long)
	}
	if c.HasAvailableSubCommands() {
		f("## Commands\n\n| | |\n| --- | --- |\n")
		for _, child := range commands(c)[1:] {
			f("| [%s](%s.md) | %s |\n", strings.TrimPrefix(child.CommandPath(), c.Root().Name()+" "), pageName(child), cell(child.Short))
		}
		f("\n")
	}
	f("## Examples\n\n```sh\n%s\n```\n\n", unindent(c.Example))
	options("Flags", c.NonInheritedFlags())
	options("Common flags", c.InheritedFlags())
	for _, topic := range topics(c) {
		f("## %s\n\n", strings.ToUpper(topic.Name()[:1])+strings.ReplaceAll(topic.Name()[1:], "-", " "))
		text(topic.Long)
	}
	if c.HasParent() {
		f("See also ")
		for i, other := range related(c) {
			if i > 0 {
				f(", ")
			}
			f("[%s](%s.md)", other.CommandPath(), pageName(other))
		}
		f(".\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

var markup = regexp.MustCompile("[\\\\`*_\\[<>|]")

// markdown protects a text from being read as Markdown, and leaves it readable.
func markdown(text string) string { return markup.ReplaceAllString(text, `\$0`) }

// cell is a text in a cell of a table, where a line may not end.
func cell(text string) string { return markdown(strings.ReplaceAll(text, "\n", " ")) }
