package output

import "testing"

// The start of tokens alone is shown: an error names it.
func TestWithoutTokensReplacesThem(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"no user skaro-token-1:abC-_9":    "no user [secret]",
		"skaro-token-1:a.skaro-token-1:":  "[secret].skaro-token-1:",
		`it starts with "skaro-token-1:"`: `it starts with "skaro-token-1:"`,
	} {
		if got := WithoutTokens(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}
