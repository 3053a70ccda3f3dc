package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

type requestOptions struct {
	texts, values []string
	noAuth        bool
}

func (a *app) requestCommand() *cobra.Command {
	var o requestOptions
	c := &cobra.Command{
		Use:   "request TYPE",
		Short: "Make any request, and print the reply",
		Long: `Make a request of any type, for what has no command of its own, and print the whole
reply as JSON, that of a refused request too (the exit status is 5 then). These are
the types that skarod knows; docs/protocol.md has their fields:

  get_contacts, add_contact, del_contact, search_contacts, get_user_data,
  get_history, get_updates, send_message
  register_type, register, authorize, session_restore (with --no-auth)

Another server may know fewer, or more.`,
		Example: `  skaroctl request get_user_data -f login=bob
  skaroctl request get_history -f login=bob -F limit=10 | jq '.history[].body'`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: completeType,
		RunE:              a.does(func(ctx context.Context, args []string) error { return a.request(ctx, o, args[0]) }),
	}
	f := c.Flags()
	f.StringArrayVarP(&o.texts, "field", "f", nil, "a field that is text: `KEY=TEXT` (repeatable)")
	f.StringArrayVarP(&o.values, "json-field", "F", nil, "a field of any kind: `KEY=JSON`; with @FILE in place of JSON from a file, @- from standard input (repeatable)")
	f.BoolVar(&o.noAuth, "no-auth", false, "without a login")
	return c
}

// requestTypes are the types of requests that skarod knows.
var requestTypes = []string{
	proto.TypeGetContacts, proto.TypeAddContact, proto.TypeDelContact, proto.TypeSearchContacts, proto.TypeGetUserData,
	proto.TypeGetHistory, proto.TypeGetUpdates, proto.TypeSendMessage,
	proto.TypeRegisterType, proto.TypeRegister, proto.TypeAuthorize, proto.TypeSessionRestore,
}

// completeType completes the type of a request.
func completeType(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return cli.Completions(requestTypes, "", begun), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) request(ctx context.Context, o requestOptions, typ string) error {
	if typ == "" {
		return &usageError{"the type of the request is empty", "docs/protocol.md has the types, get_contacts for example"}
	}
	if err := validText("the type of the request", typ); err != nil {
		return err
	}
	fields, err := a.requestFields(ctx, o)
	if err != nil {
		return err
	}
	frame, err := proto.EncodeRequest(typ, 0, fields)
	if err == nil {
		_, err = proto.Decode(frame)
	}
	if err != nil {
		return usagef("what is given does not fit into a frame: %v", err)
	}
	do := func(ctx context.Context, s *session.Session) error {
		reply, err := s.Do(ctx, proto.Request{Type: typ, Fields: fields})
		if reply.Fields == nil {
			return err
		}
		p := a.printer()
		written := p.Reply(reply)
		if written == nil {
			written = p.Flush()
		}
		return cmp.Or(err, written)
	}
	if !o.noAuth {
		return a.withSession(ctx, do)
	}
	t, err := a.place(true)
	if err != nil {
		return err
	}
	ctx, cancel := a.oneShot(ctx)
	defer cancel()
	return a.withoutLogin(ctx, t, do)
}

// requestFields reads the fields of a request.
func (a *app) requestFields(ctx context.Context, o requestOptions) (map[string]any, error) {
	fields := map[string]any{}
	add := func(flag, given string, read func(string) (any, error)) error {
		key, text, ok := strings.Cut(given, "=")
		if !ok || key == "" {
			return &usageError{fmt.Sprintf("%s %q is not KEY=VALUE", flag, key), "write it as " + flag + " login=bob"}
		}
		if _, twice := fields[key]; twice || key == "type" || key == "on_request" {
			return &usageError{fmt.Sprintf("%s: the field %q is there already", flag, key), "give each field once; type and on_request are set by skaroctl"}
		}
		if err := validText(flag+" "+key, given); err != nil {
			return err
		}
		value, err := read(text)
		if err != nil {
			return &usageError{fmt.Sprintf("%s: the value of %q is not JSON: %v", flag, key, err), "text goes to -f KEY=TEXT; JSON text needs its quotes"}
		}
		fields[key] = value
		return nil
	}
	for _, given := range o.texts {
		if err := add("-f", given, func(text string) (any, error) { return text, nil }); err != nil {
			return nil, err
		}
	}
	for _, given := range o.values {
		var unread error
		err := add("-F", given, func(text string) (any, error) {
			if file, ok := strings.CutPrefix(text, "@"); ok {
				if text, unread = a.readField(ctx, file); unread != nil {
					return nil, unread
				}
			}
			return jsonValue(text)
		})
		if unread != nil {
			return nil, unread
		}
		if err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// maxInput bounds what is read for one field: more than any frame holds.
const maxInput = 32 << 20

// readField reads a file, or standard input where its name is "-".
func (a *app) readField(ctx context.Context, name string) (string, error) {
	var b []byte
	var err error
	if name == "-" {
		b, err = terminal.ReadAll(ctx, a.streams.In, maxInput+1)
	} else {
		b, err = terminal.ReadFile(ctx, name, maxInput+1)
	}
	var noFile *fs.PathError
	switch {
	case errors.As(err, &noFile):
		return "", &usageError{fmt.Sprintf("read a field: %v", err), "check the name behind the @"}
	case err != nil:
		return "", fmt.Errorf("read a field: %w", err)
	case len(b) > maxInput:
		return "", &usageError{fmt.Sprintf("read a field: %s has more than %d bytes", name, maxInput), "no frame of Skaro holds as much"}
	}
	return string(b), nil
}

// jsonValue reads JSON as what a frame can carry: integers stay exact.
func jsonValue(text string) (any, error) {
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
		return nil, errors.New("there is something behind it")
	}
	return exact(v)
}

// exact makes every number what it is: an integer, however large, or a fraction.
func exact(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		if i, ok := new(big.Int).SetString(v.String(), 10); ok {
			return *i, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			var err error
			if v[i], err = exact(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			var err error
			if v[k], err = exact(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
