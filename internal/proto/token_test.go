package proto

import (
	"fmt"
	"strings"
	"testing"
)

func newToken(t testing.TB, password string) Token {
	t.Helper()
	return NewToken(password)
}

func TestTokenAnswersAsThePasswordDoes(t *testing.T) {
	var vectors struct {
		Cases []struct {
			Password  string `json:"password"`
			Challenge string `json:"challenge"`
			Hex       string `json:"hmac_sha512_hex"`
		} `json:"cases"`
	}
	readJSON(t, "authorize-hmac.json", &vectors)
	if len(vectors.Cases) != 8 {
		t.Fatalf("%d cases", len(vectors.Cases))
	}
	for i, c := range vectors.Cases {
		token := newToken(t, c.Password)
		back, err := ParseToken(token.Text() + "\n")
		if err != nil {
			t.Fatal(err)
		}
		bin, err := TokenFromBytes(token.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, tok := range []Token{token, back, bin} {
			if got := tok.Answer(c.Challenge); got != c.Hex {
				t.Errorf("case %d: answer %s, want %s", i, got, c.Hex)
			}
			if !tok.Verify(c.Challenge, c.Hex) || tok.Verify(c.Challenge+"x", c.Hex) || tok.Verify(c.Challenge, "") {
				t.Errorf("case %d: Verify", i)
			}
		}
	}
}

func TestTokenIsHidden(t *testing.T) {
	token := newToken(t, "correct horse")
	secret := strings.TrimPrefix(token.Text(), tokenPrefix)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, token); strings.Contains(got, secret[:8]) || got != "[token]" {
			t.Errorf("%s shows %s", verb, got)
		}
		if got := fmt.Sprintf(verb, struct{ T Token }{token}); !strings.Contains(got, "[token]") {
			t.Errorf("%s in a struct shows %s", verb, got)
		}
	}
	if token.IsZero() || !(Token{}).IsZero() || len(token.Text()) != 185 {
		t.Errorf("IsZero or the length %d is wrong", len(token.Text()))
	}
}

func TestParseTokenRefusesOtherTexts(t *testing.T) {
	good := newToken(t, "x").Text()
	for _, bad := range []string{"", "x", "skaro-token-2:" + good[14:], good[:len(good)-1], good + "A", good[:20] + "!" + good[21:], good[:100] + "\n" + good[100:]} {
		if _, err := ParseToken(bad); err == nil {
			t.Errorf("%q is taken for a token", bad)
		} else if len(bad) > 40 && strings.Contains(err.Error(), bad[30:40]) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

// FuzzParseToken: a text that reads as a token writes the same token again.
func FuzzParseToken(f *testing.F) {
	f.Add(newToken(f, "").Text())
	f.Add(tokenPrefix)
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseToken(s)
		if err != nil {
			return
		}
		if again, err := ParseToken(token.Text()); err != nil || again != token {
			t.Errorf("%q reads as a token that does not come back: %v", s, err)
		}
	})
}
