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

// conferenceOptions are the options of the commands for one conference.
type conferenceOptions struct {
	name       string // as it was typed
	logins     []string
	maxMembers int
}

type conferenceListOptions struct {
	listOptions
	name string // "" for all of them
}

func newConferenceCmd(f *Factory) *cobra.Command {
	c := &cobra.Command{
		Use:        "conference",
		SuggestFor: []string{"group", "room", "channel"},
		Short:      "Manage conferences",
		Long: `A conference is a named group. A message that a member sends to it reaches all
members. An account and a conference can't have the same name.

The members can read everything that was said in the conference, even before
they joined. Nobody else can read any of it.`,
		Example: `  skarod conference create ops alice bob
  skarod conference list`,
	}
	c.AddCommand(
		newConferenceCreateCmd(f, runConferenceCreate), newConferenceAddCmd(f, runConferenceAdd), newConferenceRemoveCmd(f, runConferenceRemove),
		newConferenceListCmd(f, runConferenceList), newConferenceDeleteCmd(f, runConferenceDelete),
	)
	return c
}

// runConference makes the RunE of a command for one conference.
func runConference(f *Factory, run runFunc[conferenceOptions]) func(*cobra.Command, []string) error {
	return cli.Run(func(ctx context.Context, args []string) error {
		return run(ctx, f, &conferenceOptions{name: args[0], logins: args[1:]})
	})
}

func newConferenceCreateCmd(f *Factory, run runFunc[conferenceOptions]) *cobra.Command {
	var maxMembers int
	c := &cobra.Command{
		Use:        "create NAME [LOGIN...]",
		SuggestFor: []string{"new"},
		Short:      "Create a conference, with or without members",
		Example: `  skarod conference create ops alice bob
  skarod conference create test`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeNewMembers,
		RunE:              runMembers(f, run, &maxMembers),
	}
	addMaxMembers(c, &maxMembers)
	return c
}

// runMembers is runConference for a command that adds members.
func runMembers(f *Factory, run runFunc[conferenceOptions], maxMembers *int) func(*cobra.Command, []string) error {
	return cli.Run(func(ctx context.Context, args []string) error {
		if *maxMembers < 1 {
			return cli.Usage("--max-members must be above 0", "")
		}
		return run(ctx, f, &conferenceOptions{name: args[0], logins: args[1:], maxMembers: *maxMembers})
	})
}

func addMaxMembers(c *cobra.Command, into *int) {
	c.Flags().IntVar(into, "max-members", store.MaxMembers, "allow at most `N` members in the conference")
}

func runConferenceCreate(_ context.Context, f *Factory, o *conferenceOptions) error {
	name, err := conferenceName(o.name, store.Login, "choose another name")
	if err != nil {
		return err
	}
	return f.withMembers(name, o.logins, func(s *store.Store, logins []string) error {
		s.MaxMembers = o.maxMembers
		if err := s.CreateConference(name, logins, time.Now()); err != nil {
			return err
		}
		f.done("made the conference %s", output.Login(name))
		return nil
	})
}

func newConferenceAddCmd(f *Factory, run runFunc[conferenceOptions]) *cobra.Command {
	var maxMembers int
	c := &cobra.Command{
		Use:        "add NAME LOGIN...",
		SuggestFor: []string{"invite", "join"},
		Short:      "Put accounts into a conference",
		Long: `They can read everything that was said in it before. An account that is already
in it stays.`,
		Example: `  skarod conference add dev bob
  skarod conference add dev alice bob`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeMembers(false),
		RunE:              runMembers(f, run, &maxMembers),
	}
	addMaxMembers(c, &maxMembers)
	return c
}

func runConferenceAdd(_ context.Context, f *Factory, o *conferenceOptions) error {
	name, err := conferenceName(o.name, store.LoginForm, knownConferences)
	if err != nil {
		return err
	}
	return f.withMembers(name, o.logins, func(s *store.Store, logins []string) error {
		s.MaxMembers = o.maxMembers
		already, err := s.AddMembers(name, logins)
		if err != nil {
			return err
		}
		added := slices.DeleteFunc(logins, func(login string) bool { return slices.Contains(already, login) })
		if len(added) > 0 {
			f.done("put %s into the conference %s", listed(added), output.Login(name))
		}
		if len(already) > 0 {
			f.done("already in the conference %s: %s", output.Login(name), listed(already))
		}
		return nil
	})
}

func newConferenceRemoveCmd(f *Factory, run runFunc[conferenceOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "remove NAME LOGIN...",
		SuggestFor: []string{"rm", "kick"},
		Short:      "Take accounts out of a conference",
		Long: `They can no longer read what was said in it, not even what they said themselves.
The other members still can.`,
		Example: `  skarod conference remove dev alice
  skarod conference remove dev alice bob`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeMembers(true),
		RunE:              runConference(f, run),
	}
}

func runConferenceRemove(_ context.Context, f *Factory, o *conferenceOptions) error {
	name, err := conferenceName(o.name, store.LoginForm, knownConferences)
	if err != nil {
		return err
	}
	return f.withMembers(name, o.logins, func(s *store.Store, logins []string) error {
		if err := s.RemoveMembers(name, logins); err != nil {
			return err
		}
		f.done("took %s out of the conference %s", listed(logins), output.Login(name))
		return nil
	})
}

