// Package cli is what the command lines of both programs have in common:
// help, completion, and errors of usage that say what to do.
package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// UsageError is a word that is no command.
type UsageError struct{ Why, Advice string }

func (e *UsageError) Error() string { return e.Why }

// Hint is what to do about it.
func (e *UsageError) Hint() string { return e.Advice }

// Finish completes a tree of commands: it adds help and completion, and makes a
// command that only holds others refuse what is none of them. args are those of the
// program: what only completion needs is left out where they ask for none, because
// it would make every start slower.
func Finish(root *cobra.Command, args []string) {
	root.DisableSuggestions = true // Explain has better ones
	help := helpCommand(root.Name())
	root.SetHelpCommand(help)
	root.AddCommand(help, completionCommand(root.Name()))
	holdOnly(root)
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		completeFiles(root)
	}
}

func holdOnly(c *cobra.Command) {
	for _, child := range c.Commands() {
		holdOnly(child)
	}
	if c.HasParent() && c.HasSubCommands() && !c.Runnable() {
		c.Args = cobra.NoArgs
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
}

// completeFiles sees that completion offers names of files where a file is wanted,
// and only there.
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
		must(c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(nil, directive)))
	}
	c.LocalNonPersistentFlags().VisitAll(complete)
	c.PersistentFlags().VisitAll(complete)
}

// Choices are the values that completion offers for a flag.
func Choices(c *cobra.Command, flag string, values ...string) {
	Completes(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// Completes sets what completes the value of a flag.
func Completes(c *cobra.Command, flag string, complete cobra.CompletionFunc) {
	must(c.RegisterFlagCompletionFunc(flag, complete))
}

// must is for what fails only where a flag does not exist.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Topic is a page of help that is no command. It becomes a section of the manual,
// named as the topic.
func Topic(name, short, long string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: long}
}

func helpCommand(program string) *cobra.Command {
	c := &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Show the help of a command or topic",
		Example: strings.ReplaceAll(`  PROGRAM help completion
  PROGRAM help exit-status`, "PROGRAM", program),
	}
	c.ValidArgsFunction = func(c *cobra.Command, words []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		about, rest := find(c.Root(), words)
		var names []cobra.Completion
		for _, child := range about.Commands() {
			if len(rest) == 0 && !child.Hidden && strings.HasPrefix(child.Name(), begun) {
				names = append(names, cobra.CompletionWithDesc(child.Name(), child.Short))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	c.RunE = func(c *cobra.Command, words []string) error {
		about, rest := find(c.Root(), words)
		if len(rest) > 0 {
			why, hint := UnknownCommand(about, rest[0])
			return &UsageError{why, hint}
		}
		about.InitDefaultHelpFlag()
		return about.Help()
	}
	return c
}

// find goes down the tree as far as the words are names, and returns the others.
func find(c *cobra.Command, words []string) (*cobra.Command, []string) {
	for len(words) > 0 {
		var next *cobra.Command
		for _, child := range c.Commands() {
			if child.Name() == words[0] {
				next = child
			}
		}
		if next == nil {
			break
		}
		c, words = next, words[1:]
	}
	return c, words
}

var shells = map[string]func(*cobra.Command) error{
	"bash":       func(root *cobra.Command) error { return root.GenBashCompletionV2(root.OutOrStdout(), true) },
	"zsh":        func(root *cobra.Command) error { return root.GenZshCompletion(root.OutOrStdout()) },
	"fish":       func(root *cobra.Command) error { return root.GenFishCompletion(root.OutOrStdout(), true) },
	"powershell": func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(root.OutOrStdout()) },
}

func completionCommand(program string) *cobra.Command {
	names := []cobra.Completion{"bash", "fish", "powershell", "zsh"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write a script that completes words in a shell",
		Long: strings.ReplaceAll(`Write a script to standard output that makes the Tab key complete the commands,
flags and arguments of PROGRAM in a SHELL: bash, zsh, fish or powershell.

For this shell alone, or for all when it is in the shell's start-up file:

  bash        eval "$(PROGRAM completion bash)"
  zsh         eval "$(PROGRAM completion zsh)"
  fish        PROGRAM completion fish | source
  powershell  PROGRAM completion powershell | Out-String | Invoke-Expression

bash needs the package bash-completion; zsh needs "autoload -U compinit; compinit"
before that line.`, "PROGRAM", program),
		Example: strings.ReplaceAll(`  eval "$(PROGRAM completion bash)"
  PROGRAM completion fish >~/.config/fish/completions/PROGRAM.fish`, "PROGRAM", program),
		Args:      cobra.ExactArgs(1),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			write, ok := shells[args[0]]
			if !ok {
				return &UsageError{fmt.Sprintf("there is no completion for %q", args[0]), "the shells are " + strings.Join(names, ", ")}
			}
			return write(c.Root())
		},
	}
}
