package output

import (
	"strings"
	"testing"
)

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

// Every part of a failure may quote a token, in both forms.
func TestWriteFailureHidesTokens(t *testing.T) {
	const token = "skaro-token-1:abC-_9"
	for _, json := range []bool{false, true} {
		var b strings.Builder
		if err := WriteFailure(&b, "skaroctl", Failure{Kind: "usage", Message: "no user " + token, Hint: "run `skaroctl send -- " + token + "`"}, json, false); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); strings.Contains(got, "abC") || strings.Count(got, "[secret]") != 2 {
			t.Errorf("JSON %v: %s", json, got)
		}
	}
}
