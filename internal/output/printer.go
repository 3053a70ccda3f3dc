package output

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Options say how results are written.
type Options struct {
	JSON   bool             // JSON Lines; else text for people
	Format *Format          // where it is not nil, messages and pushes go through it
	Colour bool             // text only
	Now    func() time.Time // text only: what day it is, and in which zone
}

// Printer writes results. It buffers: what must be seen now needs a Flush. Its
// methods return the first error of the writer, and the same again after it.
type Printer struct {
	w       *bufio.Writer
	options Options
	buf     []byte
}

// NewPrinter makes a printer on w.
func NewPrinter(w io.Writer, o Options) *Printer {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Printer{w: bufio.NewWriterSize(w, 64<<10), options: o}
}

// Flush writes out what is buffered.
func (p *Printer) Flush() error { return p.w.Flush() }

// line writes the JSON object that was appended to p.buf[:0].
func (p *Printer) line(buf []byte) error {
	p.buf = append(buf, '\n')
	_, err := p.w.Write(p.buf)
	if cap(p.buf) > 1<<20 {
		p.buf = nil // one long message must not be paid for ever after
	}
	return err
}

func (p *Printer) text(s string) error {
	_, err := p.w.WriteString(s)
	return err
}

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
	return p.text(p.contactText(c))
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
	rows := [][2]string{
		{"profile", Line(a.Profile)}, {"server", Line(a.Server)}, {"login", name(a.Login, p.options.Colour)}, {"store", Line(a.Store)},
		{"credentials", Line(a.Credentials)}, {"server version", Line(a.ServerVersion)}, {"extensions", Line(strings.Join(a.Extensions, ", "))},
	}
	if a.RoundTrip > 0 {
		rows = append(rows, [2]string{"round trip", a.RoundTrip.Round(10 * time.Microsecond).String()})
	}
	for _, row := range rows {
		if row[1] == "" {
			continue
		}
		if err := p.text(styled(row[0]+":", styleDim, p.options.Colour) + strings.Repeat(" ", 16-len(row[0])) + row[1] + "\n"); err != nil {
			return err
		}
	}
	return nil
}
