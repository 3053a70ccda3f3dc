package main

import (
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/store"
)

// exitTable has the exit statuses of errors (`skarod help exit-status`), the most severe
// first.
var exitTable = cli.Table{
	{Kind: cli.KindInternal, Exit: 1, When: "any other error"},
	{Kind: cli.KindRefused, Exit: 5, When: "no such user, conference or invitation; not a member of the conference; the login or name is taken; or the invitation was used"},
	{Kind: cli.KindUsage, Exit: 2, When: "wrong usage: a wrong flag or argument, an unacceptable password, or a second server on the same data"},
}

// classify returns the kind and the hint of an error of the store.
func classify(err error) cli.Error {
	switch {
	case store.Refused(err):
		return cli.Error{Kind: cli.KindRefused}
	case store.Damaged(err):
		return cli.Error{Hint: restoreHint}
	}
	return cli.Error{}
}
