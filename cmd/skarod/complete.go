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

// completionWait is how long a key press may wait for the database.
const completionWait = time.Second

// peek reads from the database for completion, which says nothing of what goes wrong:
// then it offers nothing.
func peek[T any](a *app, c *cobra.Command, look func(context.Context, *store.Store) (T, error)) T {
	ctx, cancel := context.WithTimeout(c.Context(), completionWait)
	defer cancel()
	found, _ := terminal.Await(ctx, func() (found T, err error) {
		path, err := a.databasePath()
		if err == nil {
			_, err = os.Stat(path)
		}
		if err == nil {
			path, err = store.Enter(path)
		}
		if err == nil {
			err = store.Peek(path, func(s *store.Store) error {
				found, err = look(ctx, s)
				return err
			})
		}
		return found, err
	})
	return found
}

// completeLogin completes the one LOGIN of a command.
func (a *app) completeLogin(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return cli.Completions(a.logins(c), "", begun), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) logins(c *cobra.Command) []string {
	var logins []string
	for _, u := range peek(a, c, func(ctx context.Context, s *store.Store) ([]store.User, error) { return s.Users(ctx) }) {
		logins = append(logins, u.Login)
	}
	return logins
}

// completeConference completes the one NAME of a command.
func (a *app) completeConference(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, conference := range a.conferences(c) {
		names = append(names, conference.Name)
	}
	return cli.Completions(names, "", begun), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) conferences(c *cobra.Command) []store.Conference {
	return peek(a, c, func(ctx context.Context, s *store.Store) ([]store.Conference, error) { return s.Conferences(ctx) })
}

// completeMembers makes what completes NAME LOGIN...: a conference, and then those who
// are in it, or those who are not.
func (a *app) completeMembers(in bool) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return a.completeConference(c, args, begun)
		}
		var members []string
		name, _ := store.LoginForm(args[0])
		for _, conference := range a.conferences(c) {
			if conference.Name == name {
				members = conference.Members
			}
		}
		logins := slices.DeleteFunc(a.logins(c), func(login string) bool {
			return slices.Contains(members, login) != in || slices.Contains(args[1:], login)
		})
		return cli.Completions(logins, "", begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNewMembers completes the LOGIN... behind the name of a new conference.
func (a *app) completeNewMembers(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeMembers(false)(c, args, begun)
}

// completeInvite completes the number of an invitation that nobody has used.
func (a *app) completeInvite(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var offered []cobra.Completion
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, i := range peek(a, c, func(ctx context.Context, s *store.Store) ([]store.Invite, error) { return s.Invites(ctx) }) {
		if i.User != "" {
			continue
		}
		for _, number := range cli.Completions([]string{strconv.FormatInt(i.ID, 10)}, "", begun) {
			offered = append(offered, cobra.CompletionWithDesc(number, "until "+i.Expires.Local().Format(inviteTime)))
		}
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}
