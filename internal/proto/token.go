package proto

import (
	"crypto/sha512"
	"crypto/subtle"
	"encoding"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Token replaces a password that must not be kept: the two SHA-512 chaining values of
// HMAC-SHA512 (RFC 2104) after its inner and its outer key block, 64 bytes each.
// It answers every challenge as the password does, and the password can't be read back
// from it. The zero Token is no token. It prints as "[token]": only Text shows it.
type Token struct {
	inner, outer [sha512.Size]byte
}

// tokenPrefix names the text form and its version.
const tokenPrefix = "skaro-token-1:"

// The saved state of crypto/sha512 after whole blocks: four bytes that name the hash, the
// chaining value, an empty block buffer, and the length hashed so far. Go's hash packages
// promise to read this layout for ever, but not to write it: see chainingValue.
const (
	stateMagic = "sha\x07"
	stateSize  = len(stateMagic) + sha512.Size + sha512.BlockSize + 8
)

// NewToken makes the token of a password, whose UTF-8 bytes are the HMAC key
// (docs/protocol.md, "Authorization"). It fails if the program was built with a Go version
// whose crypto/sha512 saves its state in another form.
func NewToken(password string) (Token, error) {
	key := []byte(password)
	if len(key) > sha512.BlockSize {
		sum := sha512.Sum512(key)
		key = sum[:]
	}
	inner, err := chainingValue(sha512.New(), key, 0x36)
	if err != nil {
		return Token{}, err
	}
	outer, err := chainingValue(sha512.New(), key, 0x5c)
	return Token{inner: inner, outer: outer}, err
}

var errState = errors.New("can't make a token: this program was built with a Go version whose crypto/sha512 saves its state in an unknown form")

// chainingValue hashes one block, the key padded and combined with pad (RFC 2104, 2), and
// returns the chaining value from the saved state of the hash.
func chainingValue(h hash.Hash, key []byte, pad byte) (value [sha512.Size]byte, err error) {
	block := make([]byte, sha512.BlockSize)
	copy(block, key)
	for i := range block {
		block[i] ^= pad
	}
	h.Write(block)
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return value, errState
	}
	state, err := m.MarshalBinary()
	if err != nil || len(state) != stateSize || string(state[:len(stateMagic)]) != stateMagic {
		return value, errState
	}
	copy(value[:], state[len(stateMagic):])
	return value, nil
}

// resume hashes data with a SHA-512 that has hashed one block and has the chaining value.
func resume(value [sha512.Size]byte, data ...[]byte) []byte {
	state := make([]byte, 0, stateSize)
	state = append(state, stateMagic...)
	state = append(state, value[:]...)
	state = append(state, make([]byte, sha512.BlockSize)...)
	state = binary.BigEndian.AppendUint64(state, sha512.BlockSize)
	h := sha512.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		panic("crypto/sha512 does not read its older states, as it promises: " + err.Error())
	}
	for _, d := range data {
		h.Write(d)
	}
	return h.Sum(nil)
}

// Answer is the answer to a challenge: the lower-case hexadecimal HMAC-SHA512 of its UTF-8
// bytes, 128 characters. While the connection lasts, it is as secret as the token.
func (t Token) Answer(challenge string) string {
	return hex.EncodeToString(resume(t.outer, resume(t.inner, []byte(challenge))))
}

// Verify reports, in constant time, whether answer is this token's answer to the challenge.
func (t Token) Verify(challenge, answer string) bool {
	return subtle.ConstantTimeCompare([]byte(t.Answer(challenge)), []byte(answer)) == 1
}

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t == Token{} }

// Text is the token's text form, for a credential store or an environment
// variable: "skaro-token-1:" and the 128 bytes in unpadded URL-safe base64, 185
// characters. Anyone with it can log in.
func (t Token) Text() string {
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(t.Bytes())
}

// ParseToken reads the text form, with or without white space around it. Its errors never
// quote the text.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	encoded, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		return Token{}, fmt.Errorf("a token starts with %q, this text does not", tokenPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") { // the decoder ignores line ends
		return Token{}, errors.New("the token is damaged: it is not base64")
	}
	return TokenFromBytes(raw)
}

// Bytes is the token as 128 bytes: the inner chaining value, then the outer one.
func (t Token) Bytes() []byte { return append(t.inner[:], t.outer[:]...) }

// TokenFromBytes makes a token of the result of Bytes.
func TokenFromBytes(raw []byte) (Token, error) {
	var t Token
	if len(raw) != len(t.inner)+len(t.outer) {
		return Token{}, fmt.Errorf("the token is damaged: it has %d bytes, not %d", len(raw), len(t.inner)+len(t.outer))
	}
	copy(t.inner[:], raw)
	copy(t.outer[:], raw[len(t.inner):])
	return t, nil
}

// String hides the token from every %v and %s.
func (t Token) String() string { return "[token]" }

// GoString hides the token from %#v.
func (t Token) GoString() string { return "[token]" }

// Format hides the token from every other verb.
func (t Token) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[token]")) }
