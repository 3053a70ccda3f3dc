package reference

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// sourceDate returns the date of the pages, from SOURCE_DATE_EPOCH. Without it they have
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

// manualPage returns the manual page of a command, which md2man makes from Markdown.
//
// cobra/doc uses md2man too, but its pages have a date that mandoc can't parse ("Nov
// 2026") and tabs that it warns of, write every flag with its empty default (--exec=""),
// flow the lists of a help text into paragraphs, and lack the sections COMMANDS, EXIT
// STATUS, ENVIRONMENT and FILES.
func manualPage(c *cobra.Command, date string) []byte {
	var m manual
	m.add("%% %q \"1\" %q %q \"User Commands\"\n\n", strings.ToUpper(pageName(c)), date, c.Root().Name())
	m.add("# NAME\n\n%s \\- %s\n\n", pageName(c), plain(c.Short))
	m.add("# SYNOPSIS\n\n**%s**%s\n\n", plain(c.CommandPath()), plain(strings.TrimPrefix(cli.UseLine(c), c.CommandPath())))
	m.add("# DESCRIPTION\n\n")
	m.addText(description(c))
	if c.HasAvailableSubCommands() {
		m.add("# COMMANDS\n\n")
		for _, child := range commands(c)[1:] {
			m.add("**%s**(1)\n: %s\n\n", plain(pageName(child)), plain(child.Short))
		}
	}
	m.addOptions("OPTIONS", c.NonInheritedFlags())
	if c.HasParent() {
		m.add("# COMMON OPTIONS\n\nSee **%s**(1).\n\n", c.Root().Name())
	}
	for _, topic := range topics(c) {
		m.add("# %s\n\n", strings.ToUpper(strings.ReplaceAll(topic.Name(), "-", " ")))
		m.addText(topic.Long)
	}
	if c.HasParent() {
		m.add("# EXIT STATUS\n\nSee **%s**(1).\n\n", c.Root().Name())
	}
	m.add("# EXAMPLES\n\n```\n%s\n```\n\n", unindent(c.Example))
	m.add("# SEE ALSO\n\n")
	for i, other := range related(c) {
		if i > 0 {
			m.add(", ")
		}
		m.add("**%s**(1)", plain(pageName(other)))
	}
	m.add("\n")
	return md2man.Render([]byte(m.text.String()))
}

// manual is a manual page that is being written, as the Markdown of md2man.
type manual struct{ text strings.Builder }

// add adds Markdown, as fmt.Sprintf makes it.
func (m *manual) add(markdown string, args ...any) { fmt.Fprintf(&m.text, markdown, args...) }

// addText adds a help text.
func (m *manual) addText(text string) {
	for _, part := range blocks(text) {
		switch {
		case part.terms != nil:
			for _, t := range part.terms {
				m.add("**%s**\n: %s\n\n", plain(t.name), plain(t.text))
			}
		case part.lines:
			m.add("```\n%s\n```\n\n", unindent(part.text))
		default:
			m.add("%s\n\n", plain(part.text))
		}
	}
}

// addOptions adds a section with flags, if there are any.
func (m *manual) addOptions(title string, set *pflag.FlagSet) {
	if !set.HasAvailableFlags() {
		return
	}
	m.add("# %s\n\n", title)
	flags(set, func(names, value, usage string) {
		m.add("**%s**", plain(names))
		if value != "" {
			m.add(" *%s*", plain(value))
		}
		m.add("\n: %s\n\n", plain(usage))
	})
}

// related returns the commands whose pages the one of c refers to.
func related(c *cobra.Command) []*cobra.Command {
	if c.HasParent() && c.Parent().HasParent() {
		return []*cobra.Command{c.Root(), c.Parent()}
	}
	if c.HasParent() {
		return append([]*cobra.Command{c.Root()}, commands(c)[1:]...)
	}
	return commands(c)[1:]
}

func description(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

// flags calls show for each flag that is not hidden: its names and value, and what it is
// for, with its default.
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

var special = regexp.MustCompile("[\\\\`*_{}\\[\\]()#+\\-.!:|&<>~]")

// plain protects a text from being read as Markdown.
func plain(text string) string { return special.ReplaceAllString(text, `\$0`) }
