package reference

import (
	"regexp"
	"strings"
)

// block is a part of a help text between empty lines: a paragraph, a list of terms with
// their meaning, or lines to show as they are.
type block struct {
	text  string
	terms []term
	lines bool
}

type term struct{ name, text string }

var (
	termLine     = regexp.MustCompile(`^  (\S.*?)(?: {2,}(\S.*))?$`)
	continuation = regexp.MustCompile(`^ {4,}(\S.*)$`)
)

// blocks splits a help text. Indented lines are a list of terms if each begins with a term
// and at least two spaces, or continues the one before.
func blocks(text string) []block {
	var found []block
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		b := block{text: part, lines: strings.HasPrefix(part, "  ")}
		if b.lines {
			b.terms = terms(strings.Split(part, "\n"))
		}
		found = append(found, b)
	}
	return found
}

// terms returns the terms of a list, or nil if the lines are none.
func terms(lines []string) (found []term) {
	for _, line := range lines {
		if m := termLine.FindStringSubmatch(line); m != nil {
			found = append(found, term{m[1], m[2]})
		} else if m := continuation.FindStringSubmatch(line); m != nil && len(found) > 0 {
			last := &found[len(found)-1]
			last.text = strings.TrimSpace(last.text + " " + m[1])
		} else {
			return nil
		}
	}
	for _, t := range found {
		if t.text == "" {
			return nil
		}
	}
	return found
}

// unindent removes the indentation of an example.
func unindent(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		lines = append(lines, strings.TrimPrefix(line, "  "))
	}
	return strings.Join(lines, "\n")
}
