package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// pagesOf returns the words that name each command and topic of a program, after the
// program.
func pagesOf(t *testing.T, program string) (commands, topics []string) {
	t.Helper()
	for name := range readFiles(t, "../docs/commands") {
		if words := strings.Split(strings.TrimSuffix(name, ".md"), "-"); words[0] == program {
			commands = append(commands, strings.Replace(strings.Join(words[1:], " "), "register type", "register-type", 1))
		}
	}
	_, list, _ := strings.Cut(rawHelp(t, program), "\nTopics:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		topics = append(topics, strings.Fields(line)[0])
	}
	return commands, topics
}

func rawHelp(t *testing.T, program string, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, append([]string{"help"}, words...)...).Output()
	if err != nil {
		t.Fatalf("%s help %q: %v", program, words, err)
	}
	return string(out)
}

// startsPlainly is the first line of a help: a verb, and not more than ten words.
var startsPlainly = regexp.MustCompile(`^(Add|Change|Chat|Create|Delete|Disable|Enable|Find|Forget|List|Log|Make|Manage|Print|Put|Remove|Replace|Revoke|Run|Send|Show|Take|Write)( \S+){0,9}\.$`)

// An argument that begins with a variable may look like a flag, unless it is behind "--" or
// is the value of a flag.
var (
	takesVariable = regexp.MustCompile(` "\$[A-Za-z_{]`)
	takesSafely   = regexp.MustCompile(` --([a-z][a-z-]*)? "\$[A-Za-z_{]`)
)

var quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)

// TestHelpIsShortAndFitsATerminal: the help of each command starts with an imperative of
// at most ten words, goes on with at most two paragraphs, quotes the variables in its
// examples, and has no line of more than 80 columns. Topics have only the last of these.
func TestHelpIsShortAndFitsATerminal(t *testing.T) {
	statSources(t)
	for _, program := range []string{"skaroctl", "skarod"} {
		commands, topics := pagesOf(t, program)
		if len(commands) < 10 || len(topics) < 3 {
			t.Fatalf("%s has the commands %q and the topics %q", program, commands, topics)
		}
		for _, words := range append(commands, topics...) {
			for line := range strings.Lines(rawHelp(t, program, strings.Fields(words)...)) {
				if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > 80 {
					t.Errorf("%s help %s: more than 80 columns: %s", program, words, line)
				}
			}
		}
		for _, words := range commands {
			text := rawHelp(t, program, strings.Fields(words)...)
			description, rest, ok := strings.Cut(text, "\n\nUsage:\n")
			common := fmt.Sprintf("\n\nCommon flags: see `%s help flags`\n", program)
			if !ok || words != "" && !strings.HasSuffix(rest, common) {
				t.Errorf("%s help %s has no usage, or does not name the common flags in its last line:\n%s", program, words, text)
			}
			_, examples, _ := strings.Cut(rest, "\n\nExamples:\n")
			examples, _, _ = strings.Cut(examples, "\n\n")
			for line := range strings.Lines(examples) {
				if strings.Contains(quoted.ReplaceAllString(line, ""), "$") {
					t.Errorf("%s help %s: an example has a variable without quotes: %s", program, words, line)
				}
				if takesVariable.MatchString(line) && !takesSafely.MatchString(line) {
					t.Errorf("%s help %s: an example takes a variable for an operand without --: %s", program, words, line)
				}
			}
			prose := 0
			for i, part := range strings.Split(description, "\n\n") {
				switch {
				case i == 0 && !startsPlainly.MatchString(part):
					t.Errorf("%s help %s does not start with an imperative of at most ten words: %s", program, words, part)
				case i > 0 && !strings.HasPrefix(part, "  "):
					prose++
				}
			}
			if prose > 2 {
				t.Errorf("%s help %s has %d paragraphs: move some to docs/", program, words, prose)
			}
		}
	}
}

var (
	changelogHeading = regexp.MustCompile(`^## (Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d)$`)
	changelogEntry   = regexp.MustCompile("^- `[^`]+`.*[.]$")
)

// TestChangelogEntriesAreOneLineAndNameTheCommand: CHANGELOG.md has the changes that are not
// released above the releases with their dates, in entries of one line that begin with the
// command.
func TestChangelogEntriesAreOneLineAndNameTheCommand(t *testing.T) {
	statSources(t)
	b, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	_, releases, _ := strings.Cut(string(b), "\n## ")
	headings, entries, list := []string{}, 0, false
	for line := range strings.Lines("## " + releases) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "#"):
			if headings = append(headings, line); !changelogHeading.MatchString(line) {
				t.Errorf("CHANGELOG.md: a heading is a version and its date, not so: %s", line)
			}
		case strings.HasPrefix(line, "-"):
			if entries++; !changelogEntry.MatchString(line) {
				t.Errorf("CHANGELOG.md: an entry begins with the command and ends with a full stop, not so: %s", line)
			}
		case list && line != "":
			t.Errorf("CHANGELOG.md: an entry is one line, not so: %s", line)
		}
		list = strings.HasPrefix(line, "-")
	}
	if len(headings) == 0 || headings[0] != "## Unreleased" || slices.Index(headings[1:], headings[0]) >= 0 {
		t.Errorf("CHANGELOG.md: the first heading is Unreleased, not so: %q", headings)
	}
	if entries == 0 {
		t.Error("CHANGELOG.md has no entries")
	}
}
