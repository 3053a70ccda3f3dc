package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// records reads all records of an input of JSON, up to an error.
func (o *sendOptions) records(in string) (list []record, err error) {
	next := o.newJSONReader(strings.NewReader(in))
	for {
		r, err := next()
		if err != nil {
			return list, err
		}
		list = append(list, r)
	}
}

func TestJSONReaderReadsEachMessage(t *testing.T) {
	const key = "0123456789abcdef"
	for in, want := range map[string][]record{
		"":                        nil,
		"\n \t\r\n":               nil,
		`{"to":"bob","body":"a"}`: {{number: 1, to: []string{"bob"}, body: "a"}},
		"\n{\"to\":[\"bob\",\"ops\",\"bob\"],\"body\":\"a\"}\r\n":         {{number: 2, to: []string{"bob", "ops"}, body: "a"}},
		`{"body":"a"}` + "\n" + `{"key":"` + key + `","body":"b"}` + "\n": {{number: 1, body: "a"}, {number: 2, body: "b", key: key}},
		` { "body" : "a\n\u00e9\ud83d\ude42\"\\\/" , "to" : [ "b,c" ] } `: {{number: 1, to: []string{"b,c"}, body: "a\né🙂\"\\/"}},
		`{"body":"a","fields":{}}`:                                        {{number: 1, body: "a"}},
		`{"body":"a","fields":null}`:                                      {{number: 1, body: "a"}},
		`{"fields" : { "title" : "\u00e9" , "n":-0, "yes":true,"no" :false,"tags":[ "a" , "" ],"none":[],"max":18446744073709551615 } ,"body":"a"}`: {{number: 1, body: "a", fields: fieldsOf(t, map[string]any{
			"title": "é", "n": 0, "yes": true, "no": false, "tags": []string{"a", ""}, "none": []string{}, "max": uint64(math.MaxUint64),
		})}},
		`{"\u0062ody":"\ufffd �"}`: {{number: 1, body: "\uFFFD \uFFFD"}},
	} {
		got, err := (&sendOptions{words: []string{}}).records(in)
		if !errors.Is(err, io.EOF) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
}

// A wrong line is named with its column and with what was expected.
func TestJSONReaderNamesWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		`x`:                                   `column 1: expected {, not "x"`,
		`[]`:                                  `column 1: expected {, not "["`,
		`{`:                                   `column 2: expected a key in quotes, not the end of the line`,
		`{}`:                                  `column 2: "body" is missing`,
		`{,}`:                                 `column 2: expected a key in quotes, not ","`,
		`{body:"a"}`:                          `column 2: expected a key in quotes, not "b"`,
		`{"body" "a"}`:                        `column 9: expected :, not "\""`,
		`{"body":"a",}`:                       `column 13: expected a key in quotes, not "}"`,
		`{"body":"a" "to":"b"}`:               `column 13: expected , or }, not "\""`,
		`{"body":"ä"`:                         `column 12: expected , or }, not the end of the line`,
		`{"body":"a`:                          `column 11: expected " at the end of a string, not the end of the line`,
		`{"body":"a\`:                         `column 12: expected " at the end of a string, not the end of the line`,
		`{"body":"ä\x"}`:                      `column 12: expected an escape of JSON`,
		`{"body":"\u12g4"}`:                   `column 14: expected an escape of JSON`,
		"{\"body\":\"a\tb\"}":                 `column 11: a control character in a string: expected \u0009`,
		`{"body":1}`:                          `column 9: "body" must be a string, not a number`,
		`{"body":null}`:                       `column 9: "body" must be a string, not null`,
		`{"body":{"a":1}}`:                    `column 9: "body" must be a string, not an object`,
		`{"body":?}`:                          `column 9: expected a string, not "?"`,
		`{"to":"b","body":""}`:                `column 18: "body" is empty`,
		`{"to":"bob"}`:                        `column 12: "body" is missing`,
		`{"body":"a"}`:                        `column 12: "to" is missing`,
		`{"to":1,"body":"a"}`:                 `column 7: "to" must be a string or an array of strings, not a number`,
		`{"to":true,"body":"a"}`:              `column 7: "to" must be a string or an array of strings, not a boolean`,
		`{"to":[],"body":"a"}`:                `column 7: "to" is empty`,
		`{"to":[ ],"body":"a"}`:               `column 7: "to" is empty`,
		`{"to":["b",-1],"body":"a"}`:          `column 12: each login in "to" must be a string, not a number`,
		`{"to":["b";],"body":"a"}`:            `column 11: expected , or ], not ";"`,
		`{"to":["b",""],"body":"a"}`:          `column 12: "to" names an empty login`,
		`{"to":"","body":"a"}`:                `column 7: "to" names an empty login`,
		`{"to":["Bob","c","bob"],"body":"a"}`: `column 7: "Bob" and "bob" may be the same login`,
		`{"to":"` + strings.Repeat("b", 257) + `"}`:                                      `column 7: a login in "to" has 257 bytes, more than 256`,
		`{"body":"a","body":"a"}`:                                                        `column 13: "body" is there twice`,
		`{"body":"a","\u0062ody":"b"}`:                                                   `column 13: "body" is there twice`,
		`{"Body":"a"}`:                                                                   `column 2: unknown key "Body": expected "to", "body", "fields" or "key"`,
		`{"body":"a","fields":[]}`:                                                       `column 22: "fields" must be an object, not an array`,
		`{"body":"a","fields":nul}`:                                                      `column 22: "fields" must be an object, not null`,
		`{"body":"a","fields":{"a":1}`:                                                   `column 29: expected , or }, not the end of the line`,
		`{"body":"a","fields":{"a":1} "key"`:                                             `column 30: expected , or }, not "\""`,
		`{"body":"a","fields":{"a":1,"a":2}}`:                                            `column 29: "a" is there twice`,
		`{"body":"a","fields":{"":1}}`:                                                   `column 23: the name of a field is empty: a name has 1 to 64 characters`,
		`{"body":"a","fields":{"Title":1}}`:                                              `column 23: the field "Title" has no valid name`,
		`{"body":"a","fields":{"a":null}}`:                                               `column 27: "a" must be a string, an integer, a boolean or an array of strings, not null`,
		`{"body":"a","fields":{"a":{}}}`:                                                 `column 27: "a" must be a string, an integer, a boolean or an array of strings, not an object`,
		`{"body":"a","fields":{"a":[1]}}`:                                                `column 28: each element of "a" must be a string, not a number`,
		`{"body":"a","fields":{"a":["x"}}`:                                               `column 31: expected , or ], not "}"`,
		`{"body":"a","fields":{"a":["x",]}}`:                                             `column 32: expected a string, not "]"`,
		`{"body":"a","fields":{"b":1, "a":1.5}}`:                                         `column 34: the field "a" is a number with a fraction: expected text, an integer`,
		`{"body":"a","fields":{"a":1e999}}`:                                              `column 27: a number is too large: expected an integer`,
		`{"body":"a","fields":{"a":01}}`:                                                 `column 27: expected a number of JSON`,
		`{"body":"a","fields":{"a":18446744073709551616}}`:                               `column 27: the field "a" is an integer beyond 64 bits`,
		`{"body":"a","fields":{"a":"\ud83d"}}`:                                           `column 28: \ud83d is half of a surrogate pair`,
		`{"body":"a","fields":{"urgency":"urgent"}}`:                                     `column 33: the field "urgency" must be low, normal, high or critical`,
		`{"body":"a","fields":{"reply_to":"42"}}`:                                        `column 34: the field "reply_to" must be the id of a message`,
		`{"body":"a","fields":{"a":truex}}`:                                              `column 31: expected , or }, not "x"`,
		`{"body":"a","fields":{"a":` + strings.Repeat("1", maxDigits+1) + `}}`:           `column 27: a number has 65 characters`,
		`{"body":"a","fields":{"a":"` + strings.Repeat("x", proto.MaxFieldBytes) + `"}}`: `column 22: the fields have 4102 bytes: at most 4096`,
		`{"body":"a","key":"abc"}`:                                                       `column 19: "key" has 3 characters, not 16 to 64`,
		`{"body":"a","key":7}`:                                                           `column 19: "key" must be a string, not a number`,
		`{"to":"b","body":"a"} x`:                                                        `column 23: expected the end of the line, not "x"`,
		`{"to":"b","body":"a"}{}`:                                                        `column 22: expected the end of the line, not "{"`,
		"{\"body\":\"\xff\"}":                                                            `line 1 is not UTF-8`,
		`{"body":"` + strings.Repeat("x", maxBody+1) + `"}`:                              `column 9: "body" has more than`,
		strings.Repeat("x", maxJSONLine+1):                                               `line 1 has more than`,
		`{"body":"a\\\ud83d\u0020\ude42"}`:                                               `column 13: \ud83d is half of a surrogate pair, and no character`,
		`{"body":"\ude42"}`:                                                              `column 10: \ude42 is half of a surrogate pair, and no character`,
		"{\"body\":\"a\x00\"}":                                                           `column 11: a control character in a string: expected \u0000`,
		"\x00":                                                                           `column 1: expected {, not "\x00"`,
	} {
		list, err := (&sendOptions{}).records(in)
		if err == nil || len(list) > 0 || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "line 1") || hintOf(err) == "" {
			t.Errorf("%.80s: %v, not %s", in, err, want)
		}
	}
}

