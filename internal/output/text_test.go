package output

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/bidi"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// TestLogin: logins that look the same are the same.
func TestLogin(t *testing.T) {
	for login, want := range map[string]string{
		"bob": "bob", "b.o-b+1@example.org": "b.o-b+1@example.org", "محمد": "محمد", "李小龙": "李小龙", "josé": "josé", "jose\u0301": "jose\u0301", "👋": "👋",
		`CORP\bob`: `CORP\bob`, `it's"so"`: `it's"so"`, `bob\u200b`: `bob\u200b`,
		"": `""`, "bob: yes": `"bob: yes"`, "bob ": `"bob "`, `"bob"`: `"\"bob\""`, `a "b" \`: `"a \"b\" \\"`,
		"bob\n\r\t": `"bob\n\r\t"`, "b\x1bob": `"b\x1bob"`, "b\u009bob": `"b\x9bob"`, "\u202ebob": `"\u202ebob"`, "b\xffob": "b\ufffdob",
		"bob\u200b": `"bob\u200b"`, "bo\u200cb": `"bo\u200cb"`, "bo\u200db": `"bo\u200db"`, "bob\u200e": `"bob\u200e"`, "bob\u2060": `"bob\u2060"`,
		"\ufeffbob": `"\ufeffbob"`, "b\u00adob": `"b\xadob"`, "bob\ufe0f": `"bob\ufe0f"`, "bob\u034f": `"bob\u034f"`, "bob\u180e": `"bob\u180e"`,
		"bob\u3164": `"bob\u3164"`, "bob\u2800": `"bob\u2800"`, "bob\u00a0": `"bob\xa0"`, "bob\u3000": `"bob\u3000"`,
		"bob\U000e0041": `"bob\U000e0041"`, "bob\U000e0100": `"bob\U000e0100"`, "bob\ue000": `"bob\ue000"`, "\u0338bob": `"\u0338bob"`,
	} {
		if got := Login(login); got != want {
			t.Errorf("%+q: %s, not %s", login, got, want)
		}
	}
	// Whatever Unicode says that a display ignores is seen.
	for r := rune(0); r <= unicode.MaxRune; r++ {
		ignored := unicode.In(r, unicode.Cf, unicode.Cc, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
		if ignored && strings.ContainsRune(Login("bob"+string(r)), r) {
			t.Errorf("U+%04X can't be seen", r)
		}
	}
}

// TestUnseenInProse: what writing needs is left alone, what can only hide is not.
func TestUnseenInProse(t *testing.T) {
	const scotland = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
	for _, s := range []string{"می\u200cخواهم", "क्\u200dष", "👩‍👩‍👧 ❤️", "co\u00adoperate", "\ufeffhello\u200b\u2060", "\u200eשלום\u200f", scotland, scotland + scotland, "🏴"} {
		if got := Line(s); got != s {
			t.Errorf("%+q has become %+q", s, got)
		}
	}
	for s, want := range map[string]string{
		"\U000e0068\U000e0069":                               `\U000e0068\U000e0069`,
		"🏴\U000e0067\U000e0062":                              `🏴\U000e0067\U000e0062`,
		"🏴\U000e0067\U000e0062\U000e007f":                    `🏴\U000e0067\U000e0062\U000e007f`,
		scotland + "\U000e0068":                              scotland + `\U000e0068`,
		"🏴\U000e0041\U000e0042\U000e0043\U000e007f":          `🏴\U000e0041\U000e0042\U000e0043\U000e007f`,
		"🏴" + strings.Repeat("\U000e0061", 7) + "\U000e007f": "🏴" + strings.Repeat(`\U000e0061`, 7) + `\U000e007f`,
	} {
		if got := Line(s); got != want {
			t.Errorf("%+q has become %+q, not %+q", s, got, want)
		}
	}
}

func TestColumns(t *testing.T) {
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
	// Text behind a table comes behind it.
	got := printed(t, Options{}, func(p *Printer) error {
		return errors.Join(p.User("a", at), p.User("bob", at), p.RegisterType("open"), p.Contact(contacts[0]))
	})
	if want := "2016-05-15 12:00  a\n2016-05-15 12:00  bob\nopen\nbob  online  Bob B.\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// rightward is which characters of a line a terminal shows from left to right, by
// the algorithm of Unicode for a paragraph from left to right.
func rightward(t *testing.T, line string) []bool {
	t.Helper()
	var p bidi.Paragraph
	if _, err := p.SetString("x" + line); err != nil { // the x makes it left to right
		t.Fatal(err)
	}
	order, err := p.Order()
	if err != nil {
		t.Fatal(err)
	}
	var is []bool
	for i := range order.NumRuns() {
		run := order.Run(i)
		for range []rune(run.String()) {
			is = append(is, run.Direction() == bidi.LeftToRight)
		}
	}
	return is[1:]
}

// TestRightToLeft: on a terminal that orders text by its direction, the parts of a
// line stay where they are, and every text stays in one piece, byte for byte.
func TestRightToLeft(t *testing.T) {
	const hebrew, arabic, mixed = "שלום", "مرحبا", "שלוםbob12"
	date := proto.Date{Time: at}
	yes := true
	for _, c := range []struct {
		print func(*Printer) error
		texts []string // whole and in this order; a space is between two of them at least
		marks bool
	}{
		{func(p *Printer) error { return p.Message(proto.Message{Date: date, From: hebrew, Body: arabic}, "me") }, []string{"12:00", hebrew + ":", arabic}, true},
		{func(p *Printer) error { return p.Message(proto.Message{Date: date, From: hebrew, Body: "12:00"}, "me") }, []string{"12:00", hebrew + ":", "12:00"}, true},
		{func(p *Printer) error { return p.Message(proto.Message{Date: date, From: mixed, Body: "12 bob"}, "me") }, []string{"12:00", mixed + ":", "12 bob"}, true},
		{func(p *Printer) error {
			return p.Message(proto.Message{Date: date, From: hebrew, To: arabic, Body: arabic}, hebrew)
		}, []string{"12:00", hebrew, "→", arabic + ":", arabic}, true},
		{func(p *Printer) error {
			return p.Message(proto.Message{Date: date, From: arabic, Conference: hebrew, Body: hebrew}, "me")
		}, []string{"12:00", "[" + hebrew + "]", arabic + ":", hebrew}, true},
		{func(p *Printer) error {
			return p.Message(proto.Message{Date: proto.Date{Raw: hebrew}, From: "12", Body: hebrew}, "me")
		}, []string{`"` + hebrew + `"`, "12:", hebrew}, true},
		{func(p *Printer) error {
			return p.Message(proto.Message{Date: date, From: "bob", Body: hebrew + " 12 " + arabic}, "me")
		}, []string{"12:00", "bob:", hebrew + " 12 " + arabic}, false},
		{func(p *Printer) error { return p.Message(proto.Message{Date: date, From: "12", Body: hebrew}, "me") }, []string{"12:00", "12:", hebrew}, false},
		{func(p *Printer) error { return p.Contact(proto.Contact{Login: hebrew, Name: arabic, Online: &yes}) }, []string{hebrew, "online", arabic}, true},
		{func(p *Printer) error { return p.Contact(proto.Contact{Login: hebrew, Name: arabic}) }, []string{hebrew, "-", arabic}, true},
		{func(p *Printer) error { return p.User(hebrew, at) }, []string{"2016-05-15 12:00", hebrew}, false},
		{func(p *Printer) error { return p.Conference(arabic, at, []string{hebrew, mixed, "bob"}) }, []string{"2016-05-15 12:00", arabic, hebrew, mixed, "bob"}, true},
		{func(p *Printer) error { return p.Account(Account{Login: hebrew}) }, []string{"login:", hebrew}, false},
		{func(p *Printer) error { return p.Sent(1, date, hebrew, nil) }, []string{"sent to", hebrew}, false},
	} {
		line := strings.TrimSuffix(printed(t, Options{Terminal: true}, c.print), "\n")
		right := rightward(t, line)
		rest := line
		for i, text := range c.texts {
			between, after, ok := strings.Cut(rest, text)
			if !ok || strings.Trim(between, " "+leftToRight) != "" {
				t.Errorf("%+q: no %q where it belongs", line, text)
				break
			}
			// What is between two texts belongs to the line, and is in its direction.
			from := len([]rune(line)) - len([]rune(rest))
			for _, r := range right[from : from+len([]rune(between))] {
				if !r {
					t.Errorf("%+q: %q is taken for one text with what is before it", line, text)
				}
			}
			if i > 0 && strings.HasPrefix(after, leftToRight) != (strings.HasSuffix(text, ":") && c.marks || strings.HasSuffix(text, "→") || strings.HasSuffix(text, "]")) {
				t.Errorf("%+q: a mark is next to %q, and would be copied with it", line, text)
			}
			rest = after
		}
		if got := strings.Contains(line, leftToRight); got != c.marks || rest != "" {
			t.Errorf("%+q: marks %v, rest %q", line, got, rest)
		}
		// A pipe gets the same without marks.
		if piped := printed(t, Options{}, c.print); piped != strings.ReplaceAll(line, leftToRight, "")+"\n" {
			t.Errorf("a pipe gets %+q, not %+q", piped, line)
		}
	}
}

// TestRightToLeftBlocks: every character of a script from right to left is one for
// rightToLeft.
func TestRightToLeftBlocks(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		p, _ := bidi.LookupRune(r)
		if c := p.Class(); (c == bidi.R || c == bidi.AL || c == bidi.AN) && !rightToLeft(string(r)) {
			t.Errorf("U+%04X is from right to left", r)
		}
	}
	if rightToLeft("bob 12 → 李小龙 ❤️ αβγ\u200e") {
		t.Error("that is from left to right")
	}
}

// TestColoursStay: somebody's colour is the same in every version and on every
// machine.
func TestColoursStay(t *testing.T) {
	for login, want := range map[string]string{
		"alice": "163", "bob": "131", "carol": "29", "dave": "97", "ops": "132", "": "130", "محمد": "130", "李小龙": "31", "a b": "161",
	} {
		if got := nameCell(login).style; got != "38;5;"+want {
			t.Errorf("%q has the colour %s, not %s", login, got, want)
		}
	}
}

// A token is not shown, but what a token begins with is: an error says it.
func TestWithoutTokens(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"no user skaro-token-1:abC-_9":    "no user [secret]",
		"skaro-token-1:a.skaro-token-1:":  "[secret].skaro-token-1:",
		`it starts with "skaro-token-1:"`: `it starts with "skaro-token-1:"`,
	} {
		if got := WithoutTokens(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}
