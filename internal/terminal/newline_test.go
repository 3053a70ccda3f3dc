package terminal

import "testing"

func TestTrimNewline(t *testing.T) {
	for text, want := range map[string]struct{ windows, elsewhere string }{
		"": {}, "\n": {}, "\r\n": {"", "\r"}, "\r": {"\r", "\r"}, "a": {"a", "a"}, "a\n": {"a", "a"}, "a\r\n": {"a", "a\r"},
		"a\r": {"a\r", "a\r"}, "a\n\n": {"a\n", "a\n"}, "a\r\n\r\n": {"a\r\n", "a\r\n\r"}, "a\r\r\n": {"a\r", "a\r\r"}, " a\n ": {" a\n ", " a\n "},
	} {
		for goos, want := range map[string]string{"windows": want.windows, "linux": want.elsewhere, "darwin": want.elsewhere} {
			if got := string(trimNewline(goos, []byte(text))); got != want {
				t.Errorf("%s: %q becomes %q", goos, text, got)
			}
		}
	}
}

func TestPassword(t *testing.T) {
	for input, want := range map[string]string{
		"": "", "a": "a", "a\n": "a", "a\r\n": "a", "a\r": "a", "a\n\n": "a\n", " a \n": " a ", "\uFEFFa\r\n": "a", "\uFEFF": "", "a\uFEFF": "a\uFEFF",
	} {
		if got := Password([]byte(input)); got != want {
			t.Errorf("%q becomes %q", input, got)
		}
	}
}
