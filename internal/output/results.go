package output

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/proto"
)

// The JSON of each result is a struct here: its fields are in this order, and an empty field
// with omitempty is left out. Scripts rely on both (docs/reference.md).

type messageJSON struct {
	Type       string         `json:"type"`
	ID         int64          `json:"id,omitempty"`
	Date       any            `json:"date,omitempty"`
	Dialog     string         `json:"dialog"`
	From       string         `json:"from"`
	To         string         `json:"to"`
	Conference string         `json:"conference,omitempty"`
	Own        bool           `json:"own,omitempty"`
	Body       string         `json:"body"`
	Fields     map[string]any `json:"fields,omitempty"`
	Extra      map[string]any `json:"extra,omitempty"`
}

func newMessageJSON(m proto.Message, own string) *messageJSON {
	return &messageJSON{
		"message", m.ID, jsonDate(m.Date), m.Dialog(own), m.From, m.To, m.Conference, m.From == own, m.Body, jsonMap(m.Fields), jsonMap(m.Extra),
	}
}

// WriteMessage writes a message as one line of JSON, as the user with the login own sees it.
func WriteMessage(w io.Writer, m proto.Message, own string) error {
	return writeJSON(w, newMessageJSON(m, own))
}

// Message writes a message, as the user with the login own sees it.
func (p *Printer) Message(m proto.Message, own string) error {
	switch {
	case p.options.Format != nil:
		object := newMessageJSON(m, own)
		object.Body = bodyText(m)
		return p.formatted(object)
	case p.options.JSON:
		return p.json(newMessageJSON(m, own))
	}
	return p.messageText(m, own)
}

type pushJSON struct {
	Type  string         `json:"type"`
	Name  string         `json:"name,omitempty"`
	Info  string         `json:"info,omitempty"`
	Extra map[string]any `json:"extra,omitempty"`
}

// newPushJSON has an info or an error as its type, and any other push as "push" with its
// name.
func newPushJSON(f proto.Frame) *pushJSON {
	typ := f.Type()
	if typ != proto.TypeInfo && typ != proto.TypeError {
		return &pushJSON{Type: "push", Name: typ, Extra: jsonMap(f.Extra("type"))}
	}
	known := []string{"type"}
	info, ok := f.TextOK("info")
	if ok {
		known = append(known, "info")
	}
	return &pushJSON{Type: typ, Info: info, Extra: jsonMap(f.Extra(known...))}
}

// WritePush writes a push that is not a message as one line of JSON.
func WritePush(w io.Writer, f proto.Frame) error { return writeJSON(w, newPushJSON(f)) }

// Push writes a push that is not a message.
func (p *Printer) Push(f proto.Frame) error {
	switch {
	case p.options.Format != nil:
		return p.formatted(newPushJSON(f))
	case p.options.JSON:
		return p.json(newPushJSON(f))
	}
	return p.text(p.pushText(f))
}

type contactJSON struct {
	Type   string         `json:"type"`
	Login  string         `json:"login"`
	Name   string         `json:"name,omitempty"`
	Online *bool          `json:"online,omitempty"`
	Extra  map[string]any `json:"extra,omitempty"`
}

// Contact writes a contact.
func (p *Printer) Contact(c proto.Contact) error {
	if p.options.JSON {
		return p.json(&contactJSON{"contact", c.Login, c.Name, c.Online, jsonMap(c.Extra)})
	}
	p.row(contactRow(c)...)
	return nil
}

type sentJSON struct {
	Type  string         `json:"type"`
	ID    int64          `json:"id,omitempty"`
	Date  any            `json:"date,omitempty"`
	To    string         `json:"to"`
	Extra map[string]any `json:"extra,omitempty"`
}

// Sent writes a message that the server has confirmed. An id of 0 means that it has none.
func (p *Printer) Sent(id int64, date proto.Date, to string, extra proto.Extra) error {
	if p.options.JSON {
		return p.json(&sentJSON{"sent", id, jsonDate(date), to, jsonMap(extra)})
	}
	return p.text("sent to " + name(to, p.options.Colour) + "\n")
}

// Outgoing is a message to be sent, as a line of `send --json` has it.
type Outgoing struct {
	To     string         `json:"to"`
	Body   string         `json:"body"`
	Fields map[string]any `json:"fields,omitempty"`
	Key    string         `json:"key,omitempty"`
}

// NewOutgoing makes the message to be sent with fields and a key, "" for none.
func NewOutgoing(to, body string, fields proto.Fields, key string) Outgoing {
	return Outgoing{to, body, jsonMap(fields), key}
}

// WriteOutgoing writes a message to be sent as one line of JSON.
func WriteOutgoing(w io.Writer, m Outgoing) error { return writeJSON(w, m) }

// Spooled is a message that waits on this machine.
type Spooled struct {
	ID              int64
	Date, Attempted time.Time // Attempted is zero if it certainly was not delivered
	To              string
	State           string
	Decide          bool      // a person has to decide about it
	Server, Login   string    // of the sender
	Reason          string    // why it waits
	Message         *Outgoing // nil leaves it out
}

