package terminal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// allKeys returns the keys in what a terminal sends, in parts of n bytes.
func allKeys(sent string, n int) []key {
	var p keyParser
	var keys []key
	for part := range slices.Chunk([]byte(sent), n) {
		p.feed(part)
		for {
			k, ok := p.next()
			if !ok {
				break
			}
			if last := len(keys) - 1; k.code == keyText && last >= 0 && keys[last].code == keyText {
				keys[last].text += k.text
			} else {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// However the bytes are cut, the same keys come out.
func TestKeysAreFoundInAnyParts(t *testing.T) {
	text := func(s string) key { return key{keyText, s} }
	code := func(c keyCode) key { return key{code: c} }
	for sent, want := range map[string][]key{
		"héé日👩‍👩‍👧":                                       {text("héé日👩‍👩‍👧")},
		"a\rb\n":                                          {text("a"), code(keyEnter), text("b"), code(keyEnter)},
		"\x1b[A\x1bOB\x1b[1;5C\x1b[3~\x1bb":               {code(keyOlder), code(keyNewer), code(keyWordRight), code(keyDelete), code(keyWordLeft)},
		"\x01\x03\x04\x1a\x7f":                            {code(keyStart), code(keyInterrupt), code(keyEndOfInput), code(keySuspend), code(keyBackspace)},
		"\x1b[200~one\r\ntwo\rthree\n\tx\x1b[201~y":       {text("one\ntwo\nthree\n    xy")},
		"\x1b[200~\x03\x1b[31m\x07\u009b\x1b[201~\x03":    {text("[31m"), code(keyInterrupt)},
		"\x1b[200~日\x1b[20\x1b[201~":                      {text("日[20")},
		"a\x1b[?1;2c\x1b[<0;1;1M\x1b[15~\x1b[[Ab\x1bxc\t": {text("abc")},
		"\x1b]11;rgb:0/0/0\x1b\\a\x1b]0;title\ab":         {text("ab")},
		"\x1b\ra\x1b日b":                                   {code(keyEnter), text("ab")},
		"\xff\xc3(":                                       {text("��(")},
		"\x00\x1f\u0085\u200dx":                           {text("\u200dx")},
	} {
		for n := 1; n <= len(sent); n++ {
			if got := allKeys(sent, n); !slices.Equal(got, want) {
				t.Errorf("%q in parts of %d: %+v, not %+v", sent, n, got, want)
			}
		}
	}
}

// A sequence that never ends does not take what is typed after it for ever.
func TestKeysAfterAnEndlessSequence(t *testing.T) {
	keys := allKeys("\x1b]"+strings.Repeat("1", 2*maxSequence)+"\r", 100)
	if !slices.Contains(keys, key{code: keyEnter}) {
		t.Errorf("Enter is not among %d keys", len(keys))
	}
}

// Whatever a terminal sends, no control character but newline is in a text.
func FuzzKeys(f *testing.F) {
	f.Add("\x1b[200~a\r\nb\x1b[201~\x1b[A\x03", 3)
	f.Fuzz(func(t *testing.T, sent string, n int) {
		if n < 1 {
			n = 1
		}
		for _, k := range allKeys(sent, n) {
			if strings.ContainsFunc(k.text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
				t.Errorf("%q has a control character", k.text)
			}
		}
		if whole := fmt.Sprint(allKeys(sent, max(len(sent), 1))); fmt.Sprint(allKeys(sent, n)) != whole && len(sent) < maxSequence {
			t.Errorf("in parts of %d: %v, not %v", n, allKeys(sent, n), whole)
		}
	})
}
