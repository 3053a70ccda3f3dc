package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

func (a *app) sendCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "send LOGIN[,LOGIN...] [TEXT...]",
		Short: "Send a message",
		Long: `Send a message to one or more logins. The text is what the arguments give, joined
by a space; or standard input, when the text is "-" or when there is none and
standard input is no terminal. Of standard input one trailing newline is removed,
and nothing else. The command ends when the server has confirmed the message.`,
		Example: `  skaroctl send bob "the build is green"
  df -h / | skaroctl send alice,bob`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.does(a.send),
	}
}

func (a *app) send(ctx context.Context, args []string) error {
	to, err := recipients(args[0])
	if err != nil {
		return err
	}
	body, err := a.body(args[1:])
	if err != nil {
		return err
	}
	return a.withSession(ctx, func(ctx context.Context, s *session.Session) error {
		p := a.printer()
		sendings := make([]*session.Sending, len(to))
		errs := make([]error, len(to))
		for i, login := range to {
			sendings[i], errs[i] = s.StartSend(ctx, login, body)
		}
		var failed several
		for i, login := range to {
			var sent session.Sent
			err := errs[i]
			if err == nil {
				sent, err = sendings[i].Wait(ctx)
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("send to %s: %w", login, err))
				continue
			}
			if err := p.Sent(sent.ID, sent.Date, login, sent.Extra); err != nil {
				return err
			}
		}
		if err := p.Flush(); err != nil {
			return err
		}
		if len(failed) > 0 {
			return failed
		}
		return nil
	})
}

// recipients reads LOGIN[,LOGIN…]. A login named twice gets the message once.
func recipients(s string) ([]string, error) {
	if err := validText("the login", s); err != nil {
		return nil, err
	}
	var to []string
	seen := map[string]bool{}
	for login := range strings.SplitSeq(s, ",") {
		if login == "" {
			return nil, usagef("%q names an empty login", s)
		}
		if !seen[login] {
			seen[login] = true
			to = append(to, login)
		}
	}
	return to, nil
}

// body is the text of a message, from the arguments or from standard input.
func (a *app) body(words []string) (string, error) {
	var body string
	switch {
	case len(words) == 1 && words[0] == "-", len(words) == 0 && !a.streams.InTerminal:
		b, err := io.ReadAll(io.LimitReader(a.streams.In, proto.MaxFrame+1))
		if err != nil {
			return "", fmt.Errorf("read standard input: %w", err)
		}
		if len(b) > proto.MaxFrame {
			return "", usagef("standard input has more than %d bytes, more than any message can hold", proto.MaxFrame)
		}
		if !utf8.Valid(b) {
			return "", validText("the text on standard input", string(b))
		}
		body = strings.TrimSuffix(string(b), "\n")
	case len(words) == 0:
		return "", &usageError{"there is no text to send", "give it as an argument or on standard input"}
	default:
		body = strings.Join(words, " ")
		if err := validText("the text", body); err != nil {
			return "", err
		}
	}
	if body == "" {
		return "", &usageError{"the text to send is empty", "give it as an argument or on standard input"}
	}
	return body, nil
}
