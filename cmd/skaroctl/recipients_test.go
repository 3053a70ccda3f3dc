package main

import (
	"reflect"
	"testing"
)

func TestRecipientsAreNamedOnce(t *testing.T) {
	for in, want := range map[string][]string{"bob": {"bob"}, "bob,alice,bob": {"bob", "alice"}, "two words": {"two words"}} {
		if got, err := recipients(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// The server is asked only about logins that look alike.
func TestAlikeFindsOtherSpellings(t *testing.T) {
	for name, c := range map[string]struct{ in, want []string }{
		"one":             {[]string{"bob"}, nil},
		"several":         {[]string{"bob", "alice", "Юра", "юля"}, nil},
		"case":            {[]string{"bob", "alice", "BOB"}, []string{"bob", "BOB"}},
		"two pairs":       {[]string{"Юра", "a", "юРА", "A"}, []string{"Юра", "a", "юРА", "A"}},
		"composed":        {[]string{"zo\u00eb", "zoe\u0308"}, []string{"zo\u00eb", "zoe\u0308"}},
		"width":           {[]string{"bob", "\uff42\uff4f\uff42"}, []string{"bob", "\uff42\uff4f\uff42"}},
		"width, and case": {[]string{"bob", "\uff22\uff2f\uff22"}, []string{"bob", "\uff22\uff2f\uff22"}},
	} {
		if got := alike(c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}
