package e2e

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^```.*?^```$|^(?: {4}[^\n]*\n)+")
	codeSpan  = regexp.MustCompile("`[^`\n]+`")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|href|srcset)="([^"]+)"`)
	heading   = regexp.MustCompile(`(?m)^#{1,6} +(.*?)#*$`)
)

// TestLinks: every link of the documents to a place inside the project has its target.
func TestLinks(t *testing.T) {
	files := []string{"../README.md", "../CHANGELOG.md", "../CONTRIBUTING.md", "../SECURITY.md", "../.github/pull_request_template.md"}
	err := filepath.WalkDir("../docs", func(path string, d fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range targets(string(text)) {
			if err := linked(file, target); err != nil {
				t.Errorf("%s: the link to %s: %v", file, target, err)
			}
			found++
		}
	}
	if found < 20 {
		t.Errorf("only %d links were found", found)
	}
}

// targets are the links of a text to places inside the project.
func targets(text string) []*url.URL {
	var list []*url.URL
	prose := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "")
	for _, m := range link.FindAllStringSubmatch(prose, -1) {
		target, err := url.Parse(m[1] + m[2])
		if err != nil {
			target = &url.URL{Path: m[1] + m[2]} // nothing has that name
		}
		if target.Scheme == "" {
			list = append(list, target)
		}
	}
	return list
}

// linked looks for the target of a relative link.
func linked(file string, target *url.URL) error {
	path := file
	if target.Path != "" {
		path = filepath.Join(filepath.Dir(file), filepath.FromSlash(target.Path))
	}
	text, err := os.ReadFile(path)
	if err != nil || target.Fragment == "" {
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() && target.Fragment == "" {
			return nil
		}
		return err
	}
	seen := map[string]int{}
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(text), ""), -1) {
		name := anchor(m[1])
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, seen[name]-1)
		}
		if name == target.Fragment {
			return nil
		}
	}
	return fmt.Errorf("no heading of it is #%s", target.Fragment)
}

// anchor is the name that GitHub gives to a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

func TestAnchor(t *testing.T) {
	for heading, want := range map[string]string{
		"Exit status": "exit-status", "--exec COMMAND": "--exec-command", "`skarod`, the server": "skarod-the-server",
	} {
		if got := anchor(heading); got != want {
			t.Errorf("%q: %q, not %q", heading, got, want)
		}
	}
}
