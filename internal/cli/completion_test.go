package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestCompletionsLeaveOutWhatAShellWouldQuote(t *testing.T) {
	words := []string{"bob", "bert", "alice", "b$(id)", "b c", "-b", "b\u202eob", "böb", "b@c.d"}
	if got := Completions(words, "x,", "b"); !slices.Equal(got, []string{"x,bob", "x,bert", "x,böb", "x,b@c.d"}) {
		t.Errorf("%q", got)
	}
}

func TestCompletionKnowsFlagsAndFiles(t *testing.T) {
	for args, want := range map[string]string{
		"do bob --c":         "--cert\tcertificate `FILE`\n--count\thow many\n:4\n",
		"do bob --cert ":     ":0\n",
		"do bob --count ":    ":4\n",
		"do bob --lines --n": ":4\n", // --null excludes --lines
		"one ":               ":4\n",
		"help user a":        "add\t\n:4\n",
		"completion b":       "bash\n:4\n",
	} {
		i := strings.LastIndexByte(args, ' ')
		words := append([]string{"__complete"}, append(strings.Fields(args[:i]), args[i+1:])...)
		got := program(t, t.Context(), nil, words...)
		if got.status != 0 || strings.ReplaceAll(got.out, "add\n", "add\t\n") != want {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
