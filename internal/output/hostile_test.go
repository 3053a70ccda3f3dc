package output

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// hostileTexts returns the texts of testdata/hostile.txt.
func hostileTexts(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := strconv.Unquote(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, s)
	}
	return list
}

// ours are the only escape sequences that the program sends to a terminal.
var ours = regexp.MustCompile(`\x1b\[(0|1|2|1;31|38;5;\d+)m`)

// leak is the first character or byte that must not reach a terminal, in quotes, or "". It
// uses Unicode's own tables.
func leak(text string) string {
	text = strings.ReplaceAll(ours.ReplaceAllString(text, ""), "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "")
	if !utf8.ValidString(text) {
		return strconv.QuoteToASCII(text)
	}
	for _, r := range text {
		switch {
		case r == '\n', r == '\t', r == 0x200e, r == 0x200f, r == 0x61c:
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r), unicode.In(r, unicode.Zl, unicode.Zp), r>>8 == 0xe00:
			return strconv.QuoteRuneToASCII(r)
		}
	}
	return ""
}

// everywhere is the output of each writer with the text s in every place.
func everywhere(t *testing.T, o Options, s string) map[string]string {
	yes := true
	extra := proto.ExtraOf(map[string]any{s: s, "list": []any{s, map[string]any{s: s}}})
	date := proto.Date{Raw: s}
	message := proto.Message{ID: 1, Date: date, From: s, To: s, Conference: s, Body: s, Extra: extra}
	own := message
	own.Conference = ""
	frame := func(fields map[string]any) proto.Frame {
		b, err := proto.Encode(fields)
		if err != nil {
			t.Fatal(err)
		}
		f, err := proto.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	push := func(fields map[string]any) func(*Printer) error {
		f := frame(fields)
		return func(p *Printer) error { return p.Push(f) }
	}
	text := strings.ToValidUTF8(s, "\ufffd") // as the frames have it
	got := map[string]string{}
	for what, print := range map[string]func(*Printer) error{
		"message":     func(p *Printer) error { return p.Message(message, "alice") },
		"own message": func(p *Printer) error { return p.Message(own, s) },
		"info":        push(map[string]any{"type": "info", "info": text, text: text}),
		"error":       push(map[string]any{"type": "error", "info": text, text: []string{text}}),
		"push":        push(map[string]any{"type": text, "info": text, text: map[string]string{text: text}}),
		"contact":     func(p *Printer) error { return p.Contact(proto.Contact{Login: s, Name: s, Online: &yes, Extra: extra}) },
		"sent":        func(p *Printer) error { return p.Sent(1, date, s, extra) },
		"policy":      func(p *Printer) error { return p.RegisterType(s) },
		"reply": func(p *Printer) error {
			return p.Reply(proto.Reply{For: s, ID: 1, Status: s, Fields: frame(map[string]any{"type": text, text: text, "list": []any{text, map[string]any{text: text}}})})
		},
		"invite":     func(p *Printer) error { return p.Invite(Invite{State: "used", Login: s}) },
		"user":       func(p *Printer) error { return p.User(User{Login: s, Created: at}) },
		"conference": func(p *Printer) error { return p.Conference(s, at, []string{s, s}) },
		"account": func(p *Printer) error {
			return p.Account(Account{Profile: s, Server: s, Login: s, Store: s, Credentials: s, ServerVersion: s, Extensions: []string{s, s}, RoundTrip: time.Second})
		},
		"failure": func(p *Printer) error {
			return WriteFailure(p.w, "skaroctl", Failure{Kind: s, Message: s, Status: s, Hint: s}, o.JSON, o.Colour)
		},
	} {
		got[what] = printed(t, o, print)
	}
	return got
}

// lines is how many lines a writer may write for a text. Only a body may have several, and
// they are indented.
func lines(what, s string) int {
	switch what {
	case "message", "own message":
		return 1 + strings.Count(s, "\n")
	case "failure":
		return 2
	case "account":
		return 8
	}
	return 1
}

func TestHostileTextIsSafeInEveryResult(t *testing.T) {
	for _, s := range hostileTexts(t) {
		for _, o := range []Options{{}, {Colour: true}, {Terminal: true}, {Colour: true, Terminal: true}} {
			for what, text := range everywhere(t, o, s) {
				if got := leak(text); got != "" {
					t.Errorf("%s of %.60q lets %s through: %.200q", what, s, got, text)
				}
				if !o.Colour && strings.Contains(text, "\x1b") {
					t.Errorf("%s of %.60q has a colour without being asked: %.200q", what, s, text)
				}
				if got, want := strings.Count(text, "\n"), lines(what, s); got != want {
					t.Errorf("%s of %.60q has %d lines, not %d: %.200q", what, s, got, want, text)
				}
				if body, ok := strings.CutSuffix(what, "message"); ok {
					for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
						if i > 0 && !strings.HasPrefix(line, "    ") {
							t.Errorf("a line of the %sbody %.60q begins at the margin: %q", body, s, line)
						}
					}
				}
			}
		}
	}
}

