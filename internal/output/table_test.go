package output

import (
	"errors"
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
		return errors.Join(p.User("a", at), p.User("bob", at), p.RegisterType("open"), p.Contact(contacts[0]))
	})
	if want := "2016-05-15 12:00  a\n2016-05-15 12:00  bob\nopen\nbob  online  Bob B.\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
