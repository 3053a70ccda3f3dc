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
	typ           string
	texts, values []string
	noAuth        bool
}

func newRequestCmd(f *Factory, run runFunc[requestOptions]) *cobra.Command {
	var o requestOptions
	c := &cobra.Command{
		Use:   "request TYPE",
		Short: "Make any request and print the reply",
		Long: `docs/protocol.md has the types and their fields. skarod knows these; those in
the last line need --no-auth:

  get_contacts, add_contact, del_contact, search_contacts, get_user_data,
  get_members, get_history, get_updates, send_message
  register_type, register, authorize, session_restore

The reply is JSON. A refusal is printed too, and the exit status is then 5.`,
		Example: `  skaroctl request get_user_data -f login=bob
  skaroctl request get_history -f login=bob -F limit=10 | jq '.history[].body'`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: completeType,
		RunE: func(c *cobra.Command, args []string) error {
			o.typ = args[0]
			return runCommand(c, f, &o, run)
		},
	}
	flags := c.Flags()
	flags.StringArrayVarP(&o.texts, "field", "f", nil, "add a field with text: `KEY=TEXT` (repeatable)")
	flags.StringArrayVarP(&o.values, "json-field", "F", nil, "add a field with JSON: `KEY=JSON`, KEY=@FILE, or KEY=@- for standard input (repeatable)")
	flags.BoolVar(&o.noAuth, "no-auth", false, "make the request without a login")
	return c
}

// requestTypes are the types of requests that skarod knows.
var requestTypes = []string{
	proto.TypeGetContacts, proto.TypeAddContact, proto.TypeDelContact, proto.TypeSearchContacts, proto.TypeGetUserData, proto.TypeGetMembers,
	proto.TypeGetHistory, proto.TypeGetUpdates, proto.TypeSendMessage,
	proto.TypeRegisterType, proto.TypeRegister, proto.TypeAuthorize, proto.TypeSessionRestore,
}

// completeType completes the type of a request.
func completeType(_ *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return cli.Completions(requestTypes, "", prefix), cobra.ShellCompDirectiveNoFileComp
}

func runRequest(ctx context.Context, f *Factory, o *requestOptions) error {
	request, err := o.request(ctx, f.streams.In)
	if err != nil {
		return err
	}
	do := func(ctx context.Context, s *session.Session) error {
		reply, err := s.Do(ctx, request)
		if reply.Fields.Len() == 0 {
			return err
		}
		p := f.Printer()
		return cmp.Or(err, p.Reply(reply), p.Flush())
	}
	if !o.noAuth {
		return f.WithSession(ctx, func(ctx context.Context, _ Account, s *session.Session) error { return do(ctx, s) })
	}
	acct, err := f.ResolveServer()
	if err != nil {
		return err
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	return f.WithoutLogin(ctx, acct, do)
}

// request reads the fields, and returns the request if it fits into a frame.
func (o *requestOptions) request(ctx context.Context, stdin io.Reader) (proto.Request, error) {
	if o.typ == "" {
		return proto.Request{}, cli.Usage("the type of the request is empty", "give a type, get_contacts for example; `skaroctl request --help` lists them")
	}
	if err := cli.CheckUTF8("the type of the request", o.typ); err != nil {
		return proto.Request{}, err
	}
	fields, err := o.fields(ctx, stdin)
	if err != nil {
		return proto.Request{}, err
	}
	frame, err := proto.EncodeRequest(o.typ, 0, fields)
	if err == nil {
		_, err = proto.Decode(frame)
	}
	if err != nil {
		return proto.Request{}, cli.Usagef("the fields don't fit into a frame: %v", err)
	}
	return proto.Request{Type: o.typ, Fields: fields}, nil
}

// fields reads the fields of the request.
func (o *requestOptions) fields(ctx context.Context, stdin io.Reader) (map[string]any, error) {
	fields := map[string]any{}
	for _, given := range o.texts {
		key, text, err := splitField("-f", given, fields)
		if err != nil {
			return nil, err
		}
		fields[key] = text
	}
	for _, given := range o.values {
		key, text, err := splitField("-F", given, fields)
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

// splitField splits KEY=VALUE, the value of a flag. there are the fields that were given
// before it.
func splitField(flag, given string, there map[string]any) (key, value string, err error) {
	key, value, ok := strings.Cut(given, "=")
	if !ok || key == "" {
		return "", "", cli.Usage(fmt.Sprintf("%s %q is not KEY=VALUE", flag, key), "write it as "+flag+" login=bob")
	}
	if _, twice := there[key]; twice || key == "type" || key == "on_request" {
		return "", "", cli.Usage(fmt.Sprintf("%s: the field %q is there already", flag, key), "give each field once; type and on_request are set by skaroctl")
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
		return "", cli.Usage(fmt.Sprintf("read a field: %s has more than %d bytes", name, maxField), "give a shorter value: no frame of Skaro holds as much")
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
