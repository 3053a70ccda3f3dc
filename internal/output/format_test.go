package output

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestFormatWritesByTheTemplate(t *testing.T) {
	m := proto.Message{
		ID: 1<<53 + 1, Date: proto.Date{Time: time.Unix(0, 0)}, From: "bob", To: "alice", Body: "a\x1b[31m <b>\n\"c\"",
		Extra: proto.ExtraOf(map[string]any{"font": "bold"}),
	}
	for _, c := range []struct {
		template string
		terminal bool
		want     string
	}{
		{"{{.from}} {{.to}} {{.dialog}} {{.id}} {{.date}}", false, "bob alice bob 9007199254740993 1970-01-01T00:00:00Z\n"},
		{"{{.body}}", false, m.Body + "\n"},
		{"{{.body}}", true, "a\\x1b[31m <b>\n\"c\"\n"},
		{"{{.conference}}|{{.own}}|{{.info}}|{{.extra.font}}", false, "|false||bold\n"},
		{"{{json .body}}", false, `"a\u001b[31m <b>\n\"c\""` + "\n"},
		{"{{if .own}}mine{{else}}theirs{{end}}", false, "theirs\n"},
		{"", false, "\n"},
	} {
		f, err := ParseFormat(c.template, c.terminal)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		var b bytes.Buffer
		p := NewPrinter(&b, Options{JSON: true, Format: f})
		if err := p.Message(m, "alice"); err != nil {
			t.Errorf("%s: %v", c.template, err)
		}
		if err := p.Flush(); err != nil || b.String() != c.want {
			t.Errorf("%s: %q, %v, not %q", c.template, b.String(), err, c.want)
		}
	}
	f, err := ParseFormat("{{.body}} {{.extra.body}}", false)
	if err != nil {
		t.Fatal(err)
	}
	binary := proto.Message{From: "bob", Extra: proto.ExtraOf(map[string]any{"body": []byte("\x00\xff\n 42")})}
	if got := printed(t, Options{Format: f}, func(p *Printer) error { return p.Message(binary, "alice") }); got != "[binary, 6 bytes] AP8KIDQy\n" {
		t.Errorf("a body that is not text: %q", got)
	}
	titled := withFields(map[string]any{"title": "Disk full", "n": int64(1 << 60)})
	if f, err = ParseFormat("{{.fields.title}} {{.fields.n}} {{.fields.unheard}}", false); err != nil {
		t.Fatal(err)
	}
	if got := printed(t, Options{Format: f}, func(p *Printer) error { return p.Message(titled, "alice") }); got != "Disk full 1152921504606846976 \n" {
		t.Errorf("fields: %q", got)
	}
	if got := printed(t, Options{Format: f}, func(p *Printer) error { return p.Message(binary, "alice") }); got != "  \n" {
		t.Errorf("no fields: %q", got)
	}
	for template, why := range map[string]string{
		"{{.from":        "unclosed action",
		"{{.form}}":      `no entry for key "form"`,
		"{{.from.name}}": "can't evaluate field name",
		"{{nothing}}":    `function "nothing" not defined`,
	} {
		if _, err := ParseFormat(template, false); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", template, err)
		}
	}
	if _, err := ParseFormat("{{.extra.unheard}}", false); err != nil {
		t.Error(err) // some message might have it
	}
}

// FuzzFormat: whatever a template does with a message, a terminal gets safe text and a pipe
// the exact bytes. The template is put together of parts, because any text at all could be a
// template that runs for ever.
func FuzzFormat(f *testing.F) {
	parts := []string{
		"{{.body}}", "{{.from}} ", "{{.}}", "{{.extra.x}}", `{{printf "%s %v" .body .id}}`, `{{printf "%c" 27}}`, "{{with .body}}{{.}}", "{{if .own}}", "{{else}}", "{{end}}",
		"{{range $k, $v := .extra}}{{$k}}={{$v}}", "{{$b := .body}}", "{{$b}}", "{{json .}}", "{{html .body}}", "{{slice .body 1}}", "{{len .body}}", "{{js .from}}",
		"{{- .to -}}", "{{/* a comment */}}", `{{"\x1b[31m"}}`, "{{`\u202e`}}", "{{break}}", "text ", "{{eq .from .to}}", "{{index .extra .body}}", "{{urlquery .body}}", "{{.body | print | print}}",
	}
	f.Add([]byte{0}, "hi", "x")
	f.Add([]byte{6, 9, 10, 9, 13}, "\x1b[31m", "\u202e")
	f.Add([]byte{20, 21, 5, 3, 26}, "\xff\x9b", "\n")
	f.Fuzz(func(t *testing.T, choice []byte, body, from string) {
		text := ""
		for _, c := range choice[:min(len(choice), 64)] {
			text += parts[int(c)%len(parts)]
		}
		m := proto.Message{ID: 1, From: from, To: "alice", Body: body, Extra: proto.ExtraOf(map[string]any{"x": body, body: from})}
		run := func(terminal bool) (string, error) {
			format, err := ParseFormat(text, terminal)
			if err != nil {
				return "", err
			}
			got, err := format.execute(templateObject(newMessageJSON(m, "alice")))
			return string(got), err
		}
		shown, terminalErr := run(true)
		if c := forbidden.FindString(strings.NewReplacer("\n", "", "\t", "").Replace(shown)); c != "" {
			t.Errorf("%s shows %+q of %+q", text, c, body)
		}
		exact, pipeErr := run(false)
		if (terminalErr == nil) != (pipeErr == nil) {
			t.Errorf("%s: for a terminal %v, for a pipe %v", text, terminalErr, pipeErr)
		}
		if text == "{{.body}}" && exact != string([]rune(body))+"\n" {
			t.Errorf("%+q is written as %+q", body, exact)
		}
	})
}
