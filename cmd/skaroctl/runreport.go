package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// maxTitle is how many bytes of a command line or a title the message of run may have.
const maxTitle = 300

// tell sends the message. If it is too long for the server, it is sent again with less output.
func (o *runOptions) tell(ctx context.Context, f *Factory, acct Account, to []string, done ending) error {
	if acct.env != nil { // its file may have changed since the command started
		env := *acct.env
		token, err := terminal.Await(ctx, env.Reread)
		if err == nil {
			env.Token = token
			acct.env = &env
		}
	}
	lines := done.output
	for {
		body := strings.Join(append([]string{o.summary(done)}, lines...), "\n")
		s := sendOptions{words: []string{body}, inFlight: defaultInFlight, spool: o.spool, silent: true}
		if !o.spool { // the server may no longer carry fields when a message that waits is sent
			s.fields, s.bare = o.fields(done), true
		}
		err := s.send(ctx, f, acct, to)
		if statusOf(err) != "413" || len(lines) == 0 {
			return err
		}
		lines = lines[(len(lines)+1)/2:]
	}
}

// summary is the first line of the message.
func (o *runOptions) summary(done ending) string {
	text := o.name() + " on " + hostName() + " " + done.how
	if done.failed == nil {
		text += " after " + spent(done.took)
	}
	return text
}

// fields are the title of the message, and its urgency if the command has failed.
func (o *runOptions) fields(done ending) fieldFlags {
	if done.status == 0 {
		return fieldFlags{texts: []string{"title=" + o.name() + " succeeded"}}
	}
	return fieldFlags{texts: []string{"title=" + o.name() + " failed", "urgency=high"}}
}

// name is the title, or the command line as a shell has it, in one line.
func (o *runOptions) name() string {
	if o.title != "" {
		return o.title
	}
	words := make([]string, len(o.command))
	for i, word := range o.command {
		words[i] = terminal.ShellWord(strings.ToValidUTF8(word, "\uFFFD"))
	}
	line := strings.Join(words, " ")
	first, _, several := strings.Cut(line, "\n")
	if len(first) > maxTitle {
		first, several = string(terminal.WholeRunes([]byte(first[:maxTitle]))), true
	}
	if several {
		first += "…"
	}
	return first
}

// hostName is the name of this machine.
func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return strings.ToValidUTF8(name, "\uFFFD")
	}
	return "this machine"
}

// spent writes how long a command took, with as many digits as a person reads.
func spent(d time.Duration) string {
	switch {
	case d < time.Second:
		d = d.Round(time.Millisecond)
	case d < time.Minute:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	text := cli.Duration(d)
	if d == 0 {
		return "0s"
	}
	return text.String()
}
