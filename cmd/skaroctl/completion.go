package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

// Completion runs at a key press. It never asks the keyring, which may show a prompt. It
// reports no errors: after one, it offers fewer words.

// contactsFresh is how long cached contacts are used without asking the server.
const contactsFresh = 5 * time.Minute

// contactsWait is how long a key press may wait for the server. Tests use a longer time, so
// that they do not depend on the speed of the machine; the linker sets it for the end-to-end
// tests.
var contactsWait = "1s"

// boundContacts returns a context that ends after contactsWait.
func boundContacts(ctx context.Context) (context.Context, context.CancelFunc) {
	wait, err := time.ParseDuration(contactsWait)
	if err != nil {
		wait = time.Second
	}
	return session.WithTimeout(ctx, wait)
}

// completeLogin completes a LOGIN that is the first argument, from the contacts: the
// login of a user, or the name of a conference.
func (f *Factory) completeLogin(c *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return f.completeContact(c, args, "", prefix, func(account.Contact) bool { return true })
}

// completeUser is completeLogin without the conferences.
func (f *Factory) completeUser(c *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return f.completeContact(c, args, "", prefix, func(contact account.Contact) bool { return !contact.Conference })
}

// completeLogins is completeLogin for LOGIN[,LOGIN…].
func (f *Factory) completeLogins(c *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	comma := strings.LastIndexByte(prefix, ',') + 1
	named := strings.Split(prefix[:comma], ",")
	return f.completeContact(c, args, prefix[:comma], prefix[comma:], func(contact account.Contact) bool {
		return !slices.Contains(named, contact.Login)
	})
}

// completeFrom completes the login of a user, as the value of a flag.
func (f *Factory) completeFrom(c *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return f.completeUser(c, nil, prefix)
}

// completeConference completes the name of a conference that we are in, as the value of a
// flag.
func (f *Factory) completeConference(c *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return f.completeContact(c, nil, "", prefix, func(contact account.Contact) bool { return contact.Conference })
}

// completeContact completes the first argument from the wanted contacts, each prepended with
// before.
func (f *Factory) completeContact(c *cobra.Command, args []string, before, prefix string, wanted func(account.Contact) bool) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var logins []string
	for _, contact := range f.knownContacts(c.Context()) {
		if wanted(contact) {
			logins = append(logins, contact.Login)
		}
	}
	return cli.Completions(logins, before, prefix), cobra.ShellCompDirectiveNoFileComp
}

// completeProfile completes the name of a profile, from the config file.
func (f *Factory) completeProfile(_ *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	p, err := f.Profiles()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return cli.Completions(p.names(), "", prefix), cobra.ShellCompDirectiveNoFileComp
}

// knownContacts returns the contacts of the resolved account: those that were cached, or
// the server's if those are old and the credentials need no keyring.
func (f *Factory) knownContacts(ctx context.Context) []account.Contact {
	acct, err := f.resolveForCompletion(ctx)
	if err != nil {
		return nil
	}
	cached, when, err := acct.files.CachedContacts(acct.key())
	if age := time.Since(when); err == nil && age >= 0 && age < contactsFresh {
		return cached
	}
	contacts, err := acct.fetchContacts(ctx)
	if err != nil {
		return cached
	}
	acct.cacheContacts(contacts)
	return contacts
}

// resolveForCompletion is ResolveAccount at a key press.
func (f *Factory) resolveForCompletion(ctx context.Context) (Account, error) {
	var err error
	if f.flags, err = f.given.resolve(f.getenv); err != nil {
		return Account{}, err
	}
	f.flags.verbose = false // the trace would appear in the command line that is being typed
	ctx, cancel := boundContacts(ctx)
	defer cancel()
	return f.ResolveAccount(ctx)
}

// fetchContacts asks the server for the contacts, unless that takes a keyring.
func (acct Account) fetchContacts(ctx context.Context) ([]account.Contact, error) {
	if acct.env == nil && acct.saved.Store != "file" {
		return nil, errors.New("completion does not ask the keyring")
	}
	if err := acct.needLogin(); err != nil {
		return nil, err
	}
	ctx, cancel := boundContacts(ctx)
	defer cancel()
	s, err := session.Open(ctx, acct.endpoint, newCredentialSource(acct).read, nil)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	contacts, err := s.Contacts(ctx)
	return toCache(contacts), err
}

// cacheContacts keeps the contacts for completion. A cache that can't be written is no
// error of the command that has them.
func (acct Account) cacheContacts(contacts []account.Contact) {
	if err := acct.files.CacheContacts(acct.key(), contacts); err != nil {
		acct.trace("the contacts can't be cached for completion: %v", err)
	}
}

// cacheContact adds a user to the cached contacts, or removes one.
func (acct Account) cacheContact(login string, add bool) {
	contacts, _, err := acct.files.CachedContacts(acct.key())
	if err != nil {
		return // nothing is cached yet, and one contact is not all of them
	}
	contacts = slices.DeleteFunc(contacts, func(other account.Contact) bool { return other.Login == login })
	if add {
		contacts = append(contacts, account.Contact{Login: login})
	}
	acct.cacheContacts(contacts)
}

// completionBytes bounds the logins that are kept for completion.
const completionBytes = 1 << 20

// toCache returns contacts in the form of the cache, as far as they fit, and without what
// is longer than a login can be.
func toCache(contacts []proto.Contact) []account.Contact {
	list := make([]account.Contact, 0, min(len(contacts), completionBytes/64))
	left := completionBytes
	for _, c := range contacts {
		if len(c.Login) > proto.MaxLogin {
			continue
		}
		const entry = 32 // bytes in addition to the login
		if left -= len(c.Login) + entry; left < 0 {
			break
		}
		list = append(list, account.Contact{Login: c.Login, Conference: c.IsConference()})
	}
	return list
}