type spooledJSON struct {
	Type      string    `json:"type"`
	ID        int64     `json:"id"`
	Date      any       `json:"date,omitempty"`
	To        string    `json:"to"`
	State     string    `json:"state"`
	Server    string    `json:"server"`
	Login     string    `json:"login"`
	Attempted any       `json:"attempted,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Message   *Outgoing `json:"message,omitempty"`
}

// Spooled writes a message that waits, for the command that has put it there or changed it.
func (p *Printer) Spooled(s Spooled) error {
	if p.options.JSON {
		return p.spooledJSON("spooled", s)
	}
	text := fmt.Sprintf("spooled for %s as %d", name(s.To, p.options.Colour), s.ID)
	if s.Reason != "" {
		text += ": " + Line(s.Reason)
	}
	return p.text(text + "\n")
}

// Dropped writes a message that was removed from the spool.
func (p *Printer) Dropped(s Spooled) error {
	if p.options.JSON {
		return p.spooledJSON("dropped", s)
	}
	text := "dropped " + strconv.FormatInt(s.ID, 10)
	if s.To != "" {
		text += " to " + name(s.To, p.options.Colour)
	}
	return p.text(text + "\n")
}

// SpoolRow writes a message that waits as one row of a list. The row ends with the first line of
// the message or, if a person has to decide about it, with the reason. Its JSON is that of Spooled.
func (p *Printer) SpoolRow(s Spooled) error {
	if p.options.JSON {
		return p.spooledJSON("spooled", s)
	}
	text := s.Reason
	if s.Message != nil && !s.Decide {
		text, _, _ = strings.Cut(s.Message.Body, "\n")
	}
	p.row(cell{text: strconv.FormatInt(s.ID, 10)}, cell{p.minute(s.Date), styleDim}, nameCell(s.Login), nameCell(s.To), cell{text: s.State}, cell{text: Line(proto.Excerpt(text))})
	return nil
}

func (p *Printer) spooledJSON(typ string, s Spooled) error {
	o := &spooledJSON{typ, s.ID, nil, s.To, s.State, s.Server, s.Login, nil, s.Reason, s.Message}
	if !s.Date.IsZero() {
		o.Date = jsonSecond(s.Date)
	}
	if !s.Attempted.IsZero() {
		o.Attempted = jsonSecond(s.Attempted)
	}
	return p.json(o)
}

type registerTypeJSON struct {
	Type         string `json:"type"`
	RegisterType string `json:"register_type"`
}

// RegisterType writes a server's registration policy.
func (p *Printer) RegisterType(policy string) error {
	if p.options.JSON {
		return p.json(&registerTypeJSON{"register_type", policy})
	}
	return p.text(field(policy) + "\n")
}

type replyJSON struct {
	Type   string `json:"type"`
	For    any    `json:"for,omitempty"`
	ID     int64  `json:"id"`
	Status any    `json:"status,omitempty"`
}

// replyField is a field of a reply as it came; nil if it is not there.
func replyField(r proto.Reply, name string) any {
	if text, ok := r.Fields.TextOK(name); ok || !r.Fields.Has(name) {
		if !ok {
			return nil
		}
		return text
	}
	if v := jsonValue(r.Fields.Value(name)); v != nil {
		return v
	}
	return json.RawMessage("null")
}

// Reply writes a whole reply as it came. It is always JSON: this program does not know
// what the fields mean.
func (p *Printer) Reply(r proto.Reply) error {
	e := &p.encoder
	e.buf = append(e.buf, '{')
	e.fields(reflect.ValueOf(replyJSON{r.Fields.Type(), replyField(r, "for"), r.ID, replyField(r, "status")}))
	if extra := jsonMap(r.Fields.Extra("type", "for", "id", "status")); len(extra) > 0 {
		e.buf = append(e.buf, ',')
		e.members(extra)
	}
	e.buf = append(e.buf, '}')
	return e.end()
}

// Account is an account as login, status and profile list show it.
type Account struct {
	Profile, Server, Login, Store string
	Credentials                   string        // that are stored: "token and SID", "SID"
	ServerVersion                 string        // "" if the server does not say
	Extensions                    []string      // nil if the server has none
	RoundTrip                     time.Duration // 0 means not measured
	Default                       bool          // a command that names no profile uses it
}

type accountJSON struct {
	Type          string   `json:"type"`
	Profile       string   `json:"profile"`
	Server        string   `json:"server"`
	Login         string   `json:"login"`
	Store         string   `json:"store"`
	Credentials   string   `json:"credentials,omitempty"`
	ServerVersion string   `json:"server_version,omitempty"`
	Extensions    []string `json:"extensions,omitempty"`
	RoundTrip     *float64 `json:"rtt_ms,omitempty"`
	Default       bool     `json:"default,omitempty"`
}

// Account writes an account.
func (p *Printer) Account(a Account) error {
	if p.options.JSON {
		o := &accountJSON{"account", a.Profile, a.Server, a.Login, a.Store, a.Credentials, a.ServerVersion, a.Extensions, nil, a.Default}
		if a.RoundTrip > 0 {
			o.RoundTrip = new(float64(a.RoundTrip.Microseconds()) / 1000)
		}
		return p.json(o)
	}
	if len(p.rows) > 0 {
		p.row() // between two accounts
	}
	list := []fact{
		{"profile", cell{text: Line(a.Profile)}},
		{"server", cell{text: Line(a.Server)}},
		{"login", nameCell(a.Login)},
		{"store", cell{text: Line(a.Store)}},
		{"credentials", cell{text: Line(a.Credentials)}},
		{"server version", cell{text: field(a.ServerVersion)}},
		{"extensions", cell{text: field(strings.Join(a.Extensions, ", "))}},
	}
	if a.RoundTrip > 0 {
		list = append(list, fact{"round trip", cell{text: a.RoundTrip.Round(10 * time.Microsecond).String()}})
	}
	p.facts(list)
	return nil
}

// Profile writes an account as one row of a list. Its JSON is that of Account.
func (p *Printer) Profile(a Account) error {
	if p.options.JSON {
		return p.Account(a)
	}
	last := cell{}
	if a.Default {
		last.text = "default"
	}
	p.row(cell{text: Line(a.Profile)}, nameCell(a.Login), cell{text: Line(a.Server)}, cell{text: Line(a.Store)}, last)
	return nil
}

type versionJSON struct {
	Type     string `json:"type"`
	Program  string `json:"program"`
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     any    `json:"date,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Version writes what a program was built from.
func (p *Printer) Version(i build.Info) error {
	if p.options.JSON {
		return p.json(&versionJSON{"version", i.Program, i.Version, i.Commit, jsonDate(proto.Date{Time: i.Date}), i.Modified, i.Go, i.OS, i.Arch})
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

// User is an account of a server, as its administrator sees it.
type User struct {
	Login              string
	Created, LastLogin time.Time // LastLogin is zero if there was none
	Online, Disabled   bool
}

type userJSON struct {
	Type      string `json:"type"`
	Login     string `json:"login"`
	Created   string `json:"created"`
	LastLogin string `json:"last_login,omitempty"`
	Online    bool   `json:"online,omitempty"`
	Disabled  bool   `json:"disabled,omitempty"`
}

// User writes an account of a server.
func (p *Printer) User(u User) error {
	if p.options.JSON {
		o := &userJSON{"user", u.Login, jsonSecond(u.Created), "", u.Online, u.Disabled}
		if !u.LastLogin.IsZero() {
			o.LastLogin = jsonSecond(u.LastLogin)
		}
		return p.json(o)
	}
	last, state := "never", cell{"-", styleDim}
	if !u.LastLogin.IsZero() {
		last = p.minute(u.LastLogin)
	}
	switch {
	case u.Disabled:
		state = cell{text: "disabled"}
	case u.Online:
		state = cell{text: "online"}
	}
	p.row(cell{p.minute(u.Created), styleDim}, nameCell(u.Login), cell{last, styleDim}, state)
	return nil
}

type conferenceJSON struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Created string   `json:"created"`
	Members []string `json:"members"`
}

// Conference writes a conference of a server, when it was made, and its members.
func (p *Printer) Conference(conference string, created time.Time, members []string) error {
	if p.options.JSON {
		return p.json(&conferenceJSON{"conference", conference, jsonSecond(created), append([]string{}, members...)})
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

type inviteJSON struct {
	Type    string `json:"type"`
	ID      int64  `json:"id,omitempty"`
	Created string `json:"created"`
	Expires string `json:"expires"`
	State   string `json:"state"`
	Login   string `json:"login,omitempty"`
}

// Invite writes an invitation.
func (p *Printer) Invite(i Invite) error {
	if p.options.JSON {
		return p.json(&inviteJSON{"invite", i.ID, jsonSecond(i.Created), jsonSecond(i.Expires), i.State, i.Login})
	}
	state := i.State
	if i.Login != "" {
		state += " by " + name(i.Login, p.options.Colour)
	}
	p.row(cell{text: strconv.FormatInt(i.ID, 10)}, cell{"made " + p.minute(i.Created), styleDim}, cell{"until " + p.minute(i.Expires), styleDim}, cell{text: state})
	return nil
}

// Failure is an error, for a person or a program.
type Failure struct {
	Kind       string `json:"kind"` // see docs/reference.md, "Exit status"
	Message    string `json:"message"`
	Status     string `json:"status,omitempty"`      // the server's, if it refused the request
	RetryAfter int64  `json:"retry_after,omitempty"` // how long the server wants us to wait, in seconds
	Hint       string `json:"hint,omitempty"`        // what to do about it
}

// WriteFailure writes a failure: in text a line "PROGRAM: MESSAGE" and a line "hint: …" if
// there is a hint; in JSON one object on one line.
func WriteFailure(w io.Writer, program string, f Failure, asJSON, colour bool) error {
	f.Message, f.Hint = WithoutTokens(f.Message), WithoutTokens(f.Hint)
	if asJSON {
		return writeJSON(w, map[string]any{"error": f})
	}
	text := styled(program+":", styleError, colour) + " " + Line(f.Message) + "\n"
	if f.Hint != "" {
		text += styled("hint:", styleBold, colour) + " " + Line(f.Hint) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
