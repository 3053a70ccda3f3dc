package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
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
	s := streamMessages(t.Context(), newLineReader(strings.NewReader("a\n\nb\n\xff\n")), []string{"bob", "carol"}, nil)
	var got []session.Message
	for m := range s.messages {
		got = append(got, m)
	}
	want := []session.Message{{To: "bob", Body: "a", Line: 1}, {To: "carol", Body: "a", Line: 1}, {To: "bob", Body: "b", Line: 3}, {To: "carol", Body: "b", Line: 3}}
	if !reflect.DeepEqual(got, want) || s.error(nil) == nil || s.error(io.ErrUnexpectedEOF) != nil || s.left() != nil {
		t.Errorf("%+v, %v", got, s.err)
	}
}

// A record that names its recipients goes to them. Its key becomes one for each of several.
func TestStreamSendsARecordToTheRecipientsThatItNames(t *testing.T) {
	const key = "0123456789abcdef"
	records := []record{{number: 1, to: []string{"bob"}, body: "a", key: key}, {number: 2, to: []string{"bob", "carol"}, body: "b", key: key}, {number: 3, body: "c"}}
	s := streamMessages(t.Context(), func() (record, error) {
		if len(records) == 0 {
			return record{}, io.EOF
		}
		r := records[0]
		records = records[1:]
		return r, nil
	}, []string{"ops"}, nil)
	var got []session.Message
	for m := range s.messages {
		got = append(got, m)
	}
	want := []session.Message{ // the keys: printf '0123456789abcdef\0bob' | sha256sum
		{To: "bob", Body: "a", Line: 1, Key: key},
		{To: "bob", Body: "b", Line: 2, Key: "1ccf2bae6f662b4e42570165783c11ab38f38f5fe03560e1fc465d2eeaf4ecd6"},
		{To: "carol", Body: "b", Line: 2, Key: "2f8450540411473c014c2e7707621eaf7f98a755684d90af878efa9ae1216060"},
		{To: "ops", Body: "c", Line: 3},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// With --keep-going, a wrong record is reported, and the next one is sent.
func TestStreamPassesOverWrongRecords(t *testing.T) {
	in := "a\n\xff\n" + strings.Repeat("y", maxBody+100_000) + "\nb\n" + strings.Repeat("y", maxBody+1) + "\n" + strings.Repeat("z", maxBody) + "\n"
	var said []string
	s := streamMessages(t.Context(), newLineReader(strings.NewReader(in)), []string{"bob"}, func(err error) { said = append(said, err.Error()) })
	var got []string
	for m := range s.messages {
		got = append(got, fmt.Sprintf("%d %.1s %d", m.Line, m.Body, len(m.Body)))
	}
	if want := []string{"1 a 1", "4 b 1", fmt.Sprintf("6 z %d", maxBody)}; !reflect.DeepEqual(got, want) || s.err != nil || !s.skipped.Load() {
		t.Errorf("%q, %v", got, s.err)
	}
	if len(said) != 3 || !strings.HasPrefix(said[0], "line 2 is not") || !strings.HasPrefix(said[1], "line 3 has more") || !strings.HasPrefix(said[2], "line 5 has more") {
		t.Errorf("%q", said)
	}
	failed := errors.New("the disk is broken")
	s = streamMessages(t.Context(), newLineReader(iotest.ErrReader(failed)), nil, func(error) { t.Error("a broken input is no wrong record") })
	for range s.messages {
	}
	if !errors.Is(s.err, failed) {
		t.Errorf("%v", s.err)
	}
}

// Records end with NUL, and keep their newlines.
func TestNullReaderKeepsNewlines(t *testing.T) {
	next := newNullReader(strings.NewReader("a\nb\n\x00\x00\nc\r\n\x00d"))
	var got []string
	r, err := next()
	for ; err == nil; r, err = next() {
		got = append(got, r.message("bob", false).String()+": "+r.body)
	}
	if want := []string{"record 1 to bob: a\nb\n", "record 3 to bob: \nc\r\n", "record 4 to bob: d"}; !reflect.DeepEqual(got, want) || !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", got, err)
	}
}

// Reading an endless input stops with its context, and the messages that are left can be
// named.
func TestStreamStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	s := streamMessages(ctx, func() (record, error) { n++; return record{number: n, body: "y"}, nil }, []string{"bob"}, nil)
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
