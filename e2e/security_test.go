package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLimitsNameTheirConstants finds every constant that docs/security.md names in its list of limits.
func TestLimitsNameTheirConstants(t *testing.T) {
	known := map[string]bool{}
	for _, root := range []string{"../cmd", "../internal"} {
		parseAll(t, root, func(path string, file *ast.File) {
			for _, decl := range file.Decls {
				d, ok := decl.(*ast.GenDecl)
				if !ok || d.Tok != token.CONST {
					continue
				}
				for _, spec := range d.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						known[filepath.Base(filepath.Dir(path))+"."+name.Name] = true
					}
				}
			}
		})
	}
	rows := securityTable(t, "Limits of the client")
	for _, row := range rows {
		names := inCode.FindAllStringSubmatch(row[len(row)-1], -1)
		if len(names) == 0 {
			t.Errorf("the limit of %q names no constant", row[0])
		}
		for _, name := range names {
			if !known[name[1]] {
				t.Errorf("the limit of %q names %s, which is no constant", row[0], name[1])
			}
		}
	}
}

// TestThreatsNameTheirTests finds every test that docs/security.md names in its list of threats.
// A threat without a test has the words "not protected".
func TestThreatsNameTheirTests(t *testing.T) {
	known := map[string]bool{}
	for _, root := range []string{"../cmd", "../internal", "."} {
		parseAll(t, root, func(path string, file *ast.File) {
			for _, decl := range file.Decls {
				if d, ok := decl.(*ast.FuncDecl); ok && strings.HasSuffix(path, "_test.go") {
					known[d.Name.Name] = true
				}
			}
		})
	}
	for test, folder := range map[string]string{"TestProgram": "script", "TestTerminal": "terminal"} {
		scripts, err := filepath.Glob("testdata/" + folder + "/*.txtar")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range scripts {
			known[test+"/"+strings.TrimSuffix(filepath.Base(path), ".txtar")] = true
		}
	}
	for _, row := range securityTable(t, "Threats") {
		threat, tests := row[0], row[len(row)-1]
		if strings.HasPrefix(threat, "*") {
			continue // the head of a group
		}
		names := inCode.FindAllStringSubmatch(tests, -1)
		if len(row) != 3 || len(names) == 0 && tests != "not protected" {
			t.Errorf("the threat that %s has no test: %q", threat, tests)
		}
		for _, name := range names {
			if !known[name[1]] {
				t.Errorf("the threat that %s names the test %s, which does not exist", threat, name[1])
			}
		}
	}
}

var inCode = regexp.MustCompile("`([^`]+)`")

// securityTable returns the rows of the table in a section of docs/security.md, without its
// head. Each row is a list of cells.
func securityTable(t *testing.T, section string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/security.md has no section %q", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	for line := range strings.Lines(rest) {
		line, isRow := strings.CutPrefix(strings.TrimSpace(line), "| ")
		if !isRow {
			continue
		}
		rows = append(rows, strings.Split(strings.TrimSuffix(line, " |"), " | "))
	}
	if len(rows) < 3 {
		t.Fatalf("the section %q of docs/security.md has no table", section)
	}
	return rows[2:]
}

// parseAll parses every Go file below a folder.
func parseAll(t *testing.T, root string, do func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			do(path, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
