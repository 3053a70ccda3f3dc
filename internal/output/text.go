package output

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// nameColours are colours of the 256-colour palette that are easy to tell apart and have a
// contrast of at least 4:1 with black and with white (WCAG 2.1, relative luminance).
var nameColours = [...]uint8{27, 28, 29, 30, 31, 62, 64, 97, 99, 130, 131, 132, 161, 163}

const (
	styleDim   = "2"
	styleBold  = "1"
	styleError = "1;31"
)

// UseColour reports whether a stream gets colour. The mode is auto, always or never; auto
// means a terminal that is not dumb, and follows NO_COLOR, CLICOLOR and CLICOLOR_FORCE
// (no-color.org, bixense.com/clicolors).
func UseColour(mode string, terminal bool, getenv func(string) string) bool {
	switch {
	case mode == "always":
		return true
	case mode == "never" || getenv("NO_COLOR") != "":
		return false
	case getenv("CLICOLOR_FORCE") != "" && getenv("CLICOLOR_FORCE") != "0":
		return true
	}
	return terminal && getenv("CLICOLOR") != "0" && getenv("TERM") != "dumb"
}

// styled wraps text in a style (ECMA-48, SGR), if there is a style and colour is wanted.
func styled(text, style string, colour bool) string {
	if !colour || text == "" || style == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// nameCell is a login, made safe. The same login always has the same colour.
func nameCell(login string) cell {
	h := fnv.New32a()
	h.Write([]byte(login))
	c := nameColours[h.Sum32()%uint32(len(nameColours))]
	return cell{Login(login), "38;5;" + strconv.Itoa(int(c))}
}

// name is nameCell on a line of text.
func name(login string, colour bool) string {
	c := nameCell(login)
	return styled(c.text, c.style, colour)
}

// dateText is a date for people: the time alone if it is today, otherwise the day too.
func (p *Printer) dateText(d proto.Date) string {
	switch {
	case !d.Time.IsZero():
		now := p.options.Now()
		t := d.Time.In(now.Location())
		if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
			return t.Format("15:04")
		}
		return p.minute(t)
	case d.Raw != nil:
		return Line(shownValue(d.Raw))
	}
	return ""
}

// minute is a date with its day.
func (p *Printer) minute(t time.Time) string {
	return t.In(p.options.Now().Location()).Format("2006-01-02 15:04")
}

const (
	bodyIndent = "    "
	maxTitle   = 512 // bytes of a title, in text
)

// messageText writes a message for people. The title has a line of its own, before the body.
// Every line of the body after the first is indented, so that no body can look like the line of
// another message.
func (p *Printer) messageText(m proto.Message, own string) error {
	var b strings.Builder
	colour, date := p.options.Colour, p.dateText(m.Date)
	// A terminal that orders text by its direction would take a name from right to left and the
	// body after it for one text, and show the body first. Marks around such a name keep the text
	// before the body in its place. They are never next to a letter of the name, so that a user
	// who copies the name copies no mark.
	mark := ""
	if p.options.Terminal && rightToLeft(date+m.Conference+m.From+m.To) {
		mark = leftToRight
	}
	if date != "" {
		b.WriteString(styled(date, styleDim, colour) + " " + mark)
	}
	if m.Conference != "" {
		b.WriteString("[" + name(m.Conference, colour) + "]" + mark + " ")
	}
	b.WriteString(name(m.From, colour))
	if m.From == own && m.Conference == "" {
		b.WriteString(" →" + mark + " " + name(m.To, colour))
	}
	b.WriteString(":" + mark + " ")
	if urgency := m.Fields.Urgency(); urgency != "" {
		b.WriteString("[" + urgency + "] ")
	}
	if title := m.Fields.Title(); title != "" {
		b.WriteString(styled(cut(title, maxTitle, Line), styleBold, colour) + "\n" + bodyIndent)
	}
	if err := p.text(b.String()); err != nil {
		return err
	}
	writeSafe(p.w, bodyText(m), true, bodyIndent)
	return p.w.WriteByte('\n')
}

// bodyText is the body of a message for people. Other servers pass on bodies that are not
// text; JSON has all of them, in extra.
func bodyText(m proto.Message) string {
	switch body := m.Extra.Value("body").(type) {
	case nil:
		return m.Body
	case []byte:
		return fmt.Sprintf("[binary, %d bytes]", len(body))
	default:
		return "[not text: " + shownValue(body) + "]"
	}
}

// pushText is a push that is not a message, for people. It can't be mistaken for a message:
// no date and no login looks like its start.
func (p *Printer) pushText(f proto.Frame) string {
	typ, known := f.Type(), []string{"type"}
	s := "*** "
	if info, ok := f.TextOK("info"); ok && (typ == proto.TypeInfo || typ == proto.TypeError) {
		s += Line(typ) + ": " + field(info)
		known = append(known, "info")
	} else {
		s += "push " + field(typ)
	}
	if extra := f.Extra(known...); extra != nil {
		s += " " + Line(shownValue(extra.Values()))
	}
	return styled(s, styleDim, p.options.Colour) + "\n"
}

// contactRow ends with the name that users choose for themselves: there it can't look like
// another column.
func contactRow(c proto.Contact) []cell {
	online := cell{"-", styleDim}
	switch {
	case c.IsConference():
		online.text = "conference"
	case c.Online != nil && *c.Online:
		online = cell{text: "online"}
	case c.Online != nil:
		online.text = "offline"
	}
	return []cell{nameCell(c.Login), online, {text: field(c.Name)}}
}
