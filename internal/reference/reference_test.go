package reference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
)

func tree() *cobra.Command {
	root := &cobra.Command{Use: "prog", Short: "A program", Example: "  prog user add bob"}
	root.PersistentFlags().String("data", "", "`FOLDER` of the data")
	user := &cobra.Command{Use: "user", Short: "Manage users", Example: "  prog user add bob"}
	add := &cobra.Command{Use: "add LOGIN", Short: "Add a user", Long: "Add a_user.\n\n  one  first", Example: "  prog user add bob", Run: func(*cobra.Command, []string) {}}
	add.Flags().Int("count", 5, "how many")
	user.AddCommand(add)
	root.AddCommand(user, cli.Topic("exit-status", "The exit status", "  0  done"))
	cli.Finish(root)
	return root
}

func TestPagesHaveEverySection(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "86400")
	for format, want := range map[string]map[string][]string{
		"man": {
			"prog.1":          {`.TH "PROG" "1" "1970-01-02" "prog"`, "FOLDER", ".SH COMMANDS", ".SH EXIT STATUS"},
			"prog-user-add.1": {"prog user add", ".SH OPTIONS", "(default 5)", ".SH COMMON OPTIONS\nSee \\fBprog\\fP(1).", ".SH EXAMPLES", ".SH SEE ALSO"},
		},
		"markdown": {
			"prog.md":          {"## prog\n", "### Exit status\n\n| | |\n| --- | --- |\n| `0` | done |\n", "[prog user](prog-user.md)"},
			"prog-user-add.md": {"Add a\\_user.", "| `one` | first |", "```\nprog user add bob\n```", "--count int", "Common flags: see [prog](prog.md#options).\n", "[prog user](prog-user.md)"},
		},
	} {
		dir := t.TempDir()
		if status := Main(tree(), []string{format, dir}); status != 0 {
			t.Fatalf("%s: status %d", format, status)
		}
		for file, parts := range want {
			page, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range parts {
				if !strings.Contains(string(page), part) {
					t.Errorf("%s lacks %q:\n%s", file, part, page)
				}
			}
		}
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{nil, {"man"}, {"html", t.TempDir()}, {"man", filepath.Join(t.TempDir(), "missing")}} {
		if err := write(tree(), args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if err := write(tree(), []string{"man", t.TempDir()}); err == nil || !strings.Contains(err.Error(), `"yesterday"`) {
		t.Errorf("%v", err)
	}
}
