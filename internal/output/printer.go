package output

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// Options say how results are written.
type Options struct {
	JSON     bool             // JSON Lines; else text for people
	Format   *Format          // where it is not nil, messages and pushes go through it
	Colour   bool             // text only
	Terminal bool             // text only: it goes to a terminal
	Now      func() time.Time // text only: what day it is, and in which zone
}

// Printer writes results. It buffers: what must be seen now needs a Flush. Its
// methods return the first error of the writer, and the same again after it.
type Printer struct {
	w       *bufio.Writer
	options Options
	buf     []byte
	rows    table // of text in columns, until all of them are known
}

// NewPrinter makes a printer on w.
func NewPrinter(w io.Writer, o Options) *Printer {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Printer{w: bufio.NewWriterSize(w, bufferSize), options: o}
}

// bufferSize is how many bytes a Printer holds at most.
const bufferSize = 64 << 10

// Full reports whether a Flush makes a large block: who waits longer does not know what
// of it the Printer writes by itself.
func (p *Printer) Full() bool { return p.w.Buffered() >= bufferSize/2 }

// Flush writes out what is buffered, and ends a table.
func (p *Printer) Flush() error {
	if err := p.text(""); err != nil {
		return err
	}
	return p.w.Flush()
}

// line writes the JSON object that was appended to p.buf[:0].
func (p *Printer) line(buf []byte) error {
	p.buf = append(buf, '\n')
	_, err := p.w.Write(p.buf)
	if cap(p.buf) > 1<<20 {
		p.buf = nil // one long message must not be paid for ever after
	}
	return err
}

// text writes text, behind the table that was begun before it.
func (p *Printer) text(s string) error {
	if err := p.rows.write(p.w, p.options.Colour, p.options.Terminal); err != nil {
		return err
	}
	p.rows = nil
	_, err := p.w.WriteString(s)
	return err
}

// row adds a row to a table, which is written when it ends.
func (p *Printer) row(cells ...cell) { p.rows = append(p.rows, cells) }

// formatted writes a JSON object through the format.
func (p *Printer) formatted(object []byte) error {
	text, err := p.options.Format.execute(object)
	if err != nil {
		return fmt.Errorf("the template: %w", err)
	}
	_, err = p.w.Write(text)
	return err
}

// Message writes a message as somebody sees it whose login is own.
func (p *Printer) Message(m proto.Message, own string) error {
	if p.options.Format != nil {
		return p.formatted(AppendMessage(nil, m, own))
	}
	if p.options.JSON {
		return p.line(AppendMessage(p.buf[:0], m, own))
	}
	return p.text(p.messageText(m, own))
}

// Push writes a push that is no message.
func (p *Printer) Push(f proto.Frame) error {
	if p.options.Format != nil {
		return p.formatted(AppendPush(nil, f))
	}
	if p.options.JSON {
		return p.line(AppendPush(p.buf[:0], f))
	}
	return p.text(p.pushText(f))
}

// Contact writes somebody we know.
func (p *Printer) Contact(c proto.Contact) error {
	if p.options.JSON {
		return p.line(appendContact(p.buf[:0], c))
	}
	p.row(contactRow(c)...)
	return nil
}

// Sent writes a message that the server has confirmed; id is 0 where it has none.
func (p *Printer) Sent(id int64, date proto.Date, to string, extra map[string]any) error {
	if p.options.JSON {
		o := open(p.buf[:0])
		o.text("type", "sent")
		o.id(id)
		o.date("date", date)
		o.text("to", to)
		o.extra(extra)
		return p.line(o.close())
	}
	return p.text("sent to " + name(to, p.options.Colour) + "\n")
}

// RegisterType writes a server's registration policy.
func (p *Printer) RegisterType(policy string) error {
	if p.options.JSON {
		o := open(p.buf[:0])
		o.text("type", "register_type")
		o.text("register_type", policy)
		return p.line(o.close())
	}
	return p.text(Line(policy) + "\n")
}

// Reply writes a whole reply as it came, as JSON in every case: what it holds is not
// known here.
func (p *Printer) Reply(r proto.Reply) error {
	o := open(p.buf[:0])
	o.text("type", r.Fields.Type())
	o.text("for", r.For)
	o.key("id")
	o.buf = appendValue(o.buf, r.ID)
	o.text("status", r.Status)
	extra := r.Fields.Extra("type", "for", "id", "status")
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		o.key(name)
		o.buf = appendValue(o.buf, extra[name])
	}
	return p.line(o.close())
}

// Account is what login and status tell of an account.
type Account struct {
	Profile, Server, Login, Store string
	Credentials                   string        // what is stored: "token and SID", "SID"
	ServerVersion                 string        // "" where the server does not say
	Extensions                    []string      // nil where the server has none
	RoundTrip                     time.Duration // 0: not measured
}

