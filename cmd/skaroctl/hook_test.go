package main

import (
	"io"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

func TestHookTakes(t *testing.T) {
	for value, want := range map[string]struct{ windows, elsewhere bool }{
		"":                              {false, false},
		"a\x00b":                        {false, false},
		"it's 5 o'clock, wörld! \t#1 *": {true, true},
		`say "hi"`:                      {false, true},
		"a & calc":                      {false, true},
		"a|b":                           {false, true},
		"a>b":                           {false, true},
		"a<b":                           {false, true},
		"a^":                            {false, true},
		"100%":                          {false, true},
		"(a":                            {false, true},
		"a) else calc":                  {false, true},
		"a\nb":                          {false, true},
		"a\rb":                          {false, true},
		"\x1a":                          {false, true},
		strings.Repeat("x", 32<<10-64):  {true, true},
		strings.Repeat("x", 32<<10-63):  {false, true},
		strings.Repeat("x", 64<<10):     {false, true},
		strings.Repeat("x", 64<<10+1):   {false, false},
	} {
		for goos, want := range map[string]bool{"windows": want.windows, "linux": want.elsewhere, "darwin": want.elsewhere} {
			if got := hookTakes(goos, value); got != want {
				t.Errorf("%s: %.20q (%d bytes): %v", goos, value, len(value), got)
			}
		}
	}
}

func TestHookInherits(t *testing.T) {
	for name, want := range map[string]struct{ windows, elsewhere bool }{
		"SKAROCTL_TOKEN": {false, false}, "SKARO_FROM": {false, false}, "skaroctl_token": {false, true},
		"SKAROCTL_PROFILE": {false, false}, "Skaroctl_Server": {false, true}, "SKAROCTL_LOGIN": {true, true}, "Skaro_Body": {false, true},
		"SKAROCTL_TOKEN_FILE": {true, true}, "PATH": {true, true}, "": {true, true},
	} {
		for goos, want := range map[string]bool{"windows": want.windows, "linux": want.elsewhere} {
			if got := hookInherits(goos, name); got != want {
				t.Errorf("%s: %q: %v", goos, name, got)
			}
		}
	}
}

// The command of --exec gets a push as its JSON line, and none of the variables of a message.
func TestHookGetsPush(t *testing.T) {
	b, err := proto.Encode(map[string]any{"type": "info", "info": "two\nlines", "x": 1})
	if err != nil {
		t.Fatal(err)
	}
	push, err := proto.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	in := newHookInput(session.Event{Push: push, Own: "alice"})
	line, end := in.reader()
	defer end()
	got, err := io.ReadAll(line)
	if want := `{"type":"info","info":"two\u000alines","extra":{"x":1}}` + "\n"; err != nil || string(got) != want || in.environ != nil || in.event != "a push of type info" {
		t.Errorf("%q, %v, %q, %q", got, err, in.environ, in.event)
	}
}
