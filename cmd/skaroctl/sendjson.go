package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// maxJSONLine is how many bytes a line of --json may have. Escapes make a text longer: a
// newline, for example, becomes two bytes.
const maxJSONLine = 2 * proto.MaxFrame

// The hints for a wrong line of --json.
const (
	hintJSON    = `write each message on one line: {"to":"bob","body":"TEXT"}; jq -c writes such lines`
	hintTo      = `give "to" in the line, or LOGIN as an argument`
	hintAlike   = "name one of them, or write a line for each"
	hintTooLong = `shorten a text in jq with .body|=.[:65000]`
)

// newJSONReader reads lines of JSON, and skips blank ones.
func (o *sendOptions) newJSONReader(r io.Reader) recordReader {
	in := newRecordInput(r, "line", '\n')
	in.most, in.hint = maxJSONLine, hintTooLong
	return func() (record, error) {
		for {
			line, err := in.next()
			if err != nil {
				return record{}, err
			}
			if len(bytes.Trim(line, jsonSpace)) == 0 {
				continue
			}
			m, err := parseJSONLine(line, o.words != nil, o.lossy)
			var wrong *lineError
			switch {
			case errors.As(err, &wrong):
				return record{}, wrong.usage(line, in.n)
			case m.body == "" && o.skipEmpty:
				continue
			case m.body == "":
				err := m.empty.usage(line, in.n)
				err.Hint = "give it a text; --skip-empty leaves such lines out"
				return record{}, err
			}
			return record{number: in.n, to: m.to, body: m.body, fields: m.fields, key: m.key}, nil
		}
	}
}

// lineError is what is wrong in a line.
type lineError struct {
	at        int // index of a byte
	msg, hint string
}

// Error says what is wrong.
func (e *lineError) Error() string { return e.msg }

// usage returns the error for line n. Columns count characters, from 1.
func (e *lineError) usage(line []byte, n int) *cli.Error {
	return cli.Usage(fmt.Sprintf("line %d, column %d: %s", n, utf8.RuneCount(line[:e.at])+1, e.msg), e.hint)
}

// jsonMessage is what a line of --json says.
type jsonMessage struct {
	to        []string // nil if the line does not say it
	body, key string
	fields    proto.Fields
	empty     *lineError // for an empty body
}

// parseJSONLine reads the message in a line, which is UTF-8. hasTo means that the command line
// names recipients, and lossy that a wrong surrogate becomes U+FFFD. Every error is a *lineError.
// encoding/json alone would accept a key twice or in another case, and half of a surrogate pair.
func parseJSONLine(line []byte, hasTo, lossy bool) (m jsonMessage, err error) {
	p := &jsonParser{line: line, lossy: lossy}
	var seen []string
	end, err := p.object(func(name string, at int) error {
		if slices.Contains(seen, name) {
			return p.errorAt(at, fmt.Sprintf("%q is there twice", name))
		}
		seen = append(seen, name)
		switch name {
		case "to":
			m.to, err = p.recipients()
		case "body":
			m.body, err = p.body()
			m.empty = &lineError{at: p.value, msg: `"body" is empty`}
		case "fields":
			m.fields, err = p.fields()
		case "key":
			m.key, err = p.key()
		default:
			err = p.unknownKey(name, at)
		}
		return err
	})
	if p.peek(); err == nil && p.at < len(line) {
		err = p.expected("the end of the line")
	}
	switch {
	case err != nil:
		return m, err
	case !slices.Contains(seen, "body"):
		return m, &lineError{end, `"body" is missing`, hintJSON}
	case m.to == nil && !hasTo:
		return m, &lineError{end, `"to" is missing`, hintTo}
	}
	return m, nil
}

// unknownKey returns the error for a key that a line must not have. A line that skaroctl has
// printed is refused too, because its "to" may be the sender.
func (p *jsonParser) unknownKey(name string, at int) error {
	hint := hintJSON
	if name == "type" {
		hint = `use jq -c '{to,body,fields}' to select the keys of a printed message`
	}
	return &lineError{at, fmt.Sprintf(`unknown key %s: expected "to", "body", "fields" or "key"`, strconv.Quote(proto.Excerpt(name))), hint}
}

// jsonParser reads the JSON (RFC 8259) of one line, from the start to the end.
type jsonParser struct {
	line  []byte
	at    int // the next byte
	value int // where the value begins that is being read
	lossy bool
}

// jsonSpace is the white space of JSON.
const jsonSpace = " \t\r\n"

// peek passes over white space, and returns the next byte, which is 0 at the end of the line.
func (p *jsonParser) peek() byte {
	for p.at < len(p.line) && strings.IndexByte(jsonSpace, p.line[p.at]) >= 0 {
		p.at++
	}
	if p.at == len(p.line) {
		return 0
	}
	return p.line[p.at]
}

// take passes over c, and reports whether it is there.
func (p *jsonParser) take(c byte) bool {
	if p.peek() != c || p.at == len(p.line) {
		return false
	}
	p.at++
	return true
}

