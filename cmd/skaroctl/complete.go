package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/output"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

// Completion runs at a key press. It never asks the keyring, which may show a
// prompt, and says nothing of what goes wrong: then it offers less.
const (
	contactsFresh = 5 * time.Minute // how long kept contacts are as good as the server's
	contactsWait  = time.Second     // how long a key press may wait for the server
)

// completeLogin completes a LOGIN that is the first argument, from the contacts.
func (a *app) completeLogin(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return offer(a.knownLogins(c.Context()), "", begun), cobra.ShellCompDirectiveNoFileComp
}

// completeLogins is completeLogin for LOGIN[,LOGIN…].
func (a *app) completeLogins(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	comma := strings.LastIndexByte(begun, ',') + 1
	named := strings.Split(begun[:comma], ",")
	logins := slices.DeleteFunc(a.knownLogins(c.Context()), func(login string) bool { return slices.Contains(named, login) })
	return offer(logins, begun[:comma], begun[comma:]), cobra.ShellCompDirectiveNoFileComp
}

// completeFrom completes the LOGIN of a flag.
func (a *app) completeFrom(c *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.completeLogin(c, nil, begun)
}

// completeProfile completes the name of a profile, from the config file.
func (a *app) completeProfile(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names := slices.Sorted(maps.Keys(a.profiles().config.Profiles))
	return offer(names, "", begun), cobra.ShellCompDirectiveNoFileComp
}

// offer are the words that begin as the user has begun, each behind what stands
// before it. One that a shell would have to quote is left out: the words come from
// the network, and what a shell is given there might be run. So is one that can't be
// seen as a whole, and might be taken for another.
func offer(words []string, before, begun string) []cobra.Completion {
	var offered []cobra.Completion
	for _, word := range words {
		if strings.HasPrefix(word, begun) && !strings.HasPrefix(word, "-") && !strings.ContainsFunc(word, special) && output.Login(word) == word {
			offered = append(offered, before+word)
		}
	}
	return offered
}

func special(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+@:", r)
}

// knownLogins are the contacts of the account that is meant: those that were kept,
// or the server's where those are old and the credentials are at hand.
func (a *app) knownLogins(ctx context.Context) []string {
	a.flags.verbose = false // a trace would be in the middle of what is typed
	if a.settle() != nil {
		return nil
	}
	t, err := a.place(true)
	if err != nil {
		return nil
	}
	kept, when, err := t.files.CachedContacts(t.key())
	if age := time.Since(when); err == nil && age >= 0 && age < contactsFresh {
		return kept
	}
	if logins, ok := a.fetchLogins(ctx, t); ok {
		return logins
	}
	return kept
}

func (a *app) fetchLogins(ctx context.Context, t target) (logins []string, ok bool) {
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
	contacts, err := s.Contacts(ctx)
	if err != nil {
		return nil, false
	}
	logins = loginsOf(contacts)
	a.cacheContacts(t, logins)
	return logins, true
}

// cacheContacts keeps the contacts for completion. A cache that can't be written is
// no failure of the command that had them.
func (a *app) cacheContacts(t target, logins []string) {
	if err := t.files.CacheContacts(t.key(), logins); err != nil && a.flags.verbose {
		a.errLine(fmt.Sprintf("skaroctl: the contacts can't be kept for completion: %v", err))
	}
}

// cacheContact makes a login one of the contacts that are kept, or none of them.
func (a *app) cacheContact(t target, login string, known bool) {
	logins, _, err := t.files.CachedContacts(t.key())
	if err != nil {
		return // there are none yet, and one is not all
	}
	logins = slices.DeleteFunc(logins, func(other string) bool { return other == login })
	if known {
		logins = append(logins, login)
	}
	a.cacheContacts(t, logins)
}

func loginsOf(contacts []proto.Contact) []string {
	logins := make([]string, len(contacts))
	for i, c := range contacts {
		logins[i] = c.Login
	}
	return logins
}
