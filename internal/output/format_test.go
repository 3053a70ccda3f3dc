package output

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestFormat(t *testing.T) {
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

func TestPush(t *testing.T) {
	for _, c := range []struct {
		fields     map[string]any
		json, text string
	}{
		{map[string]any{"type": "info", "info": "all\x1b is well"}, `{"type":"info","info":"all\u001b is well"}`, `*** info: all\x1b is well`},
		{map[string]any{"type": "error", "info": "lost", "code": 7}, `{"type":"error","info":"lost","extra":{"code":7}}`, `*** error: lost {"code":7}`},
		{map[string]any{"type": "info", "info": 7}, `{"type":"info","extra":{"info":7}}`, `*** push info {"info":7}`},
		{map[string]any{"type": "changed_user_data"}, `{"type":"push","name":"changed_user_data"}`, `*** push changed_user_data`},
		{map[string]any{"type": "x\ny", "info": "z"}, `{"type":"push","name":"x\u000ay","extra":{"info":"z"}}`, `*** push x\ny {"info":"z"}`},
	} {
		b, err := proto.Encode(c.fields)
		if err != nil {
			t.Fatal(err)
		}
		f, err := proto.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		for json, want := range map[bool]string{true: c.json, false: c.text} {
			var out bytes.Buffer
			p := NewPrinter(&out, Options{JSON: json})
			if err := p.Push(f); err != nil {
				t.Error(err)
			}
			if err := p.Flush(); err != nil || out.String() != want+"\n" {
				t.Errorf("%v: %s, %v, not %s", c.fields, &out, err, want)
			}
		}
	}
}
