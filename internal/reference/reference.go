// Package reference writes the manual pages and docs/commands from a tree of commands.
// Only programs made for that use it (build tag docs), because what it needs would slow
// down every start of skaroctl.
package reference

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Main is a program that writes the reference of a tree of commands. Its arguments are
// `man DIR` or `markdown DIR`; it returns the exit status.
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
	extension, page := ".md", markdownPage
	if args[0] == "man" {
		date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
		if err != nil {
			return err
		}
		extension, page = ".1", func(c *cobra.Command) ([]byte, error) { return manualPage(c, date), nil }
	}
	for _, c := range commands(root) {
		content, err := page(c)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(args[1], pageName(c)+extension), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// commands returns a command and all below it, without the topics of help.
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

// topics returns the topics of help of c, in the order that man-pages(7) gives them.
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
