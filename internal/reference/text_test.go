package reference

import (
	"reflect"
	"testing"
)

func TestBlocksTellListsFromLines(t *testing.T) {
	got := blocks("A paragraph\nof two lines.\n\n  one    first\n  two    second,\n         of two lines\n\n  $ ls -l\n  x\n")
	want := []block{
		{text: "A paragraph\nof two lines."},
		{text: "  one    first\n  two    second,\n         of two lines", lines: true, terms: []term{{"one", "first"}, {"two", "second, of two lines"}}},
		{text: "  $ ls -l\n  x", lines: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestMarkdownKeepsTheText(t *testing.T) {
	got := markdown("Set A_B to <x>.\n\n  a|b  either\n\n  $ ls *")
	want := "Set A\\_B to \\<x\\>.\n\n| | |\n| --- | --- |\n| `a\\|b` | either |\n\n```text\n$ ls *\n```"
	if got != want {
		t.Errorf("%s", got)
	}
}
