package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

// Completion runs at a key press. It never asks the keyring, which may show a
// prompt, and says nothing of what goes wrong: then it offers less.
const (
	contactsFresh = 5 * time.Minute // how long kept contacts are as good as the server's
	contactsWait  = time.Second     // how long a key press may wait for the server
)

// completeLogin completes a LOGIN that is the first argument, from the contacts: that of a
// person, or the name of a conference.
func (a *app) completeLogin(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeContact(c, args, "", begun, func(account.Contact) bool { return true })
}

// completePerson is completeLogin without the conferences.
func (a *app) completePerson(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeContact(c, args, "", begun, func(contact account.Contact) bool { return !contact.Conference })
}

// completeLogins is completeLogin for LOGIN[,LOGIN…].
func (a *app) completeLogins(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	comma := strings.LastIndexByte(begun, ',') + 1
	named := strings.Split(begun[:comma], ",")
	return a.completeContact(c, args, begun[:comma], begun[comma:], func(contact account.Contact) bool { return !slices.Contains(named, contact.Login) })
}

// completeFrom completes the LOGIN of a flag.
func (a *app) completeFrom(c *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completePerson(c, nil, begun)
}

// completeConference completes the name of a conference that we are in, for a flag.
func (a *app) completeConference(c *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeContact(c, nil, "", begun, func(contact account.Contact) bool { return contact.Conference })
}

// completeContact completes the first argument behind what stands before it, from the
// contacts that are wanted.
func (a *app) completeContact(c *cobra.Command, args []string, before, begun string, wanted func(account.Contact) bool) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var logins []string
	for _, contact := range a.knownContacts(c.Context()) {
		if wanted(contact) {
			logins = append(logins, contact.Login)
		}
	}
	return cli.Offer(logins, before, begun), cobra.ShellCompDirectiveNoFileComp
}

// completeProfile completes the name of a profile, from the config file.
func (a *app) completeProfile(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names := slices.Sorted(maps.Keys(a.profiles().config.Profiles))
	return cli.Offer(names, "", begun), cobra.ShellCompDirectiveNoFileComp
}

// knownContacts are the contacts of the account that is meant: those that were kept,
// or the server's where those are old and the credentials are at hand.
func (a *app) knownContacts(ctx context.Context) []account.Contact {
	a.flags.verbose = false // a trace would be in the middle of what is typed
	if a.settle() != nil {
		return nil
	}
	t, err := a.place(true)
	if err != nil {
		return nil
	}
	old, when, err := t.files.CachedContacts(t.key())
	if age := time.Since(when); err == nil && age >= 0 && age < contactsFresh {
		return old
	}
	if contacts, ok := a.fetchContacts(ctx, t); ok {
		return contacts
	}
	return old
}

func (a *app) fetchContacts(ctx context.Context, t target) (contacts []account.Contact, ok bool) {
	env, ok, err := account.FromEnvironment(a.getenv)
	if err != nil || !ok && t.saved.Store != "file" {
		return nil, false
	}
	if ok {
		t.env = &env
	}
	if t.needLogin() != nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeoutCause(ctx, contactsWait, &session.TimeoutError{After: contactsWait})
	defer cancel()
	var stored account.Credentials
	s, err := session.Open(ctx, t.endpoint, func(ctx context.Context) (session.Credentials, error) {
		return t.credentials(ctx, &stored)
	}, nil)
	if err != nil {
		return nil, false
	}
	defer s.Close()
	got, err := s.Contacts(ctx)
	if err != nil {
		return nil, false
	}
	contacts = kept(got)
	a.cacheContacts(t, contacts)
	return contacts, true
}

// cacheContacts keeps the contacts for completion. A cache that can't be written is
// no failure of the command that had them.
func (a *app) cacheContacts(t target, contacts []account.Contact) {
	if err := t.files.CacheContacts(t.key(), contacts); err != nil && a.flags.verbose {
		a.errLine(fmt.Sprintf("skaroctl: the contacts can't be kept for completion: %v", err))
	}
}

// cacheContact makes a person one of the contacts that are kept, or none of them.
func (a *app) cacheContact(t target, login string, known bool) {
	contacts, _, err := t.files.CachedContacts(t.key())
	if err != nil {
		return // there are none yet, and one is not all
	}
	contacts = slices.DeleteFunc(contacts, func(other account.Contact) bool { return other.Login == login })
	if known {
		contacts = append(contacts, account.Contact{Login: login})
	}
	a.cacheContacts(t, contacts)
}

// kept is what is kept of contacts.
func kept(contacts []proto.Contact) []account.Contact {
	list := make([]account.Contact, len(contacts))
	for i, c := range contacts {
		list[i] = account.Contact{Login: c.Login, Conference: c.IsConference()}
	}
	return list
}
