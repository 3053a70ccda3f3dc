package output

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
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
var formatKeys = []string{"type", "id", "date", "dialog", "from", "to", "conference", "own", "body", "fields", "info", "name", "extra"}

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
	message := newMessageJSON(proto.Message{
		ID: 1, Date: proto.Date{Time: time.Unix(0, 0)}, From: "bob", To: "alice", Body: "hello",
	}, "alice")
	sample := templateObject(message)
	f := &Format{t}
	if _, err := f.execute(sample); err != nil {
		return nil, err
	}
	// A misspelt key is an error now, instead of empty lines later. The keys of fields and
	// extra come from others, so any key is possible there.
	strict, err := t.Clone()
	if err != nil {
		return nil, err
	}
	_, err = (&Format{strict.Option("missingkey=error")}).execute(sample)
	if err != nil && strings.Contains(err.Error(), "map has no entry") && !strings.Contains(err.Error(), ".extra") && !strings.Contains(err.Error(), ".fields") {
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

// templateObject returns a result as a template sees it: as its JSON, but with every key of
// formatKeys.
func templateObject(result any) map[string]any {
	object := map[string]any{}
	for _, key := range formatKeys {
		switch key {
		case "own":
			object[key] = false
		case "fields", "extra":
			object[key] = map[string]any{}
		default:
			object[key] = ""
		}
	}
	v := reflect.Indirect(reflect.ValueOf(result))
	for i, t := range new(jsonEncoder).tagsOf(v.Type()) {
		if f := v.Field(i); !t.omitEmpty || !empty(f) {
			object[t.name] = templateValue(f.Interface())
		}
	}
	return object
}

// templateValue returns a value of a result as reading its JSON would: integers are exact.
func templateValue(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Map(func(r rune) rune { return r }, v) // a byte that is not UTF-8 becomes U+FFFD
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = templateValue(e)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, e := range v {
			object[templateValue(name).(string)] = templateValue(e)
		}
		return object
	case json.RawMessage: // null is the only one
		return nil
	case int64, uint64, uint8, *big.Int:
		return json.Number(fmt.Sprint(v))
	}
	return v
}

// execute writes a result, from templateObject, by the template.
func (f *Format) execute(object map[string]any) ([]byte, error) {
	var b bytes.Buffer
	if err := f.template.Execute(&b, object); err != nil {
		var exec template.ExecError
		if errors.As(err, &exec) {
			err = exec.Err
		}
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
