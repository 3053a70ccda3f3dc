package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestLineReaderKeepsEachLine(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for name, c := range map[string]struct {
		in   string
		want []string
		err  string
	}{
		"none":          {"", nil, ""},
		"two":           {"a\nb\n", []string{"1 a", "2 b"}, ""},
		"no newline":    {"a\nb", []string{"1 a", "2 b"}, ""},
		"empty ones":    {"\n\na\n\n b \n", []string{"3 a", "5  b "}, ""},
		"long":          {long + "\n" + long, []string{"1 " + long, "2 " + long}, ""},
		"not UTF-8":     {"a\n\xff\nb\n", []string{"1 a"}, "line 2 is not UTF-8"},
		"beyond limits": {"a\n" + strings.Repeat("y", maxBody+1) + "\nb", []string{"1 a"}, "line 2 has more than"},
		"CR stays":      {"a\rb\r\r\n", []string{"1 a\rb\r" + carriageReturn}, ""},
	} {
		next := newLineReader(strings.NewReader(c.in))
		var got []string
		r, err := next()
		for ; err == nil; r, err = next() {
			got = append(got, fmt.Sprint(r.number, " ", r.body))
		}
		if !reflect.DeepEqual(got, c.want) || errors.Is(err, io.EOF) != (c.err == "") || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %.80q, %v", name, got, err)
		}
	}
}

// Each record is a message to each recipient, in order.
func TestStreamSendsEachRecordToEachRecipient(t *testing.T) {
	s := streamMessages(t.Context(), newLineReader(strings.NewReader("a\n\nb\n\xff\n")), []string{"bob", "carol"})
	var got []session.Message
	for m := range s.messages {
		got = append(got, m)
	}
	want := []session.Message{{To: "bob", Body: "a", Line: 1}, {To: "carol", Body: "a", Line: 1}, {To: "bob", Body: "b", Line: 3}, {To: "carol", Body: "b", Line: 3}}
	if !reflect.DeepEqual(got, want) || s.error(nil) == nil || s.error(io.ErrUnexpectedEOF) != nil || s.left() != nil {
		t.Errorf("%+v, %v", got, s.err)
	}
}

// Reading an endless input stops with its context, and the messages that are left can be
// named.
func TestStreamStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	s := streamMessages(ctx, func() (record, error) { n++; return record{n, "y"}, nil }, []string{"bob"})
	for want := 1; want <= 100; want++ {
		if m := <-s.messages; m.Line != want {
			t.Fatalf("line %d, not %d", m.Line, want)
		}
	}
	cancel()
	if left := s.left(); len(left) > 0 && left[0].Line != 101 {
		t.Errorf("line %d is the first one that is left", left[0].Line)
	}
	for range s.messages { // until the reading has ended
	}
}

// FuzzLines: the records of `send --lines` are the lines of the input that are not empty, up to
// the first that is not UTF-8, into whatever pieces the input is cut.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "a", "a\n\nb\r\nc", "\n\n", "a\xff\nb", "\r\n\r", "a\x00b\n"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, input []byte, most int) {
		in := &pieces{rest: input, most: max(1, most%100)}
		next := newLineReader(in)
		for i, line := range strings.SplitAfter(string(input), "\n") {
			want := string(terminal.TrimNewline([]byte(line)))
			if want == "" {
				continue
			}
			got, err := next()
			if !utf8.ValidString(want) {
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("line %d", i+1)) {
					t.Errorf("line %d is not UTF-8: %v", i+1, err)
				}
				return
			}
			if err != nil || got.number != i+1 || got.body != want {
				t.Fatalf("line %d is %+v, %v, not %q", i+1, got, err, want)
			}
		}
	})
}

// pieces is an input of which each read returns most bytes at most.
type pieces struct {
	rest []byte
	most int
}

func (p *pieces) Read(into []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(into, p.rest[:min(p.most, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}
