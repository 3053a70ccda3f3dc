package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goRun runs the program that writes the reference of one of the two programs.
func goRun(t *testing.T, date string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "-tags", "docs"}, args...)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+date)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
}

func readFiles(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[filepath.Base(path)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestReference: docs/commands is what `make docs` makes.
func TestReference(t *testing.T) {
	statSources(t)
	folder := t.TempDir()
	goRun(t, "", "./cmd/skaroctl", "markdown", folder)
	goRun(t, "", "./cmd/skarod", "markdown", folder)
	made, kept := readFiles(t, folder), readFiles(t, "../docs/commands")
	for name, text := range made {
		if kept[name] != strings.ReplaceAll(text, "\r\n", "\n") {
			t.Errorf("docs/commands/%s is not what `make docs` makes of the help", name)
		}
	}
	for name := range kept {
		if made[name] == "" {
			t.Errorf("docs/commands/%s is of no command: run `make docs`", name)
		}
	}
}

// TestManual: the manual pages are complete and reproducible.
func TestManual(t *testing.T) {
	statSources(t)
	folder := t.TempDir()
	goRun(t, "", "./cmd/skaroctl", "man", folder)
	goRun(t, "", "./cmd/skarod", "man", folder)
	pages := readFiles(t, folder)
	for name := range readFiles(t, "../docs/commands") {
		if pages[strings.TrimSuffix(name, ".md")+".1"] == "" {
			t.Errorf("docs/commands/%s has no manual page", name)
		}
	}
	for name, text := range pages {
		program, _, _ := strings.Cut(strings.TrimSuffix(name, ".1"), "-")
		title := `.TH "` + strings.ToUpper(strings.TrimSuffix(name, ".1")) + `" "1" "" "` + program + `"`
		if !strings.Contains(text, title) {
			t.Errorf("%s does not begin with %s", name, title)
		}
		sections := []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"}
		if program == strings.TrimSuffix(name, ".1") {
			sections = []string{"NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"}
		}
		at := 0
		for _, section := range sections {
			i := strings.Index(text, "\n.SH "+section+"\n")
			if i <= at {
				t.Errorf("%s has no section %s, or not in its place", name, section)
			}
			at = i
		}
	}
	if _, err := exec.LookPath("mandoc"); err != nil {
		skip(t, "there is no mandoc", "apt-get install mandoc")
	}
	goRun(t, "86400", "./cmd/skaroctl", "man", folder)
	goRun(t, "86400", "./cmd/skarod", "man", folder)
	for name, text := range readFiles(t, folder) {
		if !strings.Contains(text, `"1" "1970-01-02"`) {
			t.Errorf("%s does not have the date of SOURCE_DATE_EPOCH", name)
		}
		if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", filepath.Join(folder, name)).CombinedOutput(); err != nil {
			t.Errorf("mandoc: %v\n%s", err, out)
		}
	}
}

// TestNotLinked: the programs do not link the reference writer.
func TestNotLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "../cmd/skaroctl", "../cmd/skarod").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, "github.com/skaroctl/skaroctl/internal/cli") {
		t.Fatalf("these are not the packages of the programs: %q", packages)
	}
	for _, p := range packages {
		if strings.Contains(p, "md2man") || strings.HasSuffix(p, "/reference") {
			t.Errorf("%s is linked", p)
		}
	}
}

// helpText returns a help with its words on one line.
func helpText(t *testing.T, args ...string) string {
	t.Helper()
	return strings.Join(strings.Fields(rawHelp(t, "skaroctl", args...)), " ")
}

var (
	statusRow    = regexp.MustCompile("(?m)^\\| (\\d+) \\| (?:`(\\w+)`)? ?\\| ([^|]*) \\| [^|]* \\|$")
	variable     = regexp.MustCompile(`"(SKAROCTL_[A-Z_]+)"`)
	markdownLink = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
)

// TestTopics: the help topics agree with the documents and leave nothing out.
func TestTopics(t *testing.T) {
	statSources(t)
	reference, err := os.ReadFile("../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := statusRow.FindAllStringSubmatch(string(reference), -1)
	if len(rows) != 9 {
		t.Fatalf("docs/reference.md has %d exit statuses", len(rows))
	}
	statuses := helpText(t, "exit-status")
	for _, row := range rows {
		want := row[1] + " " + row[3]
		if row[2] != "" {
			want = row[1] + " " + row[2] + ": " + row[3]
		}
		want = strings.ReplaceAll(markdownLink.ReplaceAllString(want, "$1"), "`", "")
		if !strings.Contains(statuses, want) {
			t.Errorf("`skaroctl help exit-status` does not say %q, as docs/reference.md does", want)
		}
	}
	environment, found := helpText(t, "environment"), 0
	for _, folder := range []string{"../cmd/skaroctl", "../internal/account"} {
		for name, text := range readFiles(t, folder) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, m := range variable.FindAllStringSubmatch(text, -1) {
				found++
				if !strings.Contains(environment, m[1]+" ") {
					t.Errorf("`skaroctl help environment` says nothing about %s", m[1])
				}
				if !strings.Contains(string(reference), m[1]) {
					t.Errorf("docs/reference.md says nothing about %s", m[1])
				}
			}
		}
	}
	if found == 0 {
		t.Error("no variable was found")
	}
}
