package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/session"
)

func (a *app) contactsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "contacts",
		Short: "List everyone we know",
		Example: `  skaroctl contacts
  skaroctl contacts -o json | jq -r 'select(.online) | .login'`,
		Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error { return a.contacts(ctx) }),
	}
}

func (a *app) contacts(ctx context.Context) error {
	t, err := a.target()
	if err != nil {
		return err
	}
	if err := t.needLogin(); err != nil {
		return err
	}
	return a.onTarget(ctx, t, func(ctx context.Context, s *session.Session) error {
		contacts, err := s.Contacts(ctx)
		if err != nil {
			return err
		}
		p := a.printer()
		for _, c := range contacts {
			if err := p.Contact(c); err != nil {
				return err
			}
		}
		if err := p.Flush(); err != nil {
			return err
		}
		a.cacheContacts(t, contacts)
		return nil
	})
}