func (p *jsonParser) errorAt(at int, msg string) error { return &lineError{at, msg, hintJSON} }

// expected returns the error for a line that continues with something other than what.
func (p *jsonParser) expected(what string) error {
	found := "the end of the line"
	if p.peek(); p.at < len(p.line) {
		r, _ := utf8.DecodeRune(p.line[p.at:])
		found = strconv.QuoteToGraphic(string(r))
	}
	return p.errorAt(p.at, fmt.Sprintf("expected %s, not %s", what, found))
}

// object reads an object. It calls field for each key when its value is next; at is the index
// of the key. end is the index of the closing brace.
func (p *jsonParser) object(field func(name string, at int) error) (end int, err error) {
	if !p.take('{') {
		return 0, p.expected("{")
	}
	for first := true; !first || !p.take('}'); first = false {
		if p.peek() != '"' {
			return 0, p.expected(`a key in quotes`)
		}
		at := p.at
		name, err := p.text()
		if err != nil {
			return 0, err
		}
		if !p.take(':') {
			return 0, p.expected(":")
		}
		if err := field(name, at); err != nil {
			return 0, err
		}
		if p.take('}') {
			break
		}
		if !p.take(',') {
			return 0, p.expected(", or }")
		}
	}
	return p.at - 1, nil
}

// valueOf reads a text that is the value of a key, or an element of it.
func (p *jsonParser) valueOf(what, expected string) (string, error) {
	c := p.peek()
	p.value = p.at
	if c == '"' {
		return p.text()
	}
	return "", p.mustBe(what, expected)
}

// mustBe returns the error for a value of another kind than expected.
func (p *jsonParser) mustBe(what, expected string) error {
	c := p.peek()
	found := map[byte]string{'"': "a string", '{': "an object", '[': "an array", 't': "a boolean", 'f': "a boolean", 'n': "null"}[c]
	switch {
	case startsNumber(c):
		found = "a number"
	case found == "":
		return p.expected(expected)
	}
	return p.errorAt(p.at, fmt.Sprintf("%s must be %s, not %s", what, expected, found))
}

func startsNumber(c byte) bool { return c == '-' || c >= '0' && c <= '9' }

func (p *jsonParser) body() (string, error) {
	body, err := p.valueOf(`"body"`, "a string")
	if err == nil && len(body) > maxBody {
		err = &lineError{p.value, fmt.Sprintf(`"body" has more than %d bytes, more than a message can hold`, maxBody), hintTooLong}
	}
	return body, err
}

func (p *jsonParser) key() (string, error) {
	key, err := p.valueOf(`"key"`, "a string")
	if wrong := checkKey(key); err == nil && wrong != "" {
		err = p.errorAt(p.value, `"key" `+wrong)
	}
	return key, err
}

// fields reads the value of "fields". null means none, since jq makes it of a field that is not
// there.
func (p *jsonParser) fields() (proto.Fields, error) {
	if p.literal("null") {
		return "", nil
	}
	if p.peek() != '{' {
		return "", p.mustBe(`"fields"`, "an object")
	}
	start, values, places := p.at, map[string]any{}, map[string]int{}
	if _, err := p.object(func(name string, at int) (err error) {
		if _, twice := values[name]; twice {
			return p.errorAt(at, fmt.Sprintf("%s is there twice", strconv.Quote(proto.Excerpt(name))))
		}
		if err := proto.CheckFieldName(name); err != nil {
			return p.errorAt(at, err.Error())
		}
		p.peek()
		places[name] = p.at
		values[name], err = p.fieldValue(name)
		return err
	}); err != nil {
		return "", err
	}
	fields, err := proto.NewFields(values)
	if err == nil {
		err = fields.CheckKnown()
	}
	var wrong *proto.FieldError
	if errors.As(err, &wrong) {
		place, ok := places[wrong.Name]
		if !ok {
			place = start
		}
		return "", &lineError{place, wrong.Error(), hintLineField(wrong)}
	}
	return fields, err
}

// fieldValue reads the value of a field. proto.NewFields refuses a number that a field can't have.
func (p *jsonParser) fieldValue(name string) (any, error) {
	const expected = "a string, an integer, a boolean or an array of strings"
	switch c := p.peek(); {
	case c == '"':
		return p.text()
	case startsNumber(c):
		return p.number()
	case p.literal("true"):
		return true, nil
	case p.literal("false"):
		return false, nil
	case c == '[':
		return p.texts(name)
	}
	return nil, p.mustBe(strconv.Quote(name), expected)
}

// texts reads an array of strings, the value of a field.
func (p *jsonParser) texts(name string) ([]string, error) {
	list := []string{}
	p.take('[')
	for first := true; !first || !p.take(']'); first = false {
		text, err := p.valueOf(fmt.Sprintf("each element of %q", name), "a string")
		if err != nil {
			return nil, err
		}
		list = append(list, text)
		if p.take(']') {
			break
		}
		if !p.take(',') {
			return nil, p.expected(", or ]")
		}
	}
	return list, nil
}

