package terminal

import (
	"fmt"
	"strings"
	"testing"
)

// escaped makes control characters visible, as output.Line does.
func escaped(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\u202e' {
			return '?'
		}
		return r
	}, s)
}

// shown returns the row that a text and a cursor give in a width, and the column of the cursor.
func shown(width int, before, after string) (string, int) {
	e := newEditor(nil, &strings.Builder{}, func() int { return width }, "bob", escaped)
	e.draft.before, e.draft.after = before, after
	row, cursor := e.layout()
	return textOf(row), widthOf(row[:cursor])
}

func TestRowShowsTheTextAroundTheCursor(t *testing.T) {
	for _, c := range []struct {
		before, after, want string
		column              int
	}{
		{"", "", "bob> ", 5},
		{"hello", "", "bob> hello", 10},
		{"日本", "語", "bob> 日本語", 9},
		{"é👩‍👩‍👧", "x", "bob> é👩‍👩‍👧x", 8},
		{"one\ntwo", "", "bob> one↵two", 12},
		{"a\u202eb", "", "bob> a?b", 8},
		{"0123456789abcdefghij", "", "bob><efghij", 11},
		{"", "0123456789abcdefghij", "bob> 0123456789abc>", 5},
		{"0123456789abcdefghij", "klmnopqrst", "bob><efghijklmnopq>", 11},
		{"日本語日本語日本語", "", "bob><日本語", 11},
	} {
		got, column := shown(20, c.before, c.after)
		if got != c.want || column != c.column {
			t.Errorf("%q|%q: %q with the cursor at %d, not %q at %d", c.before, c.after, got, column, c.want, c.column)
		}
	}
}

// However narrow the terminal and long the text, the row fits and has the cursor in it.
func TestRowFits(t *testing.T) {
	for _, width := range []int{6, 7, 13, 40} {
		for _, text := range []string{"abc", "日本語", "👩‍👩‍👧é", "x\n", strings.Repeat("e\u0301", 9)} {
			long := strings.Repeat(text, 9)
			for at := range long {
				row, column := shown(width, long[:at], long[at:])
				e := newEditor(nil, nil, nil, "", escaped)
				cells, _ := e.view.fitting(row, 1000)
				if w := widthOf(cells); w >= width || column >= width {
					t.Fatalf("width %d, %q at %d: %q has %d columns and the cursor at %d", width, text, at, row, w, column)
				}
			}
		}
	}
}

// A long text costs no more than a short one when a key is pressed or a message arrives.
func TestRowOfALongTextIsShort(t *testing.T) {
	var screen strings.Builder
	e := newEditor(nil, &screen, func() int { return 80 }, "bob", escaped)
	e.started = true
	e.Feed([]byte(pasteStart + strings.Repeat("0123456789", MaxDraft/10) + pasteEnd))
	e.Next()
	screen.Reset()
	e.Feed([]byte("\x1b[D\x1b[D"))
	e.Next()
	fmt.Fprintln(e, "a message")
	if n := screen.Len(); n > 400 {
		t.Errorf("%d bytes are written", n)
	}
}

// A screen reader reads what is written: of a key in the middle of a line, that is what
// follows.
func TestEditorWritesOnlyWhatChanges(t *testing.T) {
	var screen strings.Builder
	e := newEditor(nil, &screen, func() int { return 80 }, "bob", escaped)
	e.started = true
	e.Next()
	for _, c := range []struct{ keys, want string }{
		{"a", "a"},
		{"bc", "bc"},
		{"\x1b[D", "\x1b[1D"},
		{"x", "xc\x1b[1D"},
		{"\x7f", "\x1b[1Dc\x1b[K\x1b[1D"},
		{"\x1b[A", ""},
		{"é", "éc\x1b[1D"},
	} {
		screen.Reset()
		e.Feed([]byte(c.keys))
		e.Next()
		if got := screen.String(); got != c.want {
			t.Errorf("%q: %q, not %q", c.keys, got, c.want)
		}
	}
}

func TestEditorTellsOnceThatThereIsNoRoom(t *testing.T) {
	e := newEditor(nil, &strings.Builder{}, func() int { return 80 }, "bob", escaped)
	full := 0
	for range 2 * MaxDraft / 4096 {
		e.Feed([]byte(strings.Repeat("x", 4096)))
		for event := e.Next(); event != NoEvent; event = e.Next() {
			full++
		}
	}
	if full != 1 || len(e.Text()) != MaxDraft {
		t.Errorf("told %d times, with %d bytes of text", full, len(e.Text()))
	}
	e.Feed([]byte("\x7fy"))
	if event := e.Next(); event != NoEvent || !strings.HasSuffix(e.Text(), "xy") {
		t.Error("there is no room after another key")
	}
}

// Ctrl-D ends a text in the line mode of a terminal, as Enter does.
func TestPlainLineEndsWithTheTerminal(t *testing.T) {
	for typed, want := range map[string]string{"half": "half", "one\\\n": "one", "one\\\ntwo": "one\ntwo", "one\\": "one", "": ""} {
		p := NewPlainLine(nil)
		p.Feed([]byte(typed))
		for p.Next() == EventEnter {
			t.Errorf("%q: %q is complete too early", typed, p.Text())
		}
		p.End()
		got := ""
		for p.Next() == EventEnter {
			got += p.Text()
		}
		if strings.TrimSuffix(got, "\n") != want {
			t.Errorf("%q: %q, not %q", typed, got, want)
		}
	}
}

func TestPlainLine(t *testing.T) {
	p := NewPlainLine(nil)
	var got []string
	for _, part := range []string{"one\ntw", "o\n", "three\\\n", "four\x1b[A\tx\n", "half"} {
		p.Feed([]byte(part))
		for p.Next() == EventEnter {
			got = append(got, p.Text())
		}
	}
	if want := []string{"one", "two", "three\nfour[A    x"}; fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%q, not %q", got, want)
	}
	p.Feed([]byte(strings.Repeat("x", MaxDraft)))
	if event := p.Next(); event != EventFull {
		t.Errorf("a line without an end: %v", event)
	}
}
