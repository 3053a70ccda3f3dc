package main

import (
	"cmp"
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

type requestOptions struct {
	typ    string
	fields fieldFlags
	noAuth bool
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
	o.fields.add(c.Flags())
	c.Flags().BoolVar(&o.noAuth, "no-auth", false, "make the request without a login")
	return c
}

// requestTypes are the types of requests that skarod knows.
var requestTypes = []string{
	proto.TypeGetContacts, proto.TypeAddContact, proto.TypeDelContact, proto.TypeSearchContacts, proto.TypeGetUserData, proto.TypeGetMembers,
	proto.TypeGetHistory, proto.TypeGetUpdates, proto.TypeSendMessage,
	proto.TypeRegisterType, proto.TypeRegister, proto.TypeAuthorize, proto.TypeSessionRestore,
}

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
	fields, err := o.fields.read(ctx, stdin, "type", "on_request")
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