// Account writes what is known of an account.
func (p *Printer) Account(a Account) error {
	if p.options.JSON {
		o := open(p.buf[:0])
		o.text("type", "account")
		o.text("profile", a.Profile)
		o.text("server", a.Server)
		o.text("login", a.Login)
		o.text("store", a.Store)
		o.some("credentials", a.Credentials)
		o.some("server_version", a.ServerVersion)
		if len(a.Extensions) > 0 {
			o.key("extensions")
			o.buf = appendValue(o.buf, a.Extensions)
		}
		if a.RoundTrip > 0 {
			o.key("rtt_ms")
			o.buf = appendValue(o.buf, float64(a.RoundTrip.Microseconds())/1000)
		}
		return p.line(o.close())
	}
	about := []fact{
		{"profile", cell{text: Line(a.Profile)}},
		{"server", cell{text: Line(a.Server)}},
		{"login", nameCell(a.Login)},
		{"store", cell{text: Line(a.Store)}},
		{"credentials", cell{text: Line(a.Credentials)}},
		{"server version", cell{text: Line(a.ServerVersion)}},
		{"extensions", cell{text: Line(strings.Join(a.Extensions, ", "))}},
	}
	if a.RoundTrip > 0 {
		about = append(about, fact{"round trip", cell{text: a.RoundTrip.Round(10 * time.Microsecond).String()}})
	}
	p.facts(about)
	return nil
}

// fact is one thing that is told of something.
type fact struct {
	label string
	value cell
}

// facts writes facts in two columns, without those that have no value.
func (p *Printer) facts(about []fact) {
	for _, f := range about {
		if f.value.text != "" {
			p.row(cell{f.label + ":", styleDim}, f.value)
		}
	}
}

// Version writes what a program was built from.
func (p *Printer) Version(i build.Info) error {
	if p.options.JSON {
		o := open(p.buf[:0])
		o.text("type", "version")
		o.text("program", i.Program)
		o.text("version", i.Version)
		o.some("commit", i.Commit)
		o.date("date", proto.Date{Time: i.Date})
		if i.Modified {
			o.bool("modified", true)
		}
		o.text("go", i.Go)
		o.text("os", i.OS)
		o.text("arch", i.Arch)
		return p.line(o.close())
	}
	if err := p.text(i.Program + " " + i.Version + "\n"); err != nil {
		return err
	}
	commit, date := i.Commit, ""
	if i.Modified {
		commit += ", and changes to it"
	}
	if !i.Date.IsZero() {
		date = i.Date.UTC().Format(time.RFC3339)
	}
	p.facts([]fact{
		{"commit", cell{text: commit}}, {"date", cell{text: date}},
		{"built with", cell{text: i.Go}}, {"built for", cell{text: i.OS + "/" + i.Arch}},
	})
	return nil
}

// User writes an account of a server, and when it was made.
func (p *Printer) User(login string, created time.Time) error {
	if p.options.JSON {
		o := open(p.buf[:0])
		o.text("type", "user")
		o.text("login", login)
		o.seconds("created", created)
		return p.line(o.close())
	}
	p.row(cell{p.minute(created), styleDim}, nameCell(login))
	return nil
}

// Conference writes a conference of a server, when it was made, and who is in it.
func (p *Printer) Conference(conference string, created time.Time, members []string) error {
	if p.options.JSON {
		o := open(p.buf[:0])
		o.text("type", "conference")
		o.text("name", conference)
		o.seconds("created", created)
		o.key("members")
		o.buf = appendValue(o.buf, members)
		return p.line(o.close())
	}
	row := []cell{{p.minute(created), styleDim}, nameCell(conference)}
	for _, login := range members {
		row = append(row, nameCell(login))
	}
	if len(members) == 0 {
		row = append(row, cell{"-", styleDim})
	}
	p.row(row...)
	return nil
}

// Invite is an invitation to make an account on a server.
type Invite struct {
	ID               int64
	Created, Expires time.Time
	State            string // open, used, expired
	Login            string // of the account that was made with it
}

// Invite writes an invitation.
func (p *Printer) Invite(i Invite) error {
	if p.options.JSON {
		o := open(p.buf[:0])
		o.text("type", "invite")
		o.id(i.ID)
		o.seconds("created", i.Created)
		o.seconds("expires", i.Expires)
		o.text("state", i.State)
		o.some("login", i.Login)
		return p.line(o.close())
	}
	state := i.State
	if i.Login != "" {
		state += " by " + name(i.Login, p.options.Colour)
	}
	p.row(cell{text: strconv.FormatInt(i.ID, 10)}, cell{"made " + p.minute(i.Created), styleDim}, cell{"until " + p.minute(i.Expires), styleDim}, cell{text: state})
	return nil
}
