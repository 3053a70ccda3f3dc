package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// messageSource gives the messages of a run of send.
type messageSource struct {
	messages chan session.Message // closed at the end of the input
	err      error                // why the reading ended early; set before messages is closed
}

// textMessages returns one message for each recipient.
func textMessages(body string, to []string) *messageSource {
	s := &messageSource{messages: make(chan session.Message, len(to))}
	for _, login := range to {
		s.messages <- session.Message{To: login, Body: body}
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

// record is a text from an input of many.
type record struct {
	number int // from 1
	body   string
}

// recordReader reads one record after another. At the end of the input its error is
// io.EOF.
type recordReader func() (record, error)

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

// streamMessages reads records and makes a message to each recipient of each. It reads in
// a goroutine that ends with its input or with ctx; a read that waits for input can't be
// interrupted, and ends with the process.
func streamMessages(ctx context.Context, next recordReader, to []string) *messageSource {
	s := &messageSource{messages: make(chan session.Message, streamBuffer)}
	go func() {
		defer close(s.messages)
		for {
			r, err := next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				s.err = err
				return
			}
			for _, login := range to {
				if !s.put(ctx, session.Message{To: login, Body: r.body, Line: r.number}) {
					return
				}
			}
		}
	}()
	return s
}

// put adds a message when there is room. It reports whether it did so before ctx ended.
func (s *messageSource) put(ctx context.Context, m session.Message) bool {
	select {
	case s.messages <- m: // also after the end of ctx: the report names the first one that is left
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

// newLineReader reads the lines that are not empty. A last line without a newline counts.
func newLineReader(r io.Reader) recordReader {
	in := bufio.NewReaderSize(r, 64<<10)
	n := 0
	return func() (record, error) {
		for {
			n++
			line, err := readLine(in, n)
			if err != nil {
				return record{}, err
			}
			if !utf8.Valid(line) {
				return record{}, notUTF8(fmt.Sprintf("line %d", n))
			}
			if len(line) > 0 {
				return record{n, string(line)}, nil
			}
		}
	}
}

// readLine reads line n without its newline.
func readLine(in *bufio.Reader, n int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxBody:
			return nil, cli.Usage(
				fmt.Sprintf("line %d has more than %d bytes, more than a message can hold; the lines before it were sent", n, maxBody),
				shortening,
			)
		case err == nil:
			return terminal.TrimNewline(line), nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("read standard input: %w", err)
		}
	}
}
