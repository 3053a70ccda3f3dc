package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// fieldFlags are the values of the flags -f and -F.
type fieldFlags struct{ texts, values []string }

// add adds the flags to a command.
func (o *fieldFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&o.texts, "field", "f", nil, "add a field with text: `KEY=TEXT` (repeatable)")
	flags.StringArrayVarP(&o.values, "json-field", "F", nil, "add a field with JSON: `KEY=JSON`, KEY=@FILE, or KEY=@- for standard input (repeatable)")
}

// given reports whether there is a field.
func (o *fieldFlags) given() bool { return len(o.texts)+len(o.values) > 0 }

// readStdin reports whether a value is on standard input.
func (o *fieldFlags) readStdin() bool {
	return slices.ContainsFunc(o.values, func(given string) bool {
		_, text, _ := strings.Cut(given, "=")
		return text == "@-"
	})
}

// read reads the fields. Those in reserved are set by skaroctl.
func (o *fieldFlags) read(ctx context.Context, stdin io.Reader, reserved ...string) (map[string]any, error) {
	fields := map[string]any{}
	for _, given := range o.texts {
		key, text, err := splitField("-f", given, fields, reserved)
		if err != nil {
			return nil, err
		}
		fields[key] = text
	}
	for _, given := range o.values {
		key, text, err := splitField("-F", given, fields, reserved)
		if err != nil {
			return nil, err
		}
		if file, ok := strings.CutPrefix(text, "@"); ok {
			if text, err = readField(ctx, stdin, file); err != nil {
				return nil, err
			}
		}
		if fields[key], err = parseJSON(text); err != nil {
			return nil, cli.Usage(fmt.Sprintf("-F: the value of %q is not JSON: %v", key, err), "give text to -f KEY=TEXT, or put JSON text in double quotes")
		}
	}
	return fields, nil
}

func (o *fieldFlags) readMessage(ctx context.Context, stdin io.Reader) (proto.Fields, error) {
	if !o.given() {
		return "", nil
	}
	values, err := o.read(ctx, stdin)
	if err != nil {
		return "", err
	}
	fields, err := proto.NewFields(values)
	if err == nil {
		err = fields.CheckKnown()
	}
	if err != nil {
		return "", cli.Usage(err.Error(), hintField(err))
	}
	return fields, nil
}

// fieldExample shows the value of a field, in a flag and in a line of `send --json`.
type fieldExample struct{ flag, line string }

var fieldExamples = map[string]fieldExample{
	proto.FieldUrgency: {"-f urgency=high", `"urgency":"high"`},
	proto.FieldTags:    {`-F tags='["web1","disk"]'`, `"tags":["web1","disk"]`},
	proto.FieldReplyTo: {"-F reply_to=42", `"reply_to":42`},
	proto.FieldLink:    {"-f link=https://example.org/", `"link":"https://example.org/"`},
}

// otherExample is for a field that is not known.
var otherExample = fieldExample{"-f NAME=TEXT, and an integer as -F NAME=3", `"NAME":"TEXT", and an integer as "NAME":3`}

const hintFewerFields = "leave some out, or put a long text into the body"

// hintField returns the hint for a wrong field of a message.
func hintField(err error) string {
	var wrong *proto.FieldError
	if !errors.As(err, &wrong) {
		return ""
	}
	if wrong.Name == "" {
		return hintFewerFields
	}
	return "write " + exampleOf(wrong.Name).flag
}

// hintLineField is hintField for a line of `send --json`.
func hintLineField(wrong *proto.FieldError) string {
	if wrong.Name == "" {
		return hintFewerFields
	}
	return "write " + exampleOf(wrong.Name).line
}

func exampleOf(name string) fieldExample {
	if known, ok := fieldExamples[name]; ok {
		return known
	}
	return otherExample
}

// splitField splits KEY=VALUE, the value of a flag. there has the fields that were given
// before it.
func splitField(flag, given string, there map[string]any, reserved []string) (key, value string, err error) {
	key, value, ok := strings.Cut(given, "=")
	if !ok || key == "" {
		return "", "", cli.Usage(fmt.Sprintf("%s %q is not KEY=VALUE", flag, key), "write it as "+flag+" NAME=VALUE")
	}
	_, twice := there[key]
	switch isReserved := slices.Contains(reserved, key); {
	case twice || isReserved:
		hint := "give each field once"
		if isReserved {
			hint += "; " + strings.Join(reserved, " and ") + " are set by skaroctl"
		}
		return "", "", cli.Usage(fmt.Sprintf("%s: the field %q is there already", flag, key), hint)
	}
	return key, value, cli.CheckUTF8(flag+" "+key, given)
}

// maxField bounds what is read for one field, in bytes: more than any frame holds.
const maxField = 32 << 20

// readField reads a file, or standard input if its name is "-".
func readField(ctx context.Context, stdin io.Reader, name string) (string, error) {
	var b []byte
	var err error
	if name == "-" {
		b, err = terminal.ReadAll(ctx, stdin, maxField+1)
	} else {
		b, err = terminal.ReadFile(ctx, name, maxField+1)
	}
	var noFile *fs.PathError
	switch {
	case errors.As(err, &noFile):
		return "", cli.Usage(fmt.Sprintf("read a field: %v", err), "check the file name after the @")
	case err != nil:
		return "", fmt.Errorf("read a field: %w", err)
	case len(b) > maxField:
		return "", cli.Usage(fmt.Sprintf("read a field: %s has more than %d bytes", name, maxField), "give a shorter value: a Skaro frame can't hold that much")
	}
	return string(b), nil
}

// parseJSON reads JSON as a frame can carry it: integers stay exact.
func parseJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more after the value")
	}
	return exact(v)
}

// exact makes every number an integer of any size, or else a fraction.
func exact(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return exactNumber(v)
	case []any:
		for i := range v {
			if v[i], err = exact(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = exact(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func exactNumber(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	if i, ok := new(big.Int).SetString(n.String(), 10); ok {
		return *i, nil
	}
	return n.Float64()
}
