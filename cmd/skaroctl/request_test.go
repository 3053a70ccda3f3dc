package main

import (
	"slices"
	"strings"
	"testing"
)

// The help of request and its completion name the same types.
func TestRequestTypesAreThoseOfTheHelp(t *testing.T) {
	words := strings.FieldsFunc((&app{}).requestCommand().Long, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	for _, typ := range requestTypes {
		if !slices.Contains(words, typ) {
			t.Errorf("the help lacks %s", typ)
		}
	}
	for _, word := range words {
		if strings.Contains(word, "_") && !slices.Contains(requestTypes, word) {
			t.Errorf("completion lacks %s", word)
		}
	}
}
