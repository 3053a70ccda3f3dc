package output

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Logins that look the same are the same.
func TestLoginShowsInvisibleCharacters(t *testing.T) {
	for login, want := range map[string]string{
		"bob": "bob", "b.o-b+1@example.org": "b.o-b+1@example.org", "محمد": "محمد", "李小龙": "李小龙", "josé": "josé", "jose\u0301": "jose\u0301", "👋": "👋",
		`CORP\bob`: `CORP\bob`, `it's"so"`: `it's"so"`, `bob\u200b`: `bob\u200b`,
		"": `""`, "bob: yes": `"bob: yes"`, "bob ": `"bob "`, `"bob"`: `"\"bob\""`, `a "b" \`: `"a \"b\" \\"`,
		"bob\n\r\t": `"bob\n\r\t"`, "b\x1bob": `"b\x1bob"`, "b\u009bob": `"b\x9bob"`, "\u202ebob": `"\u202ebob"`, "b\xffob": "b\ufffdob",
		"bob\u200b": `"bob\u200b"`, "bo\u200cb": `"bo\u200cb"`, "bo\u200db": `"bo\u200db"`, "bob\u200e": `"bob\u200e"`, "bob\u2060": `"bob\u2060"`,
		"\ufeffbob": `"\ufeffbob"`, "b\u00adob": `"b\xadob"`, "bob\ufe0f": `"bob\ufe0f"`, "bob\u034f": `"bob\u034f"`, "bob\u180e": `"bob\u180e"`,
		"bob\u3164": `"bob\u3164"`, "bob\u2800": `"bob\u2800"`, "bob\u00a0": `"bob\xa0"`, "bob\u3000": `"bob\u3000"`,
		"bob\U000e0041": `"bob\U000e0041"`, "bob\U000e0100": `"bob\U000e0100"`, "bob\ue000": `"bob\ue000"`, "\u0338bob": `"\u0338bob"`,
	} {
		if got := Login(login); got != want {
			t.Errorf("%+q: %s, not %s", login, got, want)
		}
	}
	// A character that a display ignores is visible.
	for r := rune(0); r <= unicode.MaxRune; r++ {
		ignored := unicode.In(r, unicode.Cf, unicode.Cc, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
		if ignored && strings.ContainsRune(Login("bob"+string(r)), r) {
			t.Errorf("U+%04X is invisible", r)
		}
	}
}

// Characters that a script needs stay; characters that can only hide text do not.
func TestLineKeepsWhatWritingNeeds(t *testing.T) {
	const scotland = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
	for _, s := range []string{"می\u200cخواهم", "क्\u200dष", "👩‍👩‍👧 ❤️", "co\u00adoperate", "\ufeffhello\u200b\u2060", "\u200eשלום\u200f", scotland, scotland + scotland, "🏴"} {
		if got := Line(s); got != s {
			t.Errorf("%+q has become %+q", s, got)
		}
	}
	for s, want := range map[string]string{
		"\U000e0068\U000e0069":                               `\U000e0068\U000e0069`,
		"🏴\U000e0067\U000e0062":                              `🏴\U000e0067\U000e0062`,
		"🏴\U000e0067\U000e0062\U000e007f":                    `🏴\U000e0067\U000e0062\U000e007f`,
		scotland + "\U000e0068":                              scotland + `\U000e0068`,
		"🏴\U000e0041\U000e0042\U000e0043\U000e007f":          `🏴\U000e0041\U000e0042\U000e0043\U000e007f`,
		"🏴" + strings.Repeat("\U000e0061", 7) + "\U000e007f": "🏴" + strings.Repeat(`\U000e0061`, 7) + `\U000e007f`,
	} {
		if got := Line(s); got != want {
			t.Errorf("%+q has become %+q, not %+q", s, got, want)
		}
	}
}

func TestRightToLeftKnowsEveryScript(t *testing.T) {
	for script, text := range map[string]string{
		"Hebrew": "ש", "Arabic": "م", "Syriac": "\u0710", "Thaana": "\u0780", "N'Ko": "\u07ca", "Samaritan": "\u0800", "Adlam": "\U0001e900",
		"Phoenician": "\U00010900", "Arabic digits": "\u0661", "a mark": "\u200f", "Hebrew ligatures": "\ufb1d", "Arabic ligatures": "\ufdfb", "mixed": "bob ש",
	} {
		if !rightToLeft(text) {
			t.Errorf("%s is from right to left", script)
		}
	}
	if rightToLeft("bob 12 → 李小龙 ❤️ αβγ\u200e") {
		t.Error("that is from left to right")
	}
}

// FuzzStrings: JSON of any text reads back as the text, repaired if it was not UTF-8, and
// no form has hostile characters.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "é\x00\x1b\u009b\u202e", "\xff\xed\xa0\x80", `"\`, "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j := []byte(valueText(s))
		var back string
		if err := json.Unmarshal(j, &back); err != nil {
			t.Fatalf("%q: %v", j, err)
		}
		want := string([]rune(s)) // each bad byte becomes U+FFFD
		if !reflect.DeepEqual(back, want) {
			t.Errorf("%q comes back as %q", s, back)
		}
		for form, text := range map[string]string{"json": string(j), "line": Line(s), "block": Block(s)} {
			if !utf8.ValidString(text) {
				t.Errorf("%s of %q is not UTF-8", form, s)
			}
			for _, r := range text {
				if hostile(r) && !(form == "block" && (r == '\n' || r == '\t')) {
					t.Errorf("%s of %q holds %q", form, s, r)
				}
			}
		}
	})
}
