package output

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/build"
	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestResultsAsJSONAndAsText(t *testing.T) {
	yes, no := true, false
	account := Account{Profile: "default", Server: "ws://h/", Login: "alice", Store: "file", Credentials: "token", ServerVersion: "skarod/1", Extensions: []string{"nonce"}, RoundTrip: 1500 * time.Microsecond}
	info := build.Info{Program: "skarod", Version: "1.2.3", Commit: "c6e7", Date: at, Modified: true, Go: "go1.26", OS: "linux", Arch: "arm64"}
	for _, c := range []struct {
		print      func(*Printer) error
		json, text string
	}{
		{func(p *Printer) error {
			return p.Contact(proto.Contact{Login: "bob", Name: "Bob B.", Online: &yes, Extra: proto.ExtraOf(map[string]any{"x": int64(1)})})
		}, `{"type":"contact","login":"bob","name":"Bob B.","online":true,"extra":{"x":1}}`, "bob  online  Bob B."},
		{func(p *Printer) error { return p.Contact(proto.Contact{Login: "bob", Online: &no}) }, `{"type":"contact","login":"bob","online":false}`, "bob  offline"},
		{func(p *Printer) error { return p.Contact(proto.Contact{}) }, `{"type":"contact","login":""}`, `""  -`},
		{
			func(p *Printer) error {
				return p.Contact(proto.Contact{Login: "ops", Extra: proto.ExtraOf(map[string]any{"conference": true})})
			},
			`{"type":"contact","login":"ops","extra":{"conference":true}}`, "ops  conference",
		},
		{
			func(p *Printer) error { return p.Conference("ops", at.Add(time.Millisecond), []string{"alice", "bob"}) },
			`{"type":"conference","name":"ops","created":"2016-05-15T12:00:00Z","members":["alice","bob"]}`, "2016-05-15 12:00  ops  alice  bob",
		},
		{func(p *Printer) error { return p.Conference("ops", at, nil) }, `{"type":"conference","name":"ops","created":"2016-05-15T12:00:00Z","members":[]}`, "2016-05-15 12:00  ops  -"},
		{func(p *Printer) error { return p.Sent(43, proto.Date{Time: at}, "bob", nil) }, `{"type":"sent","id":43,"date":"2016-05-15T12:00:00Z","to":"bob"}`, "sent to bob"},
		{func(p *Printer) error { return p.Sent(0, proto.Date{}, "bob", proto.ExtraOf(map[string]any{"q": "1"})) }, `{"type":"sent","to":"bob","extra":{"q":"1"}}`, "sent to bob"},
		{
			func(p *Printer) error {
				return p.Spooled(Spooled{ID: 7, Date: at, To: "bob", State: "waiting", Server: "ws://h/", Login: "alice", Reason: "no\nroute"})
			},
			`{"type":"spooled","id":7,"date":"2016-05-15T12:00:00Z","to":"bob","state":"waiting","server":"ws://h/","login":"alice","reason":"no\u000aroute"}`, `spooled for bob as 7: no\nroute`,
		},
		{
			func(p *Printer) error {
				return p.SpoolRow(Spooled{ID: 7, Date: at, Attempted: at, To: "bob", State: "attempted", Server: "ws://h/", Login: "alice", Reason: "lost", Message: &Outgoing{To: "bob", Body: "a\nb", Key: "k"}})
			},
			`{"type":"spooled","id":7,"date":"2016-05-15T12:00:00Z","to":"bob","state":"attempted","server":"ws://h/","login":"alice","attempted":"2016-05-15T12:00:00Z","reason":"lost","message":{"to":"bob","body":"a\u000ab","key":"k"}}`,
			"7  2016-05-15 12:00  alice  bob  attempted  a",
		},
		{
			func(p *Printer) error {
				return p.SpoolRow(Spooled{ID: 7, Date: at, To: "bob", State: "refused", Decide: true, Login: "alice", Reason: "404", Message: &Outgoing{To: "bob", Body: "a"}})
			},
			`{"type":"spooled","id":7,"date":"2016-05-15T12:00:00Z","to":"bob","state":"refused","server":"","login":"alice","reason":"404","message":{"to":"bob","body":"a"}}`,
			"7  2016-05-15 12:00  alice  bob  refused  404",
		},
		{func(p *Printer) error { return p.Dropped(Spooled{ID: 7, To: "bob", State: "refused"}) }, `{"type":"dropped","id":7,"to":"bob","state":"refused","server":"","login":""}`, "dropped 7 to bob"},
		{func(p *Printer) error { return p.RegisterType("open") }, `{"type":"register_type","register_type":"open"}`, "open"},
		{
			func(p *Printer) error { return p.Account(account) },
			`{"type":"account","profile":"default","server":"ws://h/","login":"alice","store":"file","credentials":"token","server_version":"skarod/1","extensions":["nonce"],"rtt_ms":1.5}`,
			"profile:         default\nserver:          ws://h/\nlogin:           alice\nstore:           file\ncredentials:     token\nserver version:  skarod/1\nextensions:      nonce\nround trip:      1.5ms",
		},
		{
			func(p *Printer) error { return p.Version(info) },
			`{"type":"version","program":"skarod","version":"1.2.3","commit":"c6e7","date":"2016-05-15T12:00:00Z","modified":true,"go":"go1.26","os":"linux","arch":"arm64"}`,
			"skarod 1.2.3\ncommit:      c6e7, and changes to it\ndate:        2016-05-15T12:00:00Z\nbuilt with:  go1.26\nbuilt for:   linux/arm64",
		},
		{
			func(p *Printer) error {
				return p.Version(build.Info{Program: "skarod", Version: "dev", Go: "go1.26", OS: "linux", Arch: "arm64"})
			},
			`{"type":"version","program":"skarod","version":"dev","go":"go1.26","os":"linux","arch":"arm64"}`,
			"skarod dev\nbuilt with:  go1.26\nbuilt for:   linux/arm64",
		},
	} {
		if got := printed(t, Options{JSON: true}, c.print); got != c.json+"\n" {
			t.Errorf("got %s want %s", got, c.json)
		}
		if got := printed(t, Options{}, c.print); got != c.text+"\n" {
			t.Errorf("got %q want %q", got, c.text)
		}
	}
}

