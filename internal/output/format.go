package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Format is a template for messages and pushes: text/template on the JSON object, with its
// keys. A key that the object does not have is empty.
type Format struct{ template *template.Template }

// formatKeys are the keys of a message and of a push.
var formatKeys = []string{"type", "id", "date", "dialog", "from", "to", "conference", "own", "body", "info", "name", "extra"}

// FormatKeys lists the keys that a template can use, for people.
func FormatKeys() string { return strings.Join(formatKeys, ", ") }

// ParseFormat reads a template, and tries it on a message. For a terminal, everything that
// its actions write is made safe to show; its own text, which may have colours, stays as
// it is.
func ParseFormat(text string, terminal bool) (*Format, error) {
	t, err := template.New("format").Funcs(template.FuncMap{"json": jsonText}).Parse(text)
	if err != nil {
		return nil, err
	}
	sample := AppendMessage(nil, proto.Message{
		ID: 1, Date: proto.Date{Time: time.Unix(0, 0)}, From: "bob", To: "alice", Body: "hello",
	}, "alice")
	f := &Format{t}
	if _, err := f.execute(sample); err != nil {
		return nil, err
	}
	// A misspelt key is an error now, instead of empty lines later. The keys of extra come
	// from the server, so any key is possible there.
	strict, err := t.Clone()
	if err != nil {
		return nil, err
	}
	_, err = (&Format{strict.Option("missingkey=error")}).execute(sample)
	if err != nil && strings.Contains(err.Error(), "map has no entry") && !strings.Contains(err.Error(), ".extra") {
		return nil, err
	}
	show := plainText
	if terminal {
		show = func(v any) string { return Block(plainText(v)) }
	}
	t.Funcs(template.FuncMap{showName: show})
	for _, t := range t.Templates() {
		showActions(t.Root)
	}
	return f, nil
}

// showName is the function at the end of every action of a template. No template can use
// the name: it is added after parsing.
const showName = "_show"

func plainText(v any) string {
	switch v := v.(type) {
	case nil: // a key that is not there
		return ""
	case string:
		return v
	}
	return fmt.Sprint(v)
}

// showActions adds the function showName at the end of every action below a node, as
// html/template adds its own, so that a text is made safe after all else that is done to it.
func showActions(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, n := range n.Nodes {
				showActions(n)
			}
		}
	case *parse.ActionNode:
		if len(n.Pipe.Decl) == 0 {
			n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{
				NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{parse.NewIdentifier(showName).SetPos(n.Pos)},
			})
		}
	case *parse.IfNode:
		showActions(n.List)
		showActions(n.ElseList)
	case *parse.RangeNode:
		showActions(n.List)
		showActions(n.ElseList)
	case *parse.WithNode:
		showActions(n.List)
		showActions(n.ElseList)
	}
}

// jsonText is a value as JSON that is safe to show.
func jsonText(v any) (string, error) {
	e := jsonEncoder{short: true}
	e.value(v)
	return string(e.buf), e.err
}

// execute writes a result, given as JSON, by the template.
func (f *Format) execute(object []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber() // so that integers stay exact
	got := map[string]any{}
	if err := d.Decode(&got); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	for _, key := range formatKeys {
		if _, ok := got[key]; ok {
			continue
		}
		switch key {
		case "own":
			got[key] = false
		case "extra":
			got[key] = map[string]any{}
		default:
			got[key] = ""
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
