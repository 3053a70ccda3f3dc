package store

import (
	"slices"
	"unicode"
)

// Characters that look alike in two scripts, as the a of Latin and the а of Cyrillic, could make
// two logins look alike. So a new login has letters of one script, or of a combination that
// languages need: "Highly Restrictive" of Unicode Technical Standard 39, 5.2.

// combined are scripts that one login may combine.
var combined = [][]string{
	{"Latin", "Han", "Hiragana", "Katakana"}, // Japanese
	{"Latin", "Han", "Hangul"},               // Korean
	{"Latin", "Han", "Bopomofo"},             // Chinese
}

// mixesScripts reports whether a login has letters of scripts that do not belong together.
func mixesScripts(login string) bool {
	var found []string
	for _, r := range login {
		if script := scriptOf(r); script != "" && !slices.Contains(found, script) {
			found = append(found, script)
		}
	}
	return len(found) > 1 && !slices.ContainsFunc(combined, func(together []string) bool {
		return !slices.ContainsFunc(found, func(script string) bool { return !slices.Contains(together, script) })
	})
}

// scriptOf returns the script of a character, or "" for one that many scripts use, such as a
// digit or an accent.
func scriptOf(r rune) string {
	switch {
	case r < 0x80: // most logins have nothing else
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return "Latin"
		}
		return ""
	case unicode.In(r, unicode.Common, unicode.Inherited):
		return ""
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return "Unknown" // newer than these tables
}