func newConferenceListCmd(f *Factory, run runFunc[conferenceListOptions]) *cobra.Command {
	var o conferenceListOptions
	c := &cobra.Command{
		Use:        "list [NAME]",
		SuggestFor: []string{"ls", "members"},
		Short:      "List all conferences or one, with their members",
		Example: `  skarod conference list
  skarod conference list dev -o json | jq -r '.members[]'`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeConference,
		RunE: cli.Run(func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				var err error
				if o.name, err = store.LoginForm(args[0]); err != nil {
					return cli.Usage(err.Error(), knownConferences)
				}
			}
			return run(ctx, f, &o)
		}),
	}
	o.addFlags(c)
	return c
}

func runConferenceList(ctx context.Context, f *Factory, o *conferenceListOptions) error {
	return f.list(&o.listOptions, func(s *store.Store, p *output.Printer) error {
		conferences, err := s.Conferences(ctx)
		if err != nil {
			return err
		}
		if o.name != "" {
			conferences = slices.DeleteFunc(conferences, func(c store.Conference) bool { return c.Name != o.name })
			if len(conferences) == 0 {
				return conferenceError(o.name, store.ErrNoConference)
			}
		}
		for _, c := range conferences {
			if err := p.Conference(c.Name, c.Created, c.Members); err != nil {
				return err
			}
		}
		return nil
	})
}

func newConferenceDeleteCmd(f *Factory, run runFunc[conferenceOptions]) *cobra.Command {
	return &cobra.Command{
		Use:        "delete NAME",
		SuggestFor: []string{"del", "drop"},
		Short:      "Delete a conference",
		Long: `The name is free again, and "skaroctl history" no longer finds the conference.
Those who are members now can still read its messages, with "skaroctl listen
--since all". To prevent that, remove them first. A later conference with the
same name has none of the messages.`,
		Example: `  skarod conference delete dev
  skarod conference delete dev --data ./skaro`,
		Args:              cli.CheckArgs,
		ValidArgsFunction: f.completeConference,
		RunE:              runConference(f, run),
	}
}

func runConferenceDelete(_ context.Context, f *Factory, o *conferenceOptions) error {
	name, err := conferenceName(o.name, store.LoginForm, knownConferences)
	if err != nil {
		return err
	}
	return f.withMembers(name, nil, func(s *store.Store, _ []string) error {
		if err := s.DeleteConference(name, time.Now()); err != nil {
			return err
		}
		f.done("deleted the conference %s", output.Login(name))
		return nil
	})
}

const knownConferences = "run `skarod conference list` to see the conferences"

// conferenceName returns the stored form of a typed name.
func conferenceName(typed string, form func(string) (string, error), hint string) (string, error) {
	name, err := form(typed)
	if err != nil {
		return "", cli.Usage("a conference needs a name that could be a login: "+err.Error(), hint)
	}
	return name, nil
}

// withMembers opens the store for a command on a conference and typed logins.
func (f *Factory) withMembers(name string, typed []string, do func(s *store.Store, logins []string) error) error {
	var logins []string
	for _, t := range typed {
		login, err := store.LoginForm(t)
		if err != nil {
			return cli.Usage(err.Error(), knownLogins)
		}
		logins = append(logins, login)
	}
	err := f.withStore(mustExist, func(s *store.Store) error { return do(s, logins) })
	if all := strings.Join(typed, " "); errors.Is(err, store.ErrNoUser) && strings.Contains(all, ",") {
		words := strings.FieldsFunc(all, func(r rune) bool { return r == ',' || r == ' ' })
		return cli.WithHint(err, "separate the logins by spaces: "+output.Line(strings.Join(words, " ")))
	}
	return conferenceError(name, err)
}

// conferenceError adds a hint to a refusal of the store, and the name if it lacks that.
func conferenceError(name string, err error) error {
	shown := output.Login(name)
	named := fmt.Errorf("%q: %w", name, err)
	switch {
	case errors.Is(err, store.ErrNoUser): // it names the logins
		return cli.WithHint(err, knownLogins)
	case errors.Is(err, store.ErrNotMember):
		return cli.WithHint(err, fmt.Sprintf("run `skarod conference list %s` to see its members", shown))
	case errors.Is(err, store.ErrNoConference):
		return cli.WithHint(named, knownConferences)
	case errors.Is(err, store.ErrTooMany):
		return cli.WithHint(named, "use --max-members to allow more")
	case errors.Is(err, store.ErrTaken):
		return cli.WithHint(named, "choose a name that no account has")
	case errors.Is(err, store.ErrIsConference):
		return cli.WithHint(named, fmt.Sprintf("add a member with `skarod conference add %s LOGIN`", shown))
	}
	return err
}

// listed returns logins for a sentence.
func listed(logins []string) string {
	var shown []string
	for _, login := range logins {
		shown = append(shown, output.Login(login))
	}
	return strings.Join(shown, ", ")
}
