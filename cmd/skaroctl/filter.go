package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

// filter says which events listen shows. At each connection it asks for the server's
// spelling of the names of --from and --conference: a name in any other spelling would
// match nothing.
type filter struct {
	from, conferences []*filterName
	match             []fieldMatch // all of them
	own, events       bool
	noFields          bool   // the server was found to lack the extension fields
	server            string // its URL
	notice            func(format string, args ...any)
}

// fieldMatch is a --match: a field and its value.
type fieldMatch struct{ name, value string }

func parseMatches(given []string) (list []fieldMatch, err error) {
	const hint = "write it as --match urgency=critical"
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, cli.Usage(fmt.Sprintf("--match %q is not KEY=VALUE", name), hint)
		}
		if err := cli.CheckUTF8("the value of --match", text); err != nil {
			return nil, err
		}
		if err := proto.CheckFieldName(name); err != nil {
			return nil, cli.Usage("--match: "+err.Error(), hint)
		}
		list = append(list, fieldMatch{name, value})
	}
	return list, nil
}

// filterName is a name of --from or --conference.
type filterName struct {
	kind    string // "user" or "conference"
	name    string // in the server's spelling, as soon as that is known
	found   bool   // the server had it at an earlier connection
	noticed string // the last notice about it
}

func newFilter(o *listenOptions, server string, notice func(string, ...any)) *filter {
	names := func(kind string, given []string) []*filterName {
		var list []*filterName
		for _, name := range given {
			list = append(list, &filterName{kind: kind, name: name})
		}
		return list
	}
	match, _ := parseMatches(o.match) // listenOptions.check has tried it
	return &filter{
		from: names("user", o.from), conferences: names("conference", o.conferences), match: match, own: o.own, events: o.events,
		server: server, notice: notice,
	}
}

// wants reports whether an event is to be shown.
func (f *filter) wants(e session.Event) bool {
	m := e.Message
	if m == nil {
		return f.events
	}
	if len(f.conferences) > 0 && !f.saidThere(*m, e.Own) {
		return false
	}
	if slices.ContainsFunc(f.match, func(want fieldMatch) bool { return !m.Fields.Matches(want.name, want.value) }) {
		return false
	}
	if len(f.from) > 0 {
		return has(f.from, m.From)
	}
	return f.own || m.From != e.Own
}

// saidThere reports whether a message belongs to one of the conferences.
func (f *filter) saidThere(m proto.Message, own string) bool {
	if m.Conference == "" && m.From != own {
		return false // it comes from a user with the name of a conference
	}
	return has(f.conferences, m.Dialog(own))
}

func has(names []*filterName, name string) bool {
	return slices.ContainsFunc(names, func(n *filterName) bool { return n.name == name })
}

// prepare runs at each connection: it checks whether the server has fields, and asks it
// for the names.
func (f *filter) prepare(ctx context.Context, s *session.Session) error {
	f.checkFields(s.Greeting().Has(proto.ExtFields))
	return f.respell(ctx, s.Spelling)
}

// checkFields warns the user of a server whose messages have no fields, but not at every
// connection to it.
func (f *filter) checkFields(supported bool) {
	if !supported && !f.noFields && len(f.match) > 0 {
		f.notice("%s lacks the extension fields: --match leaves out every message", f.server)
	}
	f.noFields = !supported
}

// respell replaces each name with the server's spelling. spell, which is Session.Spelling, asks
// the server for it. A notice tells the user of a name for which nothing will come.
func (f *filter) respell(ctx context.Context, spell func(context.Context, string) (proto.Contact, error)) error {
	for _, n := range slices.Concat(f.from, f.conferences) {
		found, err := spell(ctx, n.name)
		text, err := n.learn(f.server, found, err)
		if err != nil {
			return err
		}
		if text != "" && text != n.noticed {
			f.notice("%s", text)
		}
		n.noticed = text
	}
	return nil
}

// learn notes what the server said about a name. text is what the user should know about it.
// An error that is not a refusal is returned.
func (n *filterName) learn(server string, found proto.Contact, err error) (text string, _ error) {
	if err != nil {
		return n.explain(server, err)
	}
	n.name = found.Login
	switch {
	case n.kind == "user" && found.IsConference():
		return fmt.Sprintf("%q is a conference: --conference shows its messages", found.Login), nil
	case n.kind == "conference" && found.Online != nil:
		return fmt.Sprintf("%q is a user: --from shows their messages", found.Login), nil
	}
	n.found = true
	return "", nil
}

// explain says why the server refused a name. It returns err if that is not a refusal, or if
// it may pass by itself.
func (n *filterName) explain(server string, err error) (text string, _ error) {
	var refused *session.Error
	switch {
	case session.Temporary(err), !errors.As(err, &refused), refused.Kind != session.KindRefused:
		return "", err
	case proto.StatusCode(refused.Status) != "404":
		return fmt.Sprintf("the %s %q: %v", n.kind, n.name, refused), nil
	case n.found:
		return fmt.Sprintf("%s no longer has a %s %q", server, n.kind, n.name), nil
	}
	return fmt.Sprintf("%s has no %s %q yet", server, n.kind, n.name), nil
}
