package output

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/proto"
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

// forbidden are the characters that no form may have as they are: control characters, line and
// paragraph separators, and those that embed, override or isolate a direction. Beside flags,
// so are tags. These are Unicode's own names for what safe.go lists by its numbers.
var (
	forbidden = regexp.MustCompile(`[\p{Cc}\p{Zl}\p{Zp}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
	tags      = regexp.MustCompile(`[\x{e0000}-\x{e007f}]`)
	flags     = regexp.MustCompile(`\x{1f3f4}[\x{e0030}-\x{e0039}\x{e0061}-\x{e007a}]{3,6}\x{e007f}`)
)

// unescaped reads text with escapes as Go's own parser of strings reads it. In quotes, a quote is
// escaped too.
func unescaped(t *testing.T, text string, quote byte) string {
	t.Helper()
	var b strings.Builder
	for text != "" {
		r, _, rest, err := strconv.UnquoteChar(text, quote)
		if err != nil {
			t.Fatalf("%+q has an escape that nobody knows: %v", text, err)
		}
		b.WriteRune(r)
		text = rest
	}
	return b.String()
}

// FuzzStrings: no form of a text has a forbidden character, and each form reads back as the
// text, with U+FFFD for each byte that is not UTF-8. No form is longer than 12 bytes for each
// byte of the text.
func FuzzStrings(f *testing.F) {
	for _, s := range []string{
		"", "é\x00\x1b\u009b\u202e", "\xff\xed\xa0\x80", `"\`, "\ufffd", "a\u2028b\u2029c\u2066\u2069", "\r\n\t\x7f",
		"🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "🏴\U000e0067\U000e007f\U000e0041",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := string([]rune(s)) // each bad byte becomes U+FFFD
		inJSON := valueText(s)
		var back string
		if err := json.Unmarshal([]byte(inJSON), &back); err != nil || back != want {
			t.Errorf("JSON of %+q reads back as %+q, %v", s, back, err)
		}
		// Line and Block leave the text's own backslashes as they are, so the text has none here.
		plain := strings.ReplaceAll(s, `\`, "/")
		want = string([]rune(plain))
		for form, text := range map[string]string{"line": Line(plain), "block": Block(plain)} {
			if got := unescaped(t, text, 0); got != want {
				t.Errorf("%s of %+q reads back as %+q", form, plain, got)
			}
		}
		for form, text := range map[string]string{
			"json": inJSON, "line": Line(s), "block": strings.NewReplacer("\n", "", "\t", "").Replace(Block(s)),
		} {
			if !utf8.ValidString(text) {
				t.Errorf("%s of %+q is not UTF-8", form, s)
			}
			if c := forbidden.FindString(text); c != "" {
				t.Errorf("%s of %+q has %+q", form, s, c)
			}
			if form != "json" {
				text = flags.ReplaceAllString(text, "")
			}
			if c := tags.FindString(text); c != "" {
				t.Errorf("%s of %+q has %+q", form, s, c)
			}
			if len(text) > 12*len(s)+2 {
				t.Errorf("%s of %d bytes has %d", form, len(s), len(text))
			}
		}
	})
}

// FuzzLogins: a login that is shown has no invisible character and reads back as the login,
// so that no two logins look the same because of such characters. A long one is cut.
func FuzzLogins(f *testing.F) {
	for _, s := range []string{"bob", "", "bob\u200b", `"bob"`, `CORP\bob`, "b ob", "\u0301bob", "b\xffob", "محمد", strings.Repeat("é ", 100), "x… (6 bytes)"} {
		f.Add(s)
	}
	hidden := regexp.MustCompile(`[\p{C}\p{Zl}\p{Zp}\x{a0}\x{34f}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{2000}-\x{200a}\x{202f}\x{205f}\x{2800}\x{3000}\x{3164}\x{fe00}-\x{fe0f}\x{ffa0}]`)
	f.Fuzz(func(t *testing.T, s string) {
		shown, want := Login(s), string([]rune(s))
		if c := hidden.FindString(shown); c != "" {
			t.Errorf("%+q is shown with %+q", s, c)
		}
		back, isCut := strings.CutSuffix(shown, fmt.Sprintf("… (%d bytes)", len(s)))
		if quoted, isQuoted := strings.CutPrefix(back, `"`); isQuoted {
			back = unescaped(t, strings.TrimSuffix(quoted, `"`), '"')
		} else if strings.Contains(back, " ") {
			t.Errorf("%+q is shown with a space and without quotes", s)
		}
		if long := len(s) > proto.MaxLogin; long && (!isCut || !strings.HasPrefix(want, back)) || !long && back != want {
			t.Errorf("%+q is shown as %s", s, shown)
		}
	})
}