func TestHostileTextIsSafeInJSON(t *testing.T) {
	for _, s := range hostileTexts(t) {
		want := string([]rune(s)) // each bad byte becomes U+FFFD
		for what, text := range everywhere(t, Options{JSON: true}, s) {
			text, ok := strings.CutSuffix(text, "\n")
			if got := leak(text); got != "" || !ok || strings.ContainsAny(text, "\n\t") {
				t.Errorf("%s of %.60q is not one safe line: %s, %.200q", what, s, got, text)
			}
			var value map[string]any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				t.Errorf("%s of %.60q: %v: %.200q", what, s, err, text)
			}
			for key, v := range value {
				switch key {
				case "body", "from", "to", "conference", "login", "name", "register_type", "server", "store":
					if v != want && v != strings.ToValidUTF8(s, "\ufffd") {
						t.Errorf("the %s of %s is %.60q, not %.60q", key, what, v, want)
					}
				}
			}
		}
	}
}

// A template may change a text before it writes it: a terminal still gets it safe, and a
// pipe as it is. The template's own text stays.
func TestHostileTextIsSafeInATemplate(t *testing.T) {
	templates := []string{
		`{{.body}}`, `{{.from}} {{.to}} {{.conference}} {{.date}} {{.dialog}}`, `{{.extra}}`, `{{.}}`, `{{print .body .from}}`, `{{printf "%c" 27}}`,
		`{{with .body}}{{.}}{{else}}{{.}}{{end}}`, `{{range $k, $v := .extra}}{{$k}}={{$v}}{{end}}`, `{{$b := .body}}{{$b}}`,
		`{{if .body}}{{.body}}{{end}}`, `{{if not .body}}{{else}}{{.body}}{{end}}`, `{{define "x"}}{{.}}{{end}}{{template "x" .body}}`,
		`{{block "y" .body}}{{.}}{{end}}`, `{{slice .body 1}}`, `{{json .}}`, `{{html .body}}`, `{{range .extra.list}}{{.}}{{break}}{{end}}`,
	}
	for _, text := range templates {
		terminal, err := ParseFormat(text, true)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, s := range hostileTexts(t) {
			m := proto.Message{From: s, To: s, Conference: s, Body: "é" + s, Extra: proto.ExtraOf(map[string]any{s: s, "list": []any{s}})}
			got := printed(t, Options{Format: terminal}, func(p *Printer) error { return p.Message(m, "alice") })
			if leaked := leak(got); leaked != "" {
				t.Errorf("%s lets %s of %.60q through: %.200q", text, leaked, s, got)
			}
		}
	}
	for _, terminal := range []bool{false, true} {
		f, err := ParseFormat("\x1b[35m{{.body}}\x1b[39m", terminal)
		if err != nil {
			t.Fatal(err)
		}
		m := proto.Message{Body: "\x1b[31m"}
		want := map[bool]string{false: "\x1b[35m\x1b[31m\x1b[39m\n", true: "\x1b[35m\\x1b[31m\x1b[39m\n"}[terminal]
		if got := printed(t, Options{Format: f}, func(p *Printer) error { return p.Message(m, "alice") }); got != want {
			t.Errorf("terminal %v: %q, not %q", terminal, got, want)
		}
	}
}

func TestHostileTextIsSafeAtAnyLength(t *testing.T) {
	m := proto.Message{From: "bob", Body: strings.Repeat("\x1b[31m\u202e", 1<<17)}
	f, err := ParseFormat("{{.body}}", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{}, {JSON: true}, {Format: f}} {
		var out strings.Builder
		p := NewPrinter(&out, o)
		if err := errors.Join(p.Message(m, "alice"), p.Flush()); err != nil {
			t.Fatal(err)
		}
		if got := leak(out.String()); got != "" || strings.Count(out.String(), "202e") != 1<<17 {
			t.Errorf("%+v: %s, %d overrides shown", o, got, strings.Count(out.String(), "202e"))
		}
	}
}
