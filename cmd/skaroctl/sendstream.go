package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// messageSource gives the messages of a run of send.
type messageSource struct {
	messages chan session.Message // closed at the end of the input
	err      error                // why the reading ended early; set before messages is closed
	skipped  atomic.Bool          // a record was wrong, and was reported
}

// textMessages returns one message for each recipient.
func textMessages(r record, to []string) *messageSource {
	s := &messageSource{messages: make(chan session.Message, len(to))}
	for _, login := range to {
		s.messages <- r.message(login, len(to) > 1)
	}
	close(s.messages)
	return s
}

// error returns why the input ended early. If the run ended first, because of cause, there is
// no such error.
func (s *messageSource) error(cause error) error {
	if cause != nil {
		return nil
	}
	return s.err
}

// left returns the messages that were read ahead and not taken.
func (s *messageSource) left() (list []session.Message) {
	for range cap(s.messages) { // reading may go on
		select {
		case m, ok := <-s.messages:
			if !ok {
				return list
			}
			list = append(list, m)
		default:
			return list
		}
	}
	return list
}

// record is a text to be sent, often one of many on standard input.
type record struct {
	number  int      // from 1; zero if it is the only one
	notLine bool     // it ended with NUL: errors call it a record, not a line
	to      []string // nil means the recipients of the command line
	body    string
	fields  proto.Fields
	bare    bool   // a server that can't carry the fields gets the text alone
	key     string // "" means none
}

// message makes the message to one recipient. several means that there are others.
func (r record) message(to string, several bool) session.Message {
	m := session.Message{To: to, Body: r.body, Fields: r.fields, FieldsOptional: r.bare, Key: r.key, Line: r.number, Record: r.notLine}
	if r.key != "" && several {
		m.Key = keyFor(r.key, to)
	}
	return m
}

// The number of characters that a key may have (docs/protocol.md, "nonce").
const (
	minKey = 16
	maxKey = 64
)

// keyFor returns the key of the message to one of several recipients: a server knows a key for
// one message only. docs/reference.md describes it, so that other programs can make it.
func keyFor(key, to string) string {
	sum := sha256.Sum256([]byte(key + "\x00" + to))
	return hex.EncodeToString(sum[:])
}

// checkKey returns what is wrong with the length of a key, or "".
func checkKey(key string) string {
	if n := utf8.RuneCountInString(key); n < minKey || n > maxKey {
		return fmt.Sprintf("has %d characters, not %d to %d", n, minKey, maxKey)
	}
	return ""
}

// recordReader reads one record after another. At the end of the input its error is
// io.EOF. After an error of KindUsage, which is about one record, it can go on with the next.
type recordReader func() (record, error)

// withFields returns a reader whose records have the fields.
func withFields(fields proto.Fields, next recordReader) recordReader {
	if fields == "" {
		return next
	}
	return func() (record, error) {
		r, err := next()
		r.fields = fields
		return r, err
	}
}

// startingWith returns a reader that returns one record, or an error, and then continues
// with next.
func startingWith(first record, err error, next recordReader) recordReader {
	started := false
	return func() (record, error) {
		if started {
			return next()
		}
		started = true
		return first, err
	}
}

// streamBuffer is how many messages are read ahead of the outbox.
const streamBuffer = 64

// streamMessages reads records and makes a message to each recipient of each. to are the
// recipients of a record that names none. If report is not nil, it gets the error of a wrong
// record, and the reading goes on. It reads in a goroutine that ends with its input or with
// ctx; a read that waits for input can't be interrupted, and ends with the process.
func streamMessages(ctx context.Context, next recordReader, to []string, report func(error)) *messageSource {
	s := &messageSource{messages: make(chan session.Message, streamBuffer)}
	go func() {
		defer close(s.messages)
		for {
			r, err := next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && report != nil && kindOf(err) == cli.KindUsage:
				s.skipped.Store(true)
				report(err)
				continue
			case err != nil:
				s.err = err
				return
			}
			if !s.putAll(ctx, r, to) {
				return
			}
		}
	}()
	return s
}

// putAll adds the messages of a record. It reports whether it did so before ctx ended.
func (s *messageSource) putAll(ctx context.Context, r record, to []string) bool {
	if r.to != nil {
		to = r.to
	}
	for _, login := range to {
		if !s.put(ctx, r.message(login, len(to) > 1)) {
			return false
		}
	}
	return true
}

// put adds a message when there is room. It reports whether it did so before ctx ended.
func (s *messageSource) put(ctx context.Context, m session.Message) bool {
	select {
	case s.messages <- m: // even after the end of ctx: the report names the first unsent message
		return true
	default:
	}
	select {
	case s.messages <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

// recordInput cuts an input into records.
type recordInput struct {
	in   *bufio.Reader
	unit string // what a record is called in an error
	end  byte   // of a record
	most int    // bytes of a record
	hint string // for a record that is longer

	n      int    // of the last record
	long   []byte // the start of a record that does not fit into the buffer of in
	unread bool   // the rest of record n is to be passed over
}

func newRecordInput(r io.Reader, unit string, end byte) *recordInput {
	return &recordInput{in: bufio.NewReaderSize(r, 64<<10), unit: unit, end: end, most: maxBody, hint: shortening}
}

// newLineReader reads the lines that are not empty. A last line without a newline counts.
func newLineReader(r io.Reader) recordReader {
	in := newRecordInput(r, "line", '\n')
	return func() (record, error) {
		line, err := in.next()
		return record{number: in.n, body: string(line)}, err
	}
}

// newNullReader is newLineReader for records that end with NUL.
func newNullReader(r io.Reader) recordReader {
	in := newRecordInput(r, "record", 0)
	return func() (record, error) {
		text, err := in.next()
		return record{number: in.n, notLine: true, body: string(text)}, err
	}
}

// next returns the next record that is not empty, without its end. It is valid until the next
// call.
func (r *recordInput) next() ([]byte, error) {
	for {
		text, err := r.read()
		switch {
		case err != nil:
			return nil, err
		case !utf8.Valid(text):
			return nil, notUTF8(fmt.Sprintf("%s %d", r.unit, r.n))
		case len(text) > 0:
			return text, nil
		}
	}
}

// read reads one record, which may be empty.
func (r *recordInput) read() ([]byte, error) {
	for r.unread {
		_, err := r.in.ReadSlice(r.end)
		r.unread = errors.Is(err, bufio.ErrBufferFull)
	}
	r.n, r.long = r.n+1, r.long[:0]
	for {
		part, err := r.in.ReadSlice(r.end)
		full, size := errors.Is(err, bufio.ErrBufferFull), len(r.long)+len(part)
		if err == nil {
			size-- // the end of the record
		}
		switch {
		case err != nil && !full && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("read standard input: %w", err)
		case err != nil && !full && size == 0:
			return nil, io.EOF
		case size > r.most:
			r.unread = full
			return nil, cli.Usage(fmt.Sprintf("%s %d has more than %d bytes, more than a message can hold", r.unit, r.n, r.most), r.hint)
		case full:
			r.long = append(r.long, part...)
			continue
		case len(r.long) > 0:
			r.long = append(r.long, part...)
			part = r.long
		}
		return r.trim(part), nil
	}
}

// trim removes the end of a record.
func (r *recordInput) trim(text []byte) []byte {
	if r.end == '\n' {
		return terminal.TrimNewline(text)
	}
	return bytes.TrimSuffix(text, []byte{r.end})
}
