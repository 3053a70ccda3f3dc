package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// source is the parsed code of a package, without its tests.
type source struct {
	files     []*ast.File
	functions map[string][]*ast.FuncDecl
	values    map[string][]ast.Expr // of constants and variables, by name
}

// parseSources parses every package of the two programs, by directory.
func parseSources(t *testing.T, set *token.FileSet) map[string]*source {
	t.Helper()
	packages := map[string]*source{}
	for _, root := range []string{"../cmd", "../internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			dir := filepath.Dir(path)
			if packages[dir] == nil {
				packages[dir] = &source{functions: map[string][]*ast.FuncDecl{}, values: map[string][]ast.Expr{}}
			}
			packages[dir].add(file)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return packages
}

func (s *source) add(file *ast.File) {
	s.files = append(s.files, file)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			s.functions[n.Name.Name] = append(s.functions[n.Name.Name], n)
		case *ast.ValueSpec:
			for i, value := range n.Values {
				s.values[n.Names[i].Name] = append(s.values[n.Names[i].Name], value)
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if name, ok := left.(*ast.Ident); ok && len(n.Lhs) == len(n.Rhs) && n.Tok != token.ADD_ASSIGN {
					s.values[name.Name] = append(s.values[name.Name], n.Rhs[i])
				}
			}
		}
		return true
	})
}

// texts returns the literals that the string of an expression may begin with, or end with.
func (s *source) texts(e ast.Expr, last bool, depth int) (found []*ast.BasicLit) {
	if depth > 8 {
		return nil
	}
	follow := func(e ast.Expr) { found = append(found, s.texts(e, last, depth+1)...) }
	switch e := e.(type) {
	case *ast.BasicLit:
		found = append(found, e)
	case *ast.ParenExpr:
		follow(e.X)
	case *ast.BinaryExpr:
		if last {
			follow(e.Y)
		} else {
			follow(e.X)
		}
	case *ast.Ident:
		for _, value := range s.values[e.Name] {
			follow(value)
		}
	case *ast.CallExpr:
		switch name := called(e); name {
		case "Sprintf":
			follow(e.Args[0])
		case "Or":
			for _, arg := range e.Args {
				follow(arg)
			}
		default:
			for _, f := range s.functions[name] {
				results := f.Type.Results
				if results == nil || len(results.List) == 0 || !isString(results.List[0].Type) {
					continue
				}
				ast.Inspect(f, func(n ast.Node) bool {
					if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > 0 {
						follow(r.Results[0])
					}
					return true
				})
			}
		}
	}
	return found
}

func isString(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "string"
}

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// parameter returns the place of a parameter of a function, or -1.
func parameter(f *ast.FuncDecl, names ...string) int {
	at := 0
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			for _, wanted := range names {
				if name.Name == wanted {
					return at
				}
			}
			at++
		}
	}
	return -1
}

// expressions returns what the code gives to fields, variables and results of these names,
// and to parameters of functions anywhere in the program.
func (s *source) expressions(packages map[string]*source, names ...string) (found []ast.Expr) {
	is := func(name string) bool {
		for _, n := range names {
			if strings.EqualFold(name, n) {
				return true
			}
		}
		return false
	}
	places := map[string]int{}
	for _, p := range packages {
		for name, functions := range p.functions {
			for _, f := range functions {
				if at := parameter(f, names...); at >= 0 && isStringParameter(f, at) {
					places[name] = at
				}
			}
		}
	}
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && is(key.Name) {
					found = append(found, n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if field, ok := left.(*ast.SelectorExpr); ok && is(field.Sel.Name) && len(n.Lhs) == len(n.Rhs) {
						found = append(found, n.Rhs[i])
					}
				}
			case *ast.CallExpr:
				if at, ok := places[called(n)]; ok && at < len(n.Args) {
					found = append(found, n.Args[at])
				}
			}
			return true
		})
	}
	return found
}

func isStringParameter(f *ast.FuncDecl, at int) bool {
	i := 0
	for _, field := range f.Type.Params.List {
		for range field.Names {
			if i == at {
				return isString(field.Type)
			}
			i++
		}
	}
	return false
}

// eachText calls check for each text that the program gives to fields, variables and
// parameters of these names, and to the first argument of these functions.
func eachText(t *testing.T, last bool, names, functions []string, check func(where token.Position, text string)) {
	t.Helper()
	set := token.NewFileSet()
	packages := parseSources(t, set)
	seen := map[token.Pos]bool{}
	for _, s := range packages {
		all := s.expressions(packages, names...)
		for _, file := range s.files {
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 0 {
					for _, f := range functions {
						if called(call) == f {
							all = append(all, call.Args[0])
						}
					}
				}
				return true
			})
		}
		for _, e := range all {
			for _, literal := range s.texts(e, last, 0) {
				text, err := strconv.Unquote(literal.Value)
				if err == nil && text != "" && !seen[literal.Pos()] {
					seen[literal.Pos()] = true
					check(set.Position(literal.Pos()), text)
				}
			}
		}
	}
	if len(seen) < 50 {
		t.Fatalf("found %d texts only", len(seen))
	}
}

// startOfHint is a verb or a condition.
var startOfHint = regexp.MustCompile(`^(add|ask|change|check|choose|continue|convert|correct|delete|did you mean|end|find|free|give|if|install|leave|list|log in|look|make|move|name|put|read|remove|renew|restore|run|see|send|separate|set|shorten|stop|take|try|type|unlock|unset|use|wait|when|write) `)

// TestHintsSayWhatToDo: a hint starts with a verb or a condition, and has no full stop.
func TestHintsSayWhatToDo(t *testing.T) {
	names := []string{"hint"}
	eachText(t, false, names, nil, func(where token.Position, text string) {
		if !startOfHint.MatchString(text + " ") {
			t.Errorf("%v: a hint starts with a verb or a condition, not so: %s", where, text)
		}
	})
	eachText(t, true, names, nil, func(where token.Position, text string) {
		if strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "...") {
			t.Errorf("%v: a hint has no full stop: %s", where, text)
		}
	})
}

// TestErrorsHaveNoCapitalAndNoFullStop: an error continues the line that names the program.
// A name in capitals may start it.
func TestErrorsHaveNoCapitalAndNoFullStop(t *testing.T) {
	names, functions := []string{"msg", "why", "info", "format"}, []string{"New", "Errorf", "noticeNone"}
	eachText(t, false, names, functions, func(where token.Position, text string) {
		letters := []rune(text + "  ")
		if unicode.IsUpper(letters[0]) && unicode.IsLower(letters[1]) && !strings.HasPrefix(text, "Windows ") {
			t.Errorf("%v: an error starts without a capital: %s", where, text)
		}
	})
	eachText(t, true, names, functions, func(where token.Position, text string) {
		if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "!") || strings.HasSuffix(text, "\n") {
			t.Errorf("%v: an error has no full stop: %s", where, text)
		}
	})
}
