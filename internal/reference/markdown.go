package reference

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// markdownPage returns the page of a command in docs/commands. cobra/doc makes it, from
// texts that are Markdown; the topics of help are added to it.
func markdownPage(c *cobra.Command) ([]byte, error) {
	c.DisableAutoGenTag = true // it has the date of today
	c.Long, c.Short, c.Example = markdown(c.Long), escape(c.Short), unindent(c.Example)
	if c.HasParent() {
		c.Use = strings.TrimPrefix(cli.UseLine(c), c.Parent().CommandPath()+" ")
	}
	var b bytes.Buffer
	fmt.Fprint(&b, "<!-- Made by `make docs` from the help of the program: change that instead. -->\n\n")
	if err := doc.GenMarkdownCustom(c, &b, func(file string) string { return strings.ReplaceAll(file, "_", "-") }); err != nil {
		return nil, err
	}
	page := b.Bytes()
	if c.HasParent() {
		root := c.Root().Name()
		page = inherited.ReplaceAll(page, fmt.Appendf(nil, "Common flags: see [%s](%s.md#options).\n\n", root, root))
	}
	for _, topic := range topics(c) {
		page = fmt.Appendf(page, "### %s\n\n%s\n\n", strings.ToUpper(topic.Name()[:1])+strings.ReplaceAll(topic.Name()[1:], "-", " "), markdown(topic.Long))
	}
	return append(bytes.TrimRight(page, "\n"), '\n'), nil
}

// inherited is what cobra/doc writes about the flags of every command.
var inherited = regexp.MustCompile("(?s)### Options inherited from parent commands\n\n```\n.*?```\n\n")

// markdown returns a help text as Markdown: a list of terms becomes a table.
func markdown(text string) string {
	if text == "" {
		return ""
	}
	var parts []string
	for _, part := range blocks(text) {
		switch {
		case part.terms != nil:
			rows := []string{"| | |", "| --- | --- |"}
			for _, t := range part.terms {
				rows = append(rows, fmt.Sprintf("| `%s` | %s |", strings.ReplaceAll(t.name, "|", `\|`), escape(t.text)))
			}
			parts = append(parts, strings.Join(rows, "\n"))
		case part.lines:
			parts = append(parts, "```text\n"+unindent(part.text)+"\n```")
		default:
			parts = append(parts, escape(part.text))
		}
	}
	return strings.Join(parts, "\n\n")
}

var markup = regexp.MustCompile("[\\\\`*_\\[<>|]")

// escape protects a text from being read as Markdown, and leaves it readable.
func escape(text string) string { return markup.ReplaceAllString(text, `\$0`) }