func TestPushAsJSONAndAsText(t *testing.T) {
	for _, c := range []struct {
		fields     map[string]any
		json, text string
	}{
		{map[string]any{"type": "info", "info": "all\x1b is well"}, `{"type":"info","info":"all\u001b is well"}`, `*** info: all\x1b is well`},
		{map[string]any{"type": "error", "info": "lost", "code": 7}, `{"type":"error","info":"lost","extra":{"code":7}}`, `*** error: lost {"code":7}`},
		{map[string]any{"type": "info", "info": 7}, `{"type":"info","extra":{"info":7}}`, `*** push info {"info":7}`},
		{map[string]any{"type": "changed_user_data"}, `{"type":"push","name":"changed_user_data"}`, `*** push changed_user_data`},
		{map[string]any{"type": "x\ny", "info": "z"}, `{"type":"push","name":"x\u000ay","extra":{"info":"z"}}`, `*** push x\ny {"info":"z"}`},
	} {
		b, err := proto.Encode(c.fields)
		if err != nil {
			t.Fatal(err)
		}
		f, err := proto.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		for json, want := range map[bool]string{true: c.json, false: c.text} {
			var out bytes.Buffer
			p := NewPrinter(&out, Options{JSON: json})
			if err := p.Push(f); err != nil {
				t.Error(err)
			}
			if err := p.Flush(); err != nil || out.String() != want+"\n" {
				t.Errorf("%v: %s, %v, not %s", c.fields, &out, err, want)
			}
		}
	}
}

func TestWriteFailureAsJSONAndAsText(t *testing.T) {
	f := Failure{Kind: "refused", Message: "send to bob: no\nsuch \x1b[1muser", Status: "404", Hint: "look"}
	for _, c := range []struct {
		json, colour bool
		want         string
	}{
		{true, true, `{"error":{"kind":"refused","message":"send to bob: no\u000asuch \u001b[1muser","status":"404","hint":"look"}}` + "\n"},
		{false, false, "skaroctl: send to bob: no\\nsuch \\x1b[1muser\nhint: look\n"},
		{false, true, "\x1b[1;31mskaroctl:\x1b[0m send to bob: no\\nsuch \\x1b[1muser\n\x1b[1mhint:\x1b[0m look\n"},
	} {
		var b strings.Builder
		if err := WriteFailure(&b, "skaroctl", f, c.json, c.colour); err != nil || b.String() != c.want {
			t.Errorf("got %q want %q (%v)", b.String(), c.want, err)
		}
	}
}

// A reply is printed as it came, even if its fields have other types than they should.
func TestReplyIsPrintedAsItCame(t *testing.T) {
	for _, c := range []struct {
		fields map[string]any
		want   string
	}{
		{map[string]any{"for": "x", "status": "200 OK"}, `"for":"x","id":3,"status":"200 OK"`},
		{map[string]any{"for": 7, "status": 200}, `"for":7,"id":3,"status":200`},
		{map[string]any{}, `"id":3`},
		{map[string]any{"for": "", "status": ""}, `"for":"","id":3,"status":""`},
		{map[string]any{"for": nil, "status": []any{1.5, nil}}, `"for":null,"id":3,"status":[1.5,null]`},
		{map[string]any{"for": map[string]any{"a": []byte("b")}, "status": false, "x": 1}, `"for":{"a":"Yg=="},"id":3,"status":false,"x":1`},
	} {
		c.fields["type"], c.fields["id"] = "request", 3
		b, err := proto.Encode(c.fields)
		if err != nil {
			t.Fatal(err)
		}
		f, err := proto.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		r, err := proto.ParseReply(f)
		if err != nil {
			t.Fatal(err)
		}
		got := printed(t, Options{}, func(p *Printer) error { return p.Reply(r) })
		if want := `{"type":"request",` + c.want + "}\n"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
