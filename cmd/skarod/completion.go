package main

import (
	"context"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// completionWait is how long a key press may wait for the database. Tests use a longer time, as
// those of skaroctl do.
var completionWait = "1s"

// peek reads from the database for completion. It reports no error: after one, there are no
// completions.
func peek[T any](f *Factory, c *cobra.Command, read func(context.Context, *store.Store) (T, error)) T {
	wait, err := time.ParseDuration(completionWait)
	if err != nil {
		wait = time.Second
	}
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	found, _ := terminal.Await(ctx, func() (found T, err error) {
		path, err := f.findDatabase()
		if err == nil {
			_, err = os.Stat(path)
		}
		if err == nil {
			path, err = store.Enter(path)
		}
		if err == nil {
			err = store.Peek(path, func(s *store.Store) error {
				found, err = read(ctx, s)
				return err
			})
		}
		return found, err
	})
	return found
}

func (f *Factory) logins(c *cobra.Command) []string {
	var logins []string
	for _, u := range peek(f, c, func(ctx context.Context, s *store.Store) ([]store.UserState, error) { return s.Users(ctx, time.Now()) }) {
		logins = append(logins, u.Login)
	}
	return logins
}

func (f *Factory) conferences(c *cobra.Command) []store.Conference {
	return peek(f, c, func(ctx context.Context, s *store.Store) ([]store.Conference, error) { return s.Conferences(ctx) })
}

// completeLogin completes the one LOGIN of a command.
func (f *Factory) completeLogin(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return cli.Completions(f.logins(c), "", typed), cobra.ShellCompDirectiveNoFileComp
}

// completeConference completes the one NAME of a command.
func (f *Factory) completeConference(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, conference := range f.conferences(c) {
		names = append(names, conference.Name)
	}
	return cli.Completions(names, "", typed), cobra.ShellCompDirectiveNoFileComp
}

// completeMembers makes the function that completes NAME LOGIN...: a conference, and then
// its members, or, if member is false, the users who are not members.
func (f *Factory) completeMembers(member bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return f.completeConference(c, args, typed)
		}
		var members []string
		name, _ := store.LoginForm(args[0])
		for _, conference := range f.conferences(c) {
			if conference.Name == name {
				members = conference.Members
			}
		}
		logins := slices.DeleteFunc(f.logins(c), func(login string) bool {
			return slices.Contains(members, login) != member || slices.Contains(args[1:], login)
		})
		return cli.Completions(logins, "", typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNewMembers completes the LOGIN... after the name of a new conference.
func (f *Factory) completeNewMembers(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return f.completeMembers(false)(c, args, typed)
}

// completeInvite completes the id of an invitation that is not used.
func (f *Factory) completeInvite(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []cobra.Completion
	for _, i := range peek(f, c, func(ctx context.Context, s *store.Store) ([]store.Invite, error) { return s.Invites(ctx) }) {
		if i.User != "" {
			continue
		}
		for _, id := range cli.Completions([]string{strconv.FormatInt(i.ID, 10)}, "", typed) {
			found = append(found, cobra.CompletionWithDesc(id, "until "+i.Expires.Local().Format(inviteTime)))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
