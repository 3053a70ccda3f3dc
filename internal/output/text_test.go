package output

import (
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/bidi"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestNoBodyLooksLikeAnotherMessage(t *testing.T) {
	today, before := proto.Date{Time: at}, proto.Date{Time: at.Add(-24 * time.Hour)}
	for _, c := range []struct {
		m    proto.Message
		want string
	}{
		{proto.Message{Date: today, From: "bob", To: "alice", Body: "hi"}, "12:00 bob: hi\n"},
		{proto.Message{Date: before, From: "alice", To: "bob", Body: "hi"}, "2016-05-14 12:00 alice → bob: hi\n"},
		{proto.Message{From: "bob", Conference: "ops", To: "ops", Body: "hi"}, "[ops] bob: hi\n"},
		{proto.Message{Date: proto.Date{Raw: "a\x1bb"}, From: "bob", Body: ""}, `"a\u001bb" bob: ` + "\n"},
		// A body that is not text does not look like an empty message (mosquitto #2213).
		{proto.Message{From: "bob", Extra: proto.ExtraOf(map[string]any{"body": []byte("\x00\xff\n 42")})}, "bob: [binary, 6 bytes]\n"},
		{proto.Message{From: "bob", Extra: proto.ExtraOf(map[string]any{"body": []any{"a\nb", 1}})}, `bob: [not text: ["a\u000ab",1]]` + "\n"},
		{proto.Message{From: "bob", Extra: proto.ExtraOf(map[string]any{"body": nil})}, "bob: \n"},
		// Neither a body nor a login can look like the line of another message.
		{proto.Message{From: "bob", Body: "x\n12:00 carol: forged\r12:01\n"}, "bob: x\n    12:00 carol: forged\\r12:01\n    \n"},
		{proto.Message{From: "bob\n12:00 carol", Body: "x"}, `"bob\n12:00 carol": x` + "\n"},
		{withFields(map[string]any{"title": "Disk full", "urgency": "high"}), "bob: [high] Disk full\n    x\n    y\n"},
		{withFields(map[string]any{"title": "Disk full"}), "bob: Disk full\n    x\n    y\n"},
		{withFields(map[string]any{"urgency": "normal", "tags": []string{"a"}}), "bob: [normal] x\n    y\n"},
		{withFields(map[string]any{"title": "t\n12:00 carol: forged\x1b[1A\u202e"}), `bob: t\n12:00 carol: forged\x1b[1A\u202e` + "\n    x\n    y\n"},
		{withFields(map[string]any{"title": strings.Repeat("é", 300)}), "bob: " + strings.Repeat("é", 256) + "… (600 bytes)\n    x\n    y\n"},
		{withFields(map[string]any{"title": 5, "urgency": "high] 12:00 carol: x"}), "bob: x\n    y\n"},
		{proto.Message{From: "b", Body: "\x1b]52;c;eA==\a\u009b31m\u202e\u202e tab\there"}, `b: \x1b]52;c;eA==\x07\x9b31m\u202e\u202e tab` + "\there\n"},
	} {
		if got := printed(t, Options{}, func(p *Printer) error { return p.Message(c.m, "alice") }); got != c.want {
			t.Errorf("got %q want %q", got, c.want)
		}
	}
	if got := printed(t, Options{Colour: true}, func(p *Printer) error { return p.Message(proto.Message{From: "bob", Body: "\x1b[31m"}, "alice") }); strings.Count(got, "\x1b") != 2 {
		t.Errorf("escapes other than our own: %q", got)
	}
}

// withFields is a message with fields.
func withFields(values map[string]any) proto.Message {
	fields, err := proto.NewFields(values)
	if err != nil {
		panic(err)
	}
	return proto.Message{From: "bob", To: "alice", Body: "x\ny", Fields: fields}
}

// The contrast is that of WCAG 2.1, 1.4.3.
func TestNameColoursHaveEnoughContrast(t *testing.T) {
	level := []float64{0, 95, 135, 175, 215, 255}
	linear := func(c float64) float64 {
		if c /= 255; c > 0.03928 {
			return math.Pow((c+0.055)/1.055, 2.4)
		}
		return c / 12.92
	}
	for _, c := range nameColours {
		n := int(c) - 16
		l := 0.2126*linear(level[n/36]) + 0.7152*linear(level[n/6%6]) + 0.0722*linear(level[n%6])
		if white, black := 1.05/(l+0.05), (l+0.05)/0.05; white < 4 || black < 4 {
			t.Errorf("colour %d: contrast %.2f with white, %.2f with black", c, white, black)
		}
	}
	if name("bob", true) == name("alice", true) || name("bob", false) != "bob" {
		t.Error("names and their colours")
	}
}

func TestUseColourFollowsTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		mode     string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"auto", true, nil, true}, {"auto", false, nil, false},
		{"always", false, map[string]string{"NO_COLOR": "1"}, true}, {"never", true, map[string]string{"CLICOLOR_FORCE": "1"}, false},
		{"auto", true, map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, false}, {"auto", false, map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"auto", false, map[string]string{"CLICOLOR_FORCE": "0"}, false}, {"auto", true, map[string]string{"CLICOLOR": "0"}, false},
		{"auto", true, map[string]string{"TERM": "dumb"}, false},
	} {
		if got := UseColour(c.mode, c.terminal, func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// The colour of a login is the same in every version and on every machine.
func TestALoginKeepsItsColour(t *testing.T) {
	for login, want := range map[string]string{
		"alice": "163", "bob": "131", "carol": "29", "dave": "97", "ops": "132", "": "130", "محمد": "130", "李小龙": "31", "a b": "161",
	} {
		if got := nameCell(login).style; got != "38;5;"+want {
			t.Errorf("%q has the colour %s, not %s", login, got, want)
		}
	}
}

// rightward reports for each character of a line whether a terminal shows it from left to
// right, by the algorithm of Unicode for a paragraph from left to right.
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

// On a terminal that orders text by its direction, the parts of a line stay where they are,
// and every text stays in one piece, byte for byte.
func TestRightToLeftTextStaysInItsPlace(t *testing.T) {
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
		{func(p *Printer) error { return p.User(User{Login: hebrew, Created: at, Disabled: true}) }, []string{"2016-05-15 12:00", hebrew, "never", "disabled"}, true},
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
			// A character between two texts belongs to the line, and has its direction.
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
