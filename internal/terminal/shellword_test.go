package terminal

import "testing"

func TestShellWord(t *testing.T) {
	for path, want := range map[string]string{
		"/home/a/.local/state/x.json": "/home/a/.local/state/x.json",
		"/home/ä/x":                   "/home/ä/x",
		"/a b":                        "'/a b'",
		"/it's":                       `'/it'\''s'`,
		"/$(x)":                       "'/$(x)'",
		"":                            "''",
	} {
		if got := posixWord(path); got != want {
			t.Errorf("%q: %s", path, got)
		}
	}
	for word, want := range map[string]string{
		"alice":        "alice",
		"jürgen":       "jürgen",
		"wss://h:1/x/": "wss://h:1/x/",
		"my work":      `"my work"`,
		"ws://h/?a&b":  `"ws://h/?a&b"`,
		"it's":         `"it's"`,
		"@a,b":         `"@a,b"`,
		"":             `""`,
		`C:\a b\x`:     `"C:\a b\x"`,
		"$(calc)":      "...",
		"%PATH%":       "...",
		"a`b":          "...",
		`a" & calc`:    "...",
		"a\u201d;calc": "...", // to PowerShell that is a quote
		"a\nb":         "...",
		`a\`:           "...",
	} {
		if got := windowsWord(word); got != want {
			t.Errorf("on Windows, %q: %s", word, got)
		}
	}
}
