package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Format is a template for results: text/template over the JSON object, with its
// keys. A key that JSON leaves out is empty.
type Format struct {
	template *template.Template
	safe     bool // the result goes to a terminal
}

// formatKeys are the keys of a message and of a push.
var formatKeys = []string{"type", "id", "date", "dialog", "from", "to", "conference", "own", "body", "info", "name", "extra"}

// FormatKeys names the keys that a template can use, for people.
func FormatKeys() string { return strings.Join(formatKeys, ", ") }

// ParseFormat reads a template, and tries it on a message. Where terminal is set,
// what comes from the network is made safe to show.
func ParseFormat(text string, terminal bool) (*Format, error) {
	t, err := template.New("format").Funcs(template.FuncMap{"json": jsonText}).Parse(text)
	if err != nil {
		return nil, err
	}
	sample := AppendMessage(nil, proto.Message{
		ID: 1, Date: proto.Date{Time: time.Unix(0, 0)}, From: "bob", To: "alice", Body: "hello",
	}, "alice")
	f := &Format{template: t, safe: terminal}
	if _, err := f.execute(sample); err != nil {
		return nil, err
	}
	// A misspelt key is an error now, rather than a line full of nothing later. What
	// is in extra is the server's own.
	strict, err := t.Clone()
	if err != nil {
		return nil, err
	}
	_, err = (&Format{template: strict.Option("missingkey=error")}).execute(sample)
	if err != nil && strings.Contains(err.Error(), "map has no entry") && !strings.Contains(err.Error(), ".extra") {
		return nil, err
	}
	return f, nil
}

func jsonText(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func (f *Format) execute(object []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber() // so that integers stay exact
	got := map[string]any{}
	if err := d.Decode(&got); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	if f.safe {
		got = safeValue(got).(map[string]any)
	}
	for _, key := range formatKeys {
		if _, ok := got[key]; !ok {
			switch key {
			case "own":
				got[key] = false
			case "extra":
				got[key] = map[string]any{}
			default:
				got[key] = ""
			}
		}
	}
	var b bytes.Buffer
	if err := f.template.Execute(&b, got); err != nil {
		var exec template.ExecError
		if errors.As(err, &exec) {
			err = exec.Err
		}
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// safeValue makes the text in a decoded JSON value safe for a terminal.
func safeValue(v any) any {
	switch v := v.(type) {
	case string:
		return Block(v)
	case []any:
		for i := range v {
			v[i] = safeValue(v[i])
		}
	case map[string]any:
		safe := make(map[string]any, len(v))
		for k, e := range v {
			safe[Block(k)] = safeValue(e)
		}
		return safe
	}
	return v
}
