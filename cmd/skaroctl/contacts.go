package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

func newContactsCmd(f *Factory, run runFunc[noOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "contacts",
		SuggestFor: []string{"list", "ls"},
		Short:      "List your contacts and conferences",
		Long: `A message makes its sender and its recipient contacts of each other. "contacts
add" and "contacts remove" change the list by hand. The administrator of the
server chooses the members of a conference.`,
		Example: `  skaroctl contacts
  skaroctl contacts -o json | jq -r 'select(.online) | .login'`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runCommand(c, f, &noOptions{}, run) },
	}
}

func runContacts(ctx context.Context, f *Factory, _ *noOptions) error {
	return f.WithSession(ctx, func(ctx context.Context, acct Account, s *session.Session) error {
		contacts, err := s.Contacts(ctx)
		if err != nil {
			return err
		}
		if err := f.printContacts(contacts); err != nil {
			return err
		}
		if len(contacts) == 0 {
			f.noticeNone("no contacts yet: a message makes its sender and its recipient contacts")
		}
		acct.cacheContacts(toCache(contacts))
		return nil
	})
}

func (f *Factory) printContacts(contacts []proto.Contact) error {
	p := f.Printer()
	for _, c := range contacts {
		if err := p.Contact(c); err != nil {
			return err
		}
	}
	return p.Flush()
}

type contactOptions struct{ login string }

func newContactsAddCmd(f *Factory, run runFunc[contactOptions]) *cobra.Command {
	return &cobra.Command{
		Use:   "add LOGIN",
		Short: "Add a contact",
		Long:  `The other user is not notified.`,
		Example: `  skaroctl contacts add bob
  skaroctl contacts add bob -o json | jq .online`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return runCommand(c, f, &contactOptions{login: args[0]}, run)
		},
	}
}

func runContactsAdd(ctx context.Context, f *Factory, o *contactOptions) error {
	return f.withContact(ctx, o.login, func(ctx context.Context, acct Account, s *session.Session) error {
		contact, err := s.AddContact(ctx, o.login)
		if err != nil {
			return err
		}
		acct.cacheContact(contact.Login, true)
		return f.confirm(func(p *output.Printer) error { return p.Contact(contact) })
	})
}

func newContactsRemoveCmd(f *Factory, run runFunc[contactOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "remove LOGIN",
		SuggestFor: []string{"rm", "delete", "del"},
		Short:      "Remove a contact",
		Long:       `The history stays. The next message to or from the user adds the contact again.`,
		Example: `  skaroctl contacts remove bob
  skaroctl contacts remove bob --quiet`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeUser,
		RunE: func(c *cobra.Command, args []string) error {
			return runCommand(c, f, &contactOptions{login: args[0]}, run)
		},
	}
}

func runContactsRemove(ctx context.Context, f *Factory, o *contactOptions) error {
	return f.withContact(ctx, o.login, func(ctx context.Context, acct Account, s *session.Session) error {
		removed, err := s.RemoveContact(ctx, o.login)
		if err != nil {
			return err
		}
		acct.cacheContact(removed, false)
		f.notice("%s is no longer a contact", output.Login(removed))
		return nil
	})
}

// withContact is WithSession for a command about one contact, whose name is put in front
// of a refusal.
func (f *Factory) withContact(ctx context.Context, login string, do func(context.Context, Account, *session.Session) error) error {
	if err := checkLogin(login, "give it as an argument, like bob"); err != nil {
		return err
	}
	err := f.WithSession(ctx, do)
	if session.KindOf(err) == session.KindRefused {
		return fmt.Errorf("%s: %w", output.Line(login), err)
	}
	return err
}

type searchOptions struct{ text string }

func newContactsSearchCmd(f *Factory, run runFunc[searchOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "search TEXT",
		SuggestFor: []string{"find"},
		Short:      "Find users of the server by part of their login",
		Example: `  skaroctl contacts search bo
  skaroctl contacts search build- -o json | jq -r .login`,
		Args: cli.CheckArgs,
		RunE: func(c *cobra.Command, args []string) error {
			return runCommand(c, f, &searchOptions{text: args[0]}, run)
		},
	}
}

func runContactsSearch(ctx context.Context, f *Factory, o *searchOptions) error {
	if o.text == "" {
		return cli.Usage("the text is empty", "give a part of a login")
	}
	if err := cli.CheckUTF8("the text", o.text); err != nil {
		return err
	}
	return f.WithSession(ctx, func(ctx context.Context, _ Account, s *session.Session) error {
		found, more, err := s.SearchContacts(ctx, o.text)
		if err != nil {
			return err
		}
		if more {
			f.notice("these are the first %d only: search for a longer part of the login", len(found))
		}
		if len(found) == 0 {
			f.noticeNone("no login contains %q", o.text)
		}
		return f.printContacts(found)
	})
}