// maxDigits is how many characters a number in a field may have: more than any integer there.
const maxDigits = 64

func (p *jsonParser) number() (any, error) {
	start := p.at
	for p.at < len(p.line) && strings.IndexByte("+-.0123456789Ee", p.line[p.at]) >= 0 {
		p.at++
	}
	raw := p.line[start:p.at]
	switch {
	case !json.Valid(raw):
		return nil, p.errorAt(start, "expected a number of JSON, such as 42")
	case len(raw) > maxDigits:
		return nil, p.errorAt(start, fmt.Sprintf("a number has %d characters: expected an integer", len(raw)))
	}
	n, err := exactNumber(json.Number(raw))
	if err != nil {
		return nil, p.errorAt(start, "a number is too large: expected an integer")
	}
	return n, nil
}

// literal passes over a word, and reports whether it is there.
func (p *jsonParser) literal(word string) bool {
	p.peek()
	if !bytes.HasPrefix(p.line[p.at:], []byte(word)) {
		return false
	}
	p.at += len(word)
	return true
}

// recipients reads the value of "to": each login once.
func (p *jsonParser) recipients() (to []string, err error) {
	if p.peek() != '[' {
		login, err := p.login(`"to"`, "a string or an array of strings")
		return []string{login}, err
	}
	start := p.at
	p.at++
	if p.peek() == ']' {
		return nil, &lineError{start, `"to" is empty`, `name a login in it, or leave "to" out if LOGIN is an argument`}
	}
	seen := map[string]bool{}
	for {
		login, err := p.login(`each login in "to"`, "a string")
		if err != nil {
			return nil, err
		}
		if !seen[login] {
			to = append(to, login)
		}
		seen[login] = true
		if p.take(']') {
			break
		}
		if !p.take(',') {
			return nil, p.expected(", or ]")
		}
	}
	if like := alike(to); len(like) > 0 {
		return nil, &lineError{start, fmt.Sprintf("%q and %q may be the same login", like[0], like[1]), hintAlike}
	}
	return to, nil
}

func (p *jsonParser) login(what, expected string) (string, error) {
	login, err := p.valueOf(what, expected)
	switch {
	case err != nil:
		return "", err
	case login == "":
		return "", p.errorAt(p.value, `"to" names an empty login`)
	case len(login) > proto.MaxLogin:
		return "", p.errorAt(p.value, fmt.Sprintf(`a login in "to" has %d bytes, more than %d`, len(login), proto.MaxLogin))
	}
	return login, nil
}

// text reads a string, whose opening quote is next.
func (p *jsonParser) text() (string, error) {
	start, escaped := p.at, false
	for p.at++; ; p.at++ {
		switch {
		case p.at >= len(p.line):
			p.at = len(p.line)
			return "", p.expected(`" at the end of a string`)
		case p.line[p.at] < ' ':
			return "", p.errorAt(p.at, fmt.Sprintf(`a control character in a string: expected \u%04x`, p.line[p.at]))
		case p.line[p.at] == '\\':
			escaped = true
			p.at++
		case p.line[p.at] == '"':
			p.at++
			raw := p.line[start:p.at]
			if !escaped {
				return string(raw[1 : len(raw)-1]), nil
			}
			return p.unescape(raw, start)
		}
	}
}

// unescape decodes a string in quotes. start is its index in the line.
func (p *jsonParser) unescape(raw []byte, start int) (text string, err error) {
	err = json.Unmarshal(raw, &text)
	var wrong *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		return "", p.errorAt(start+int(wrong.Offset)-1, `expected an escape of JSON, such as \n, \\ or \u00e9`)
	case err != nil:
		return "", p.errorAt(start, "expected a string")
	case p.lossy || !strings.ContainsRune(text, utf8.RuneError):
		return text, nil
	}
	if half := halfPair(raw); half >= 0 {
		return "", &lineError{start + half, fmt.Sprintf("%s is half of a surrogate pair, and no character", raw[half:half+6]), "give --lossy to send U+FFFD in its place"}
	}
	return text, nil
}

// halfPair returns the index of the first escape in a JSON string that is a surrogate without
// the other one of its pair, or -1. The escapes are right otherwise.
func halfPair(raw []byte) int {
	for i := 0; i < len(raw); {
		r := escapedRune(raw[i:])
		switch {
		case raw[i] != '\\':
			i++
		case r < 0:
			i += 2
		case !utf16.IsSurrogate(r):
			i += 6
		case utf16.DecodeRune(r, escapedRune(raw[i+6:])) == utf8.RuneError:
			return i
		default:
			i += 12
		}
	}
	return -1
}

// escapedRune returns the rune of the escape \uXXXX that raw begins with, or -1.
func escapedRune(raw []byte) rune {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
