package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

// recipients reads LOGIN[,LOGIN…]. A login that is named twice in the same spelling counts
// once; distinct does the rest.
func recipients(s string) ([]string, error) {
	if err := cli.CheckUTF8("the login", s); err != nil {
		return nil, err
	}
	const hint = "write logins with one comma between them, like alice,bob"
	var to []string
	for login := range strings.SplitSeq(s, ",") {
		switch {
		case login == "":
			return nil, cli.Usage(fmt.Sprintf("%q names an empty login", s), hint)
		case login != strings.TrimSpace(login) && strings.Contains(s, ","):
			return nil, cli.Usage(fmt.Sprintf("%q has a space beside a comma", s), hint)
		case !slices.Contains(to, login):
			to = append(to, login)
		}
	}
	return to, nil
}

// hintOneLogin is the hint for two logins that may be one.
const hintOneLogin = "name one of them, or send to each with a command of its own"

// distinct returns the recipients, each person once, whatever the spellings. Only the server
// knows which spellings are one login; it is asked only about logins that look alike, so
// that others cost no connection. If the server can't tell, that is an error: they might be
// two persons.
func (o *sendOptions) distinct(ctx context.Context, f *Factory, acct Account, to []string) ([]string, error) {
	like := alike(to)
	if len(like) == 0 {
		return to, nil
	}
	var spelled map[string]string
	err := o.retryPolicy().Run(ctx, f.noticeLost, func(ctx context.Context) error {
		return f.withAccount(ctx, acct, func(ctx context.Context, s *session.Session) (err error) {
			spelled, err = spellings(ctx, s, like)
			return err
		})
	})
	if err != nil {
		return to, err
	}
	var kept []string
	seen := map[string]bool{}
	for _, login := range to {
		name := cmp.Or(spelled[login], login)
		if !seen[name] {
			kept = append(kept, login)
		}
		seen[name] = true
	}
	return kept, nil
}

// checkDistinct returns an error if two logins look alike, for a command that may not be able
// to ask the server.
func checkDistinct(to []string) error {
	if like := alike(to); len(like) > 0 {
		return cli.Usage(fmt.Sprintf("%q and %q may be the same login, and only the server knows", like[0], like[1]), hintOneLogin)
	}
	return nil
}

// alike returns the logins that differ from another one only in case, or in equivalent
// forms of a letter.
func alike(logins []string) (found []string) {
	if len(logins) < 2 {
		return nil
	}
	count := map[string]int{}
	for _, login := range logins {
		count[folded(login)]++
	}
	for _, login := range logins {
		if count[folded(login)] > 1 {
			found = append(found, login)
		}
	}
	return found
}

// folded returns a form that two logins share if strings.EqualFold says that their normal
// forms are equal.
func folded(login string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, norm.NFKC.String(login))
}

// spellings returns the logins in the server's spelling. A login that the server refuses
// stays as it is: the server will refuse the message too.
func spellings(ctx context.Context, s *session.Session, logins []string) (map[string]string, error) {
	if !s.Greeting().Has(proto.ExtUpdates) {
		return nil, cli.Usage(
			fmt.Sprintf("%s may be the same login, and this server does not say", strings.Join(logins, " and ")),
			hintOneLogin,
		)
	}
	spelled := map[string]string{}
	for _, login := range logins {
		found, err := s.Spelling(ctx, login)
		if err != nil && (session.KindOf(err) != session.KindRefused || session.Temporary(err)) {
			return nil, err
		}
		spelled[login] = found.Login
	}
	return spelled, nil
}
