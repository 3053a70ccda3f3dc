package terminal

import (
	"strings"
	"testing"
)

func TestDraftEditsWholeCharacters(t *testing.T) {
	for _, c := range []struct {
		text string
		keys []keyCode
		want string // with a | at the cursor
	}{
		{"ab", []keyCode{keyLeft}, "a|b"},
		{"xé", []keyCode{keyBackspace}, "x|"},
		{"x👩‍👩‍👧", []keyCode{keyBackspace}, "x|"},
		{"🇩🇪🇫🇷", []keyCode{keyLeft, keyLeft, keyDelete}, "|🇫🇷"},
		{"one  two", []keyCode{keyWordLeft, keyWordLeft, keyWordRight}, "one|  two"},
		{"one two ", []keyCode{keyDeleteWord}, "one |"},
		{"one\ntwo", []keyCode{keyDeleteWord, keyBackspace}, "one|"},
		{"one\ntwo", []keyCode{keyStart, keyRight, keyDeleteAfter}, "o|"},
		{"one two", []keyCode{keyWordLeft, keyDeleteBefore, keyEnd}, "two|"},
		{"", []keyCode{keyLeft, keyRight, keyBackspace, keyDelete, keyDeleteWord, keyWordLeft, keyWordRight, keyOlder, keyNewer}, "|"},
	} {
		var d draft
		d.insert(c.text)
		for _, k := range c.keys {
			d.press(k)
		}
		if got := d.before + "|" + d.after; got != c.want {
			t.Errorf("%q, %v: %q, not %q", c.text, c.keys, got, c.want)
		}
	}
}

func TestDraftRecallsWhatWasEntered(t *testing.T) {
	var d draft
	for _, text := range []string{"one", "two", "two"} {
		d.insert(text)
		d.enter()
	}
	d.insert("new")
	for _, want := range []struct {
		key  keyCode
		text string
	}{{keyOlder, "two"}, {keyOlder, "one"}, {keyOlder, "one"}, {keyNewer, "two"}, {keyNewer, "new"}, {keyNewer, "new"}} {
		if d.press(want.key); d.text() != want.text {
			t.Errorf("%q, not %q", d.text(), want.text)
		}
	}
}

func TestDraftIsBounded(t *testing.T) {
	var d draft
	if !d.insert(strings.Repeat("x", MaxDraft)) || d.insert("y") || len(d.text()) != MaxDraft {
		t.Errorf("the text has %d bytes", len(d.text()))
	}
	size := 0
	for n := range 2 * maxRecalled {
		d.set(strings.Repeat("x", 1+n*MaxDraft/(2*maxRecalled)))
		d.enter()
		size = 0
		for _, text := range d.entered {
			size += len(text)
		}
		if size > maxRecalledBytes || len(d.entered) > maxRecalled {
			t.Fatalf("%d texts with %d bytes are kept", len(d.entered), size)
		}
	}
	if size < maxRecalledBytes/2 {
		t.Errorf("only %d bytes are kept", size)
	}
}
