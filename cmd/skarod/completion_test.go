package main

import (
	"slices"
	"strings"
	"testing"
)

func TestCompletionNamesWhatTheDatabaseHas(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice", "anna", "bob")
	runCommands(t, data, commandCase{args: "conference create ops alice"}, commandCase{args: "conference create dev"})
	_, _, errs := skarod("", "invite", "create", "--data", data)
	_, until, _ := strings.Cut(strings.TrimSpace(errs), "until ")
	for args, want := range map[string][]string{
		"user passwd ":             {"alice", "anna", "bob"},
		"user remove a":            {"alice", "anna"},
		"user remove alice ":       nil,
		"conference delete ":       {"dev", "ops"},
		"conference list o":        {"ops"},
		"conference add ops ":      {"anna", "bob"},
		"conference add ops bob ":  {"anna"},
		"conference remove OPS ":   {"alice"},
		"conference create ":       nil,
		"conference create new a":  {"alice", "anna"},
		"invite revoke ":           {"1\tuntil " + until},
		"serve --registration ":    {"open", "invite", "closed"},
		"user list --output ":      {"auto", "text", "json"},
		"--data /nonexistent user": {"user\tManage accounts"},
	} {
		words := append([]string{"__complete", "--data", data}, strings.Split(args, " ")...)
		_, out, _ := skarod("", words...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if got := lines[:len(lines)-1]; !slices.Equal(got, want) || lines[len(lines)-1] != ":4" {
			t.Errorf("%s: %q", args, lines)
		}
	}
	// Without a database there are no words, and none is made.
	if _, out, _ := skarod("", "__complete", "user", "passwd", "--data", data+"x", ""); out != ":4\n" {
		t.Errorf("%q", out)
	}
}
