package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/store"
)

func (a *app) conferenceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:        "conference",
		SuggestFor: []string{"group", "room", "channel"},
		Short:      "Manage conferences; also while the server runs",
		Long: `Manage conferences. A conference is a group that has a name: what one of its members
sends to that name goes to all of them. The name is one that a login could be, and
that no account has.

Who is in a conference sees all that was said in it, also before they were in it.
Nobody else sees anything of it.`,
		Example: `  skarod conference create ops alice bob
  skarod conference list`,
	}
	c.AddCommand(a.conferenceCreateCommand(), a.conferenceAddCommand(), a.conferenceRemoveCommand(), a.conferenceListCommand(), a.conferenceDeleteCommand())
	return c
}

func (a *app) conferenceCreateCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "create NAME [LOGIN...]",
		SuggestFor: []string{"new"},
		Short:      "Make a conference, with members or without",
		Example: `  skarod conference create ops alice bob
  skarod conference create test`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeNewMembers,
		RunE: cli.Run(func(_ context.Context, args []string) error {
			return a.withConference(args, true, func(s *store.Store, name string, logins []string) error {
				err := s.CreateConference(name, logins, time.Now())
				if err == nil {
					a.done("made the conference %s", output.Login(name))
				}
				return err
			})
		}),
	}
}

func (a *app) conferenceAddCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "add NAME LOGIN...",
		SuggestFor: []string{"invite", "join"},
		Short:      "Put accounts into a conference",
		Long: `Put accounts into a conference. They can read all that was said in it so far. One
that is in it already stays there.`,
		Example: `  skarod conference add dev bob
  skarod conference add dev alice bob`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeMembers(false),
		RunE: cli.Run(func(_ context.Context, args []string) error {
			return a.withConference(args, false, func(s *store.Store, name string, logins []string) error {
				were, err := s.AddMembers(name, logins)
				if err != nil {
					return err
				}
				added := slices.DeleteFunc(logins, func(login string) bool { return slices.Contains(were, login) })
				if len(added) > 0 {
					a.done("put %s into the conference %s", named(added), output.Login(name))
				}
				if len(were) > 0 {
					a.done("already in the conference %s: %s", output.Login(name), named(were))
				}
				return nil
			})
		}),
	}
}

func (a *app) conferenceRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "remove NAME LOGIN...",
		SuggestFor: []string{"rm", "kick"},
		Short:      "Take accounts out of a conference",
		Long: `Take accounts out of a conference. They can no longer read what was said in it, also
not what they said themselves, which stays for the others.`,
		Example: `  skarod conference remove dev alice
  skarod conference remove dev alice bob`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeMembers(true),
		RunE: cli.Run(func(_ context.Context, args []string) error {
			return a.withConference(args, false, func(s *store.Store, name string, logins []string) error {
				err := s.RemoveMembers(name, logins)
				if err == nil {
					a.done("took %s out of the conference %s", named(logins), output.Login(name))
				}
				return err
			})
		}),
	}
}

func (a *app) conferenceListCommand() *cobra.Command {
	var l listing
	c := &cobra.Command{
		Use:        "list [NAME]",
		SuggestFor: []string{"ls", "members"},
		Short:      "List the conferences, or one of them, with who is in it",
		Example: `  skarod conference list
  skarod conference list dev -o json | jq -r '.members[]'`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeConference,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			only := ""
			if len(args) > 0 {
				var err error
				if only, err = store.LoginForm(args[0]); err != nil {
					return cli.Usage(err.Error(), knownConferences)
				}
			}
			return a.list(l, func(s *store.Store, p *output.Printer) error {
				conferences, err := s.Conferences(ctx)
				if err != nil {
					return err
				}
				if only != "" {
					conferences = slices.DeleteFunc(conferences, func(c store.Conference) bool { return c.Name != only })
					if len(conferences) == 0 {
						return aboutConference(only, store.ErrNoConference)
					}
				}
				for _, c := range conferences {
					if err := p.Conference(c.Name, c.Created, c.Members); err != nil {
						return err
					}
				}
				return nil
			})
		}),
	}
	l.addFlags(c)
	return c
}

func (a *app) conferenceDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "delete NAME",
		SuggestFor: []string{"del", "drop"},
		Short:      "Delete a conference",
		Long: `Delete a conference. What was said in it is still delivered to those who were in it
at the end, and its history can't be read any more. Who is in a conference that gets
the same name later sees nothing of it.`,
		Example: `  skarod conference delete dev
  skarod conference delete dev --data ./skaro`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: a.completeConference,
		RunE: cli.Run(func(_ context.Context, args []string) error {
			return a.withConference(args, false, func(s *store.Store, name string, _ []string) error {
				err := s.DeleteConference(name, time.Now())
				if err == nil {
					a.done("deleted the conference %s", output.Login(name))
				}
				return err
			})
		}),
	}
}

const knownConferences = "`skarod conference list` shows the conferences that there are"

// withConference opens the store for a command on one conference, which it creates or
// not, and some logins.
func (a *app) withConference(args []string, create bool, do func(s *store.Store, name string, logins []string) error) error {
	form, hint := store.LoginForm, knownConferences
	if create {
		form, hint = store.Login, "choose another name"
	}
	name, err := form(args[0])
	if err != nil {
		return cli.Usage("the name of a conference is one that could be a login: "+err.Error(), hint)
	}
	var logins []string
	for _, given := range args[1:] {
		login, err := store.LoginForm(given)
		if err != nil {
			return cli.Usage(err.Error(), knownLogins)
		}
		logins = append(logins, login)
	}
	err = a.withStore(false, func(s *store.Store) error { return do(s, name, logins) })
	if given := strings.Join(args[1:], " "); errors.Is(err, store.ErrNoUser) && strings.Contains(given, ",") {
		return cli.WithHint(err, "logins are separated by spaces here: "+output.Line(strings.Join(strings.FieldsFunc(given, func(r rune) bool { return r == ',' || r == ' ' }), " ")))
	}
	return aboutConference(name, err)
}

// aboutConference says what to do about what the store refuses of a conference.
func aboutConference(name string, err error) error {
	shown := output.Login(name)
	switch {
	case errors.Is(err, store.ErrNoUser): // it says who
		return cli.WithHint(err, knownLogins)
	case errors.Is(err, store.ErrNotMember):
		return cli.WithHint(err, fmt.Sprintf("`skarod conference list %s` shows who is in it", shown))
	case errors.Is(err, store.ErrNoConference):
		return cli.WithHint(fmt.Errorf("%q: %w", name, err), knownConferences)
	case errors.Is(err, store.ErrTaken):
		return cli.WithHint(fmt.Errorf("%q: %w", name, err), "choose a name that no account has")
	case errors.Is(err, store.ErrIsConference):
		return cli.WithHint(fmt.Errorf("%q: %w", name, err), fmt.Sprintf("`skarod conference add %s LOGIN` puts somebody into it", shown))
	}
	return err
}

// named are logins in a sentence.
func named(logins []string) string {
	var shown []string
	for _, login := range logins {
		shown = append(shown, output.Login(login))
	}
	return strings.Join(shown, ", ")
}
