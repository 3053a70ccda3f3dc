package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Finish completes a tree of commands: it adds help and completion, and the checks that
// turn wrong usage into an Error.
func Finish(root *cobra.Command) {
	root.DisableSuggestions = true // UnknownCommand has better ones
	root.PersistentFlags().BoolP("help", "h", false, "show the help of a command")
	help := helpCommand(root.Name())
	root.SetHelpCommand(help)
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { _, _ = io.WriteString(c.OutOrStdout(), helpText(c)) })
	root.AddCommand(help, completionCommand(root.Name()))
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return flagError(c, err, nil) })
	root.PersistentPreRunE = checkGroups
	finishGroups(root)
	completeFiles(root)
}

// finishGroups makes a command that only has others below it show its help, and refuse an
// argument. The root is left to cobra, which finds a word that is not a command before it
// reads any flag.
func finishGroups(c *cobra.Command) {
	for _, child := range c.Commands() {
		finishGroups(child)
	}
	if c.HasParent() && c.HasSubCommands() && !c.Runnable() {
		c.Args = CheckArgs
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
}

// Topic returns a page of help that is not a command. It becomes a section of the manual,
// with the name of the topic.
func Topic(name, short, long string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: long}
}

// flagsTopic is the name of the topic with the flags of every command. The help of each
// command refers to it.
const flagsTopic = "flags"

// helpWidth is how many columns a line of help has at most.
const helpWidth = 80

// helpText returns the help of a command or a topic.
func helpText(c *cobra.Command) string {
	var b strings.Builder
	b.WriteString(c.Short + ".\n")
	if c.Long != "" {
		b.WriteString("\n" + strings.Trim(c.Long, "\n") + "\n")
	}
	if c.IsAdditionalHelpTopicCommand() {
		if c.Name() == flagsTopic {
			b.WriteString("\n" + flagList(c.Root().PersistentFlags()))
		}
		return b.String()
	}
	section := func(title, text string) {
		if text != "" {
			b.WriteString("\n" + title + ":\n" + text)
		}
	}
	section("Usage", "  "+UseLine(c)+"\n")
	section("Examples", c.Example+"\n")
	section("Commands", children(c, (*cobra.Command).IsAvailableCommand))
	section("Flags", flagList(c.NonInheritedFlags()))
	program := c.Root().Name()
	if c.HasParent() {
		fmt.Fprintf(&b, "\nCommon flags: see `%s help flags`\n", program)
	} else {
		section("Topics", children(c, (*cobra.Command).IsAdditionalHelpTopicCommand))
		fmt.Fprintf(&b, "\nRun `%s help NAME` for the help of a command or a topic.\n", program)
	}
	return b.String()
}

// UseLine returns how a command is written, with its flags before its operands.
func UseLine(c *cobra.Command) string {
	line := c.CommandPath() + " [flags]"
	switch {
	case !c.HasParent():
		line += " COMMAND"
	case c.HasSubCommands():
		line += " [COMMAND]"
	}
	if _, operands, ok := strings.Cut(c.Use, " "); ok {
		line += " " + operands
	}
	return line
}

// flagList lists flags, wrapped to helpWidth.
func flagList(flags *pflag.FlagSet) string {
	const overlong = 4 // columns that pflag may add to a line
	return flags.FlagUsagesWrapped(helpWidth - overlong)
}

// children lists some of the commands below c.
func children(c *cobra.Command, listed func(*cobra.Command) bool) string {
	var b strings.Builder
	for _, child := range c.Commands() {
		if listed(child) {
			fmt.Fprintf(&b, "  %-*s  %s\n", c.Commands()[0].NamePadding(), child.Name(), child.Short)
		}
	}
	return b.String()
}

// Help returns the rows of a table and of Signals, by exit status, as a list for the topic
// exit-status. With kinds it names the kind of each.
func (t Table) Help(kinds bool) string {
	var b strings.Builder
	for _, row := range slices.SortedFunc(slices.Values(slices.Concat(t, Signals)), func(a, b Row) int { return cmp.Compare(a.Exit, b.Exit) }) {
		text := row.When
		if kinds || row.Kind == KindInterrupted {
			text = string(row.Kind) + ": " + text
		}
		fmt.Fprintf(&b, "  %-3d ", row.Exit)
		column := 6
		for word := range strings.FieldsSeq(text) {
			if column += 1 + len(word); column > helpWidth {
				b.WriteString("\n      ")
				column = 7 + len(word)
			}
			b.WriteString(" " + word)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func helpCommand(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Show the help of a command or a topic",
		Example: strings.ReplaceAll(`  PROGRAM help completion
  PROGRAM help exit-status`, "PROGRAM", program),
		ValidArgsFunction: completeHelp,
		RunE: func(c *cobra.Command, words []string) error {
			about, rest := find(c.Root(), words)
			if len(rest) > 0 {
				return UnknownCommand(about, rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

func completeHelp(c *cobra.Command, words []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	about, rest := find(c.Root(), words)
	var names []cobra.Completion
	for _, child := range about.Commands() {
		if len(rest) == 0 && !child.Hidden && strings.HasPrefix(child.Name(), typed) {
			names = append(names, cobra.CompletionWithDesc(child.Name(), child.Short))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// find goes down the tree while the words are names, and returns the words that are left.
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
		Short: "Print the completion script for a shell",
		Long: strings.ReplaceAll(`Put the line for your shell into its start-up file, or run it to try it:

  bash        eval "$(PROGRAM completion bash)"
  zsh         eval "$(PROGRAM completion zsh)"
  fish        PROGRAM completion fish | source
  powershell  PROGRAM completion powershell | Out-String | Invoke-Expression

bash needs the package bash-completion. zsh needs "autoload -U compinit;
compinit" before the line.`, "PROGRAM", program),
		Example: strings.ReplaceAll(`  eval "$(PROGRAM completion bash)"
  PROGRAM completion fish >~/.config/fish/completions/PROGRAM.fish`, "PROGRAM", program),
		Args:      CheckArgs,
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			write, ok := shells[args[0]]
			if !ok {
				return Usage(fmt.Sprintf("there is no completion for %q", args[0]), "give one of "+strings.Join(names, ", "))
			}
			return write(c.Root())
		},
	}
}