// --lossy takes half a pair, and --skip-empty an empty body.
func TestJSONReaderTakesWhatFlagsPermit(t *testing.T) {
	o := &sendOptions{words: []string{}, lossy: true, skipEmpty: true}
	got, err := o.records(`{"body":""}` + "\n" + `{"body":"a\ud83d"}`)
	if want := []record{{number: 2, body: "a\uFFFD"}}; !errors.Is(err, io.EOF) || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzJSONLine: a line that is taken says the same to encoding/json, and nothing that is not
// JSON is taken. An error names a column of the line.
func FuzzJSONLine(f *testing.F) {
	for _, s := range []string{
		`{"to":"bob","body":"a"}`, `{"to":["bob","ops"],"body":"a\n\u00e9\ud83d\ude42","key":"0123456789abcdef"}`, ` { "body" : "" } `,
		`{"to":1}`, `{"body":"a"}x`, `{"body":"\ud83d"}`, `{"body":"a","body":"b"}`, `{"body":"a\`, `{"to":[`, "{\"body\":\"a\x00\"}", `{"to":["a","A"],"body":"x"}`,
		`{"body":"a","fields":{"title":"x","n":-12,"yes":true,"tags":["a"]}}`, `{"fields":null,"body":"a"}`, `{"body":"a","fields":{"a":1.5}}`, `{"body":"a","fields":{"a":[`,
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, line []byte, lossy bool) {
		if !utf8.Valid(line) || bytes.IndexByte(line, '\n') >= 0 {
			return
		}
		m, err := parseJSONLine(line, true, lossy)
		if err != nil {
			var wrong *lineError
			if !errors.As(err, &wrong) || wrong.at < 0 || wrong.at > len(line) || wrong.msg == "" {
				t.Fatalf("%q: %#v", line, err)
			}
			_ = wrong.usage(line, 1)
			return
		}
		var want struct {
			To     any
			Body   string
			Fields map[string]any
			Key    string
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil || !json.Valid(line) {
			t.Fatalf("%q is taken, but %v", line, err)
		}
		if m.body != want.Body || m.key != want.Key || !slices.Equal(m.to, logins(want.To)) {
			t.Fatalf("%q: %+v, not %+v", line, m, want)
		}
		for name, v := range want.Fields {
			if !sameField(m.fields, name, v) || len(m.fields.Values()) != len(want.Fields) {
				t.Fatalf("%q: %v, not %v", line, m.fields.Values(), want.Fields)
			}
		}
	})
}

// fieldsOf makes fields that are right.
func fieldsOf(t *testing.T, values map[string]any) proto.Fields {
	t.Helper()
	f, err := proto.NewFields(values)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sameField reports whether a field has the value that encoding/json has read.
func sameField(f proto.Fields, name string, v any) bool {
	if n, ok := v.(json.Number); ok {
		i, ok := new(big.Int).SetString(n.String(), 10)
		return ok && f.Matches(name, i.String())
	}
	return reflect.DeepEqual(f.Values()[name], v)
}

// logins are the logins in the value of "to" as encoding/json reads it, each once.
func logins(to any) (list []string) {
	switch to := to.(type) {
	case string:
		return []string{to}
	case []any:
		for _, login := range to {
			if !slices.Contains(list, login.(string)) {
				list = append(list, login.(string))
			}
		}
	}
	return list
}
