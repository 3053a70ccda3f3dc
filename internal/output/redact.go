package output

import "strings"

// tokenStart begins every token in its text form (docs/protocol.md, "Authorization").
const tokenStart = "skaro-token-1:"

// WithoutTokens replaces every token in a text, and everything that looks like one: errors
// quote their input, and end up in logs and mails.
func WithoutTokens(s string) string {
	const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, tokenStart)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = strings.TrimLeft(after, base64URL)
		if s == after { // a sentence about the start of tokens
			b.WriteString(tokenStart)
		} else {
			b.WriteString("[secret]")
		}
	}
}
