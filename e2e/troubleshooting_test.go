package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	kindConstant = regexp.MustCompile(`(?m)^\t(Kind[A-Z]\w*) .*(?:iota|=|//)`)
	kindMarks    = regexp.MustCompile(`<!-- ((?:\w+\.Kind\w+ )+)-->`)
	errorColumn  = regexp.MustCompile("(?m)^\\| ((?:`[^`]+`(?:, )?)+) (?:\\(.*\\) )?\\|")
	systemErrors = []string{"no space left on device", "address already in use", "no such file or directory"}
	placeholder  = regexp.MustCompile(`…|\d+|: `)
)

// TestTroubleshooting: docs/troubleshooting.md has every kind of error, and the source
// code has the words of every error in it.
func TestTroubleshooting(t *testing.T) {
	statSources(t)
	b, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	page, marked := string(b), map[string]bool{}
	for _, m := range kindMarks.FindAllStringSubmatch(page, -1) {
		for kind := range strings.FieldsSeq(m[1]) {
			marked[kind] = true
		}
	}
	for _, name := range []string{"cli", "session", "account"} {
		source, err := os.ReadFile("../internal/" + name + "/errors.go")
		if err != nil {
			t.Fatal(err)
		}
		kinds := kindConstant.FindAllStringSubmatch(string(source), -1)
		if len(kinds) < 7 {
			t.Errorf("only %d kinds were found in %s", len(kinds), name)
		}
		for _, kind := range kinds {
			if !marked[name+"."+kind[1]] {
				t.Errorf("no section is about %s.%s", name, kind[1])
			}
			delete(marked, name+"."+kind[1])
		}
	}
	for kind := range marked {
		t.Errorf("there is no %s", kind)
	}

	var sources strings.Builder
	for _, pattern := range []string{"../cmd/*/*.go", "../internal/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(text)
		}
	}
	found := 0
	for _, row := range errorColumn.FindAllStringSubmatch(page, -1) {
		for _, fragment := range placeholder.Split(strings.ReplaceAll(row[1], "`", ""), -1) {
			fragment = strings.Trim(fragment, " ,()")
			if slices.Contains(systemErrors, fragment) {
				continue
			}
			if found++; !strings.Contains(sources.String(), fragment) {
				t.Errorf("no error says %q", fragment)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d errors were found", found)
	}
}
