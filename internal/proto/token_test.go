package proto

import (
	"crypto/sha512"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"strings"
	"testing"
)

func newToken(t testing.TB, password string) Token {
	t.Helper()
	token, err := NewToken(password)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// otherState is a SHA-512 that saves its state in another form.
type otherState struct {
	hash.Hash
	state []byte
	err   error
}

func (h otherState) MarshalBinary() ([]byte, error) { return h.state, h.err }

// A later Go may write another form of the state. Then there is no token, and no wrong one.
// The release runs this test with the Go version that it builds with.
func TestNewTokenNeedsTheStateOfSHA512(t *testing.T) {
	newToken(t, "secret")
	good, err := sha512.New().(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]hash.Hash{
		"none":    struct{ hash.Hash }{sha512.New()},
		"error":   otherState{sha512.New(), good, errors.New("broken")},
		"short":   otherState{sha512.New(), good[:len(good)-1], nil},
		"longer":  otherState{sha512.New(), append(good, 0), nil},
		"another": otherState{sha512.New(), append([]byte("SHA\x07"), good[4:]...), nil},
	} {
		if _, err := chainingValue(h, []byte("secret"), 0x36); err == nil {
			t.Errorf("%s: the state passes", name)
		}
	}
	if _, err := chainingValue(otherState{sha512.New(), good, nil}, []byte("secret"), 0x36); err != nil {
		t.Errorf("the usual form: %v", err)
	}
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
			for at := range len(c.Hex) { // every character counts, the last one too
				if other := c.Hex[:at] + "g" + c.Hex[at+1:]; tok.Verify(c.Challenge, other) {
					t.Errorf("case %d: Verify does not look at character %d", i, at)
				}
			}
			if tok.Verify(c.Challenge, c.Hex[:127]) || tok.Verify(c.Challenge, c.Hex+"0") {
				t.Errorf("case %d: Verify takes an answer of another length", i)
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
	// The last character has two bits that belong to no byte: a token has one text only.
	const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(base64URL, good[len(good)-1])
	trailing := good[:len(good)-1] + base64URL[last+1:last+2]
	for _, bad := range []string{"", trailing, "x", "skaro-token-2:" + good[14:], good[:len(good)-1], good + "A", good[:20] + "!" + good[21:], good[:100] + "\n" + good[100:]} {
		if _, err := ParseToken(bad); err == nil {
			t.Errorf("%q is taken for a token", bad)
		} else if len(bad) > 40 && strings.Contains(err.Error(), bad[30:40]) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

// FuzzParseToken: a token has one text form, so what reads as a token is that.
func FuzzParseToken(f *testing.F) {
	f.Add(newToken(f, "").Text())
	f.Add(tokenPrefix)
	text := newToken(f, "").Text()
	f.Add(text[:len(text)-1] + string(text[len(text)-1]+1)) // a bit beyond the last byte
	f.Fuzz(func(t *testing.T, s string) {
		token, err := ParseToken(s)
		if err != nil {
			return
		}
		if token.Text() != strings.TrimSpace(s) {
			t.Errorf("%q reads as the token %q", s, token.Text())
		}
	})
}
