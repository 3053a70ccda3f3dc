package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestRequestParse(t *testing.T) {
	testParse(t, newRequestCmd, []parseCase[requestOptions]{
		{name: "a type", args: []string{"get_contacts"}, want: requestOptions{typ: "get_contacts"}},
		{
			name: "fields", args: []string{"x", "-f", "a=1,2", "-f", "b=", "-F", "c=[1,2]", "--no-auth"},
			want: requestOptions{typ: "x", fields: fieldFlags{texts: []string{"a=1,2", "b="}, values: []string{"c=[1,2]"}}, noAuth: true},
		},
		{name: "no type", err: "request needs TYPE"},
		{name: "two types", args: []string{"a", "b"}, err: "takes one argument"},
		{name: "an empty field", args: []string{"a", "-f", ""}, err: "--field is empty"},
	})
}

func TestRequestFields(t *testing.T) {
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte(`{"deep":[9007199254740993]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for _, c := range []struct {
		name          string
		texts, values []string
		stdin         string
		want          map[string]any
		err           string
	}{
		{name: "none", want: map[string]any{}},
		{name: "text", texts: []string{"a=b=c", "d="}, want: map[string]any{"a": "b=c", "d": ""}},
		{name: "JSON", values: []string{"a=1", "b=1.5", `c="x"`, "d=null"}, want: map[string]any{"a": int64(1), "b": 1.5, "c": "x", "d": nil}},
		{name: "integers stay exact", values: []string{"a=9007199254740993", "b=123456789012345678901234567890"}, want: map[string]any{"a": int64(9007199254740993), "b": *huge}},
		{name: "a file", values: []string{"a=@" + file}, want: map[string]any{"a": map[string]any{"deep": []any{int64(9007199254740993)}}}},
		{name: "standard input", values: []string{"a=@-"}, stdin: "true", want: map[string]any{"a": true}},
		{name: "no equals sign", texts: []string{"a"}, err: `-f "a" is not KEY=VALUE`},
		{name: "no key", values: []string{"=1"}, err: `-F "" is not KEY=VALUE`},
		{name: "the same key", texts: []string{"a=1"}, values: []string{"a=1"}, err: "is there already"},
		{name: "a key of the frame", texts: []string{"type=x"}, err: "is there already"},
		{name: "no JSON", values: []string{"a=b"}, err: `the value of "a" is not JSON`},
		{name: "empty JSON", values: []string{"a="}, err: "it is empty"},
		{name: "two values", values: []string{"a=1 2"}, err: "there is more after the value"},
		{name: "not UTF-8", texts: []string{"a=\xff"}, err: "is not UTF-8"},
		{name: "no such file", values: []string{"a=@" + file + ".none"}, err: "read a field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := requestOptions{typ: "x", fields: fieldFlags{c.texts, c.values}}
			got, err := o.request(t.Context(), strings.NewReader(c.stdin))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || kindOf(err) != cli.KindUsage {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || got.Type != "x" || !reflect.DeepEqual(got.Fields, c.want) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	for _, typ := range []string{"", "\xff"} {
		if _, err := (&requestOptions{typ: typ}).request(t.Context(), nil); kindOf(err) != cli.KindUsage {
			t.Errorf("the type %q: %v", typ, err)
		}
	}
}

// The help of request and its completion name the same types.
func TestRequestTypesAreThoseOfTheHelp(t *testing.T) {
	c := newRequestCmd(newTestFactory(t, terminal.Streams{}, nil), runRequest)
	words := strings.FieldsFunc(c.Long, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	for _, typ := range requestTypes {
		if !slices.Contains(words, typ) {
			t.Errorf("the help lacks %s", typ)
		}
	}
	for _, word := range words {
		if strings.Contains(word, "_") && !slices.Contains(requestTypes, word) {
			t.Errorf("completion lacks %s", word)
		}
	}
}

// A signal ends the wait for a field on standard input.
func TestRequestFieldIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := &terminal.Interrupt{Signal: os.Interrupt}
	cancel(interrupt)
	in, held := io.Pipe()
	defer held.Close()
	_, err := (&requestOptions{typ: "x", fields: fieldFlags{values: []string{"a=@-"}}}).request(ctx, in)
	if err == nil || !strings.Contains(err.Error(), interrupt.Error()) {
		t.Errorf("%v", err)
	}
}

// FuzzFieldJSON: a value that -F takes is JSON, and reaches the server as it is: integers of any
// size are exact.
func FuzzFieldJSON(f *testing.F) {
	for _, s := range []string{`1`, `-9223372036854775809`, `123456789012345678901234567890`, `1.5e3`, `"a\u0000"`, `[1,{"a":null}]`, `{"a":1,"a":2}`, `1 2`, ``, `1e400`, `"\ud800"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseJSON(text)
		if err != nil {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q is taken for JSON", text)
		}
		b, err := proto.Encode(map[string]any{"type": "x", "x": v})
		if err != nil {
			return
		}
		frame, err := proto.Decode(b)
		if err != nil {
			return // it is deeper than a frame, for example
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var number any
		if err := d.Decode(&number); err != nil {
			t.Fatal(err)
		}
		n, isNumber := number.(json.Number)
		if want, isInteger := new(big.Int).SetString(n.String(), 10); isNumber && isInteger {
			got := frame.Value("x")
			if n, isLong := got.(big.Int); isLong {
				got = &n
			}
			if fmt.Sprint(got) != want.String() {
				t.Errorf("%q becomes %v", text, got)
			}
		}
		if s, isText := number.(string); isText && frame.Text("x") != s {
			t.Errorf("%q becomes %q", text, frame.Text("x"))
		}
	})
}
