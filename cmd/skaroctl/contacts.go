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

func (a *app) contactsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:        "contacts",
		SuggestFor: []string{"list", "ls"},
		Short:      "List everyone we know",
		Long: `List everyone we know, and the conferences that we are in. A message makes its sender
and its recipient contacts of each other; contacts add and contacts remove do it by
hand. Who is in a conference is for the server's administrator to say.`,
		Example: `  skaroctl contacts
  skaroctl contacts -o json | jq -r 'select(.online) | .login'`,
		Args: cli.CheckArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.withAccount(ctx, func(ctx context.Context, t target, s *session.Session) error {
				contacts, err := s.Contacts(ctx)
				if err != nil {
					return err
				}
				if err := a.printContacts(contacts); err != nil {
					return err
				}
				if len(contacts) == 0 {
					a.none("no contacts yet: whoever you exchange a message with becomes one")
				}
				t.cacheContacts(toCache(contacts))
				return nil
			})
		}),
	}
	c.AddCommand(a.contactsAddCommand(), a.contactsRemoveCommand(), a.contactsSearchCommand())
	return c
}

func (a *app) printContacts(contacts []proto.Contact) error {
	p := a.printer()
	for _, c := range contacts {
		if err := p.Contact(c); err != nil {
			return err
		}
	}
	return p.Flush()
}

func (a *app) contactsAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add LOGIN",
		Short: "Make somebody a contact of ours",
		Long:  `Make somebody a contact of ours. They learn nothing of it.`,
		Example: `  skaroctl contacts add bob
  skaroctl contacts add bob -o json | jq .online`,
		Args: cli.CheckArgs,
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withContact(ctx, args[0], func(ctx context.Context, t target, s *session.Session) error {
				contact, err := s.AddContact(ctx, args[0])
				if err != nil {
					return err
				}
				t.cacheContact(contact.Login, true)
				return a.printContacts([]proto.Contact{contact})
			})
		}),
	}
}

func (a *app) contactsRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "remove LOGIN",
		SuggestFor: []string{"rm", "delete", "del"},
		Short:      "Forget a contact",
		Long: `Forget a contact. What was said stays in the history, and the next message to or from
them makes them a contact again.`,
		Example: `  skaroctl contacts remove bob
  skaroctl contacts remove bob --quiet`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeUser,
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.withContact(ctx, args[0], func(ctx context.Context, t target, s *session.Session) error {
				err := s.RemoveContact(ctx, args[0])
				if err == nil {
					t.cacheContact(args[0], false)
					a.notice("%s is no longer a contact", args[0])
				}
				return err
			})
		}),
	}
}

// withContact runs a command on one contact.
func (a *app) withContact(ctx context.Context, login string, do func(context.Context, target, *session.Session) error) error {
	if login == "" {
		return &usageError{"the login is empty", "give it as an argument, like bob"}
	}
	if err := validText("the login", login); err != nil {
		return err
	}
	err := a.withAccount(ctx, do)
	if session.KindOf(err) == session.KindRefused {
		return fmt.Errorf("%s: %w", output.Line(login), err)
	}
	return err
}

func (a *app) contactsSearchCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "search TEXT",
		SuggestFor: []string{"find"},
		Short:      "Find people on the server by a part of their login",
		Example: `  skaroctl contacts search bo
  skaroctl contacts search build- -o json | jq -r .login`,
		Args: cli.CheckArgs,
		RunE: a.does(func(ctx context.Context, args []string) error {
			if args[0] == "" {
				return &usageError{"the text is empty", "give a part of a login"}
			}
			if err := validText("the text", args[0]); err != nil {
				return err
			}
			return a.withSession(ctx, func(ctx context.Context, s *session.Session) error {
				found, more, err := s.SearchContacts(ctx, args[0])
				if err != nil {
					return err
				}
				if more {
					a.notice("these are the first %d only: search for a longer part of the login", len(found))
				}
				if len(found) == 0 {
					a.none("nobody has %q in their login", args[0])
				}
				return a.printContacts(found)
			})
		}),
	}
}
