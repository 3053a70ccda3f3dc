package terminal

import (
	"runtime"
	"strings"
	"unicode"
)

// ShellWord quotes a word of a command that people see and may run: for a POSIX shell, and
// on Windows for cmd and PowerShell at once. A word that no quotes make safe in both
// becomes "...".
func ShellWord(word string) string {
	if runtime.GOOS == "windows" {
		return windowsWord(word)
	}
	return posixWord(word)
}

func posixWord(word string) string {
	plain := func(r rune) bool {
		return r > unicode.MaxASCII || isASCIIAlphanumeric(r) || strings.ContainsRune("/._-+:@%,=", r)
	}
	if word != "" && consistsOf(word, plain) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func windowsWord(word string) string {
	plain := func(r rune) bool {
		return unicode.In(r, unicode.L, unicode.Nd) || strings.ContainsRune(`/\._-+:`, r)
	}
	quotable := func(r rune) bool {
		if r > unicode.MaxASCII { // some are quotes to PowerShell
			return unicode.In(r, unicode.L, unicode.M, unicode.Nd)
		}
		return r >= ' ' && !strings.ContainsRune("\"%!$`", r)
	}
	switch {
	case !consistsOf(word, quotable), strings.HasSuffix(word, `\`):
		return "..."
	case word != "" && consistsOf(word, plain):
		return word
	}
	return `"` + word + `"`
}

// consistsOf reports whether a word has only such characters.
func consistsOf(word string, such func(rune) bool) bool {
	return !strings.ContainsFunc(word, func(r rune) bool { return !such(r) })
}

func isASCIIAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
