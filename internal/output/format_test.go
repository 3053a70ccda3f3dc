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
		Extra: map[string]any{"font": "bold"},
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
	binary := proto.Message{From: "bob", Extra: map[string]any{"body": []byte("\x00\xff\n 42")}}
	if got := printed(t, Options{Format: f}, func(p *Printer) error { return p.Message(binary, "alice") }); got != "[binary, 6 bytes] AP8KIDQy\n" {
		t.Errorf("a body that is not text: %q", got)
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
