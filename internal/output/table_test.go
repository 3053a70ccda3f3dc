package output

import (
	"errors"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestColumnsAlignOnATerminal(t *testing.T) {
	yes, no := true, false
	contacts := []proto.Contact{
		{Login: "bob", Name: "Bob B.", Online: &yes}, {Login: "李小龙", Name: "Bruce", Online: &no}, {Login: "jose\u0301", Online: &yes},
		{Login: "👩🏽", Name: "online"}, {Login: "a b", Name: "  x", Online: &no}, {Login: "שלום", Name: "שם", Online: &yes},
	}
	print := func(p *Printer) error {
		for _, c := range contacts {
			if err := p.Contact(c); err != nil {
				return err
			}
		}
		return nil
	}
	const want = "bob     online   Bob B.\n李小龙  offline  Bruce\njose\u0301    online\n👩🏽      -        online\n\"a b\"   offline    x\nשלום    online   שם\n"
	if got := printed(t, Options{}, print); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	coloured := printed(t, Options{Colour: true}, print)
	if got := ours.ReplaceAllString(coloured, ""); got != want || got == coloured {
		t.Errorf("in colour, the columns are\n%s", got)
	}
	// Text that is written after a table comes after it.
	got := printed(t, Options{}, func(p *Printer) error {
		return errors.Join(p.User(User{Login: "a", Created: at}), p.User(User{Login: "bob", Created: at, LastLogin: at, Online: true}), p.RegisterType("open"), p.Contact(contacts[0]))
	})
	if want := "2016-05-15 12:00  a    never             -\n2016-05-15 12:00  bob  2016-05-15 12:00  online\nopen\nbob  online  Bob B.\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// One row that is wide does not pad the others, and a login that no login can be is cut, but
// not in JSON.
func TestWideCellDoesNotPadOtherRows(t *testing.T) {
	yes := true
	long := strings.Repeat("é", proto.MaxLogin)
	print := func(p *Printer) error {
		return errors.Join(
			p.Contact(proto.Contact{Login: strings.Repeat("a", maxColumn), Online: &yes}), p.Contact(proto.Contact{Login: strings.Repeat("b", maxColumn+1), Online: &yes}),
			p.Contact(proto.Contact{Login: "bob", Online: &yes}), p.Contact(proto.Contact{Login: long, Online: &yes}),
			p.Contact(proto.Contact{Login: strings.Repeat("c", proto.MaxLogin), Online: &yes}),
		)
	}
	want := strings.Repeat("a", maxColumn) + "  online\n" + strings.Repeat("b", maxColumn+1) + "  online\nbob" + strings.Repeat(" ", maxColumn-3) + "  online\n" +
		strings.Repeat("é", proto.MaxLogin/2) + "… (512 bytes)  online\n" + strings.Repeat("c", proto.MaxLogin) + "  online\n"
	if got := printed(t, Options{}, print); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := printed(t, Options{JSON: true}, print); !strings.Contains(got, `"login":"`+long+`"`) {
		t.Errorf("a login is cut in JSON: %.3000s", got)
	}
}

// A cut goes through no character, and a cut login is in quotes if it needs them.
func TestLoginIsCutBetweenCharacters(t *testing.T) {
	for in, want := range map[string]string{
		strings.Repeat("x", 255) + "éé":     strings.Repeat("x", 255) + "… (259 bytes)",
		"a b" + strings.Repeat("x", 254):    `"a b` + strings.Repeat("x", 253) + `"… (257 bytes)`,
		strings.Repeat("\x1b", 300):         `"` + strings.Repeat(`\x1b`, 256) + `"… (300 bytes)`,
		strings.Repeat("x", proto.MaxLogin): strings.Repeat("x", proto.MaxLogin),
	} {
		if got := Login(in); got != want {
			t.Errorf("%.20q… is %q, want %q", in, got, want)
		}
	}
}
