package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

func TestFilterWants(t *testing.T) {
	message := func(from, to, conference string) session.Event {
		return session.Event{Message: &proto.Message{From: from, To: to, Conference: conference}, Own: "alice"}
	}
	titled := func(urgency string, tags ...string) session.Event {
		e := message("dave", "alice", "")
		e.Message.Fields = fieldsOf(t, map[string]any{"urgency": urgency, "tags": tags})
		return e
	}
	events := map[string]session.Event{
		"bob":            message("bob", "alice", ""),
		"carol":          message("carol", "alice", ""),
		"bob in ops":     message("bob", "ops", "ops"),
		"own to bob":     message("alice", "bob", ""),
		"own to ops":     message("alice", "ops", "ops"),
		"user named ops": message("ops", "alice", ""),
		"high disk":      titled("high", "disk", "web1"),
		"high":           titled("high"),
		"push":           {Push: proto.Frame{}, Own: "alice"},
	}
	for name, c := range map[string]struct {
		o    listenOptions
		want []string
	}{
		"everything":          {listenOptions{}, []string{"bob", "carol", "bob in ops", "user named ops", "high", "high disk"}},
		"own":                 {listenOptions{own: true}, []string{"bob", "carol", "bob in ops", "user named ops", "high", "high disk", "own to bob", "own to ops"}},
		"events":              {listenOptions{events: true}, []string{"bob", "carol", "bob in ops", "user named ops", "high", "high disk", "push"}},
		"from":                {listenOptions{from: []string{"bob"}}, []string{"bob", "bob in ops"}},
		"from, own":           {listenOptions{from: []string{"bob"}, own: true}, []string{"bob", "bob in ops"}},
		"from ourselves":      {listenOptions{from: []string{"alice", "carol"}}, []string{"carol", "own to bob", "own to ops"}},
		"conference":          {listenOptions{conferences: []string{"ops"}}, []string{"bob in ops"}},
		"conference, own":     {listenOptions{conferences: []string{"ops"}, own: true}, []string{"bob in ops", "own to ops"}},
		"conference and from": {listenOptions{conferences: []string{"ops"}, from: []string{"carol"}}, nil},
		"name of a person":    {listenOptions{conferences: []string{"bob"}}, nil},
		"person, own":         {listenOptions{conferences: []string{"bob"}, own: true}, []string{"own to bob"}},
		"match":               {listenOptions{match: []string{"urgency=high"}, events: true}, []string{"high", "high disk", "push"}},
		"match all":           {listenOptions{match: []string{"urgency=high", "tags=disk", "tags=web1"}}, []string{"high disk"}},
		"match and from":      {listenOptions{match: []string{"urgency=high"}, from: []string{"bob"}}, nil},
		"match nothing":       {listenOptions{match: []string{"urgency="}}, nil},
		"another conference":  {listenOptions{conferences: []string{"dev"}}, nil},
	} {
		want := map[string]bool{}
		for _, event := range c.want {
			want[event] = true
		}
		f := newFilter(&c.o, "ws://x/", nil)
		for event, e := range events {
			if f.wants(e) != want[event] {
				t.Errorf("%s: %s: %v", name, event, !want[event])
			}
		}
	}
}

// A server without the extension causes one notice, and another one if a server with it
// came between.
func TestFilterTellsOfServersWithoutFields(t *testing.T) {
	for _, c := range []struct {
		match []string
		want  int
	}{{nil, 0}, {[]string{"a=b"}, 2}} {
		notices := 0
		f := newFilter(&listenOptions{match: c.match}, "ws://x/", func(string, ...any) { notices++ })
		for _, supported := range []bool{true, false, false, true, false} {
			f.checkFields(supported)
		}
		if notices != c.want {
			t.Errorf("%q: %d notices", c.match, notices)
		}
	}
}

func TestParseMatchesRefusesWhatIsNoField(t *testing.T) {
	for given, want := range map[string]string{
		"": "is not KEY=VALUE", "urgency": `--match "urgency" is not KEY=VALUE`, "=x": "the name of a field is empty", "Urgency=x": "has no valid name", "a=\xff": "not UTF-8",
	} {
		if _, err := parseMatches([]string{"a=b=c", given}); err == nil || !strings.Contains(err.Error(), want) || kindOf(err) != cli.KindUsage {
			t.Errorf("%q: %v", given, err)
		}
	}
}

// At each connection the filter adopts the server's spelling. It leaves the options alone,
// and gives each notice once.
func TestFilterResolvesNames(t *testing.T) {
	online := true
	refused := func(status string) error { return session.Refused("ws://x/", proto.TypeGetUserData, status, "") }
	type answer struct {
		found proto.Contact
		err   error
	}
	for name, c := range map[string]struct {
		o       listenOptions
		answers []answer // at one connection after the other
		want    string   // the name at the end
		notices []string
	}{
		"another spelling": {listenOptions{from: []string{"BOB"}}, []answer{{found: proto.Contact{Login: "bob"}}, {found: proto.Contact{Login: "bob"}}}, "bob", nil},
		"not there": {
			listenOptions{from: []string{"BOB"}}, []answer{{err: refused("404 Not Found")}, {err: refused("404 Not Found")}}, "BOB",
			[]string{`ws://x/ has no user "BOB" yet`},
		},
		"gone": {
			listenOptions{from: []string{"BOB"}}, []answer{{found: proto.Contact{Login: "bob"}}, {err: refused("404 Not Found")}}, "bob",
			[]string{`ws://x/ no longer has a user "bob"`},
		},
		"there at last": {listenOptions{from: []string{"bob"}}, []answer{{err: refused("404 Not Found")}, {found: proto.Contact{Login: "bob"}}, {err: refused("404 Not Found")}}, "bob", []string{
			`ws://x/ has no user "bob" yet`, `ws://x/ no longer has a user "bob"`,
		}},
		"not for us": {
			listenOptions{conferences: []string{"ops"}}, []answer{{err: refused("403 Forbidden")}}, "ops",
			[]string{`the conference "ops": ws://x/ answered 403 Forbidden`},
		},
		"a user": {
			listenOptions{conferences: []string{"bob"}}, []answer{{found: proto.Contact{Login: "bob", Online: &online}}}, "bob",
			[]string{`"bob" is a user: --from shows their messages`},
		},
	} {
		var notices []string
		given := fmt.Sprint(c.o)
		f := newFilter(&c.o, "ws://x/", func(format string, args ...any) { notices = append(notices, fmt.Sprintf(format, args...)) })
		for _, a := range c.answers {
			err := f.respell(t.Context(), func(_ context.Context, login string) (proto.Contact, error) {
				if a.err != nil {
					return proto.Contact{Login: login}, a.err
				}
				return a.found, nil
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := append(f.from, f.conferences...)[0].name; got != c.want || !reflect.DeepEqual(notices, c.notices) {
			t.Errorf("%s: the name is %s, the notices are %q", name, got, notices)
		}
		if fmt.Sprint(c.o) != given {
			t.Errorf("%s: the options are %+v now", name, c.o)
		}
	}
}

// Only a refusal of the name is a matter of the filter; other errors end the connection.
func TestFilterReturnsOtherErrors(t *testing.T) {
	for _, want := range []error{session.Refused("ws://x/", proto.TypeGetUserData, "503 Service Unavailable", ""), errors.New("lost")} {
		f := newFilter(&listenOptions{from: []string{"bob"}}, "ws://x/", func(format string, args ...any) { t.Errorf(format, args...) })
		err := f.respell(t.Context(), func(context.Context, string) (proto.Contact, error) { return proto.Contact{Login: "bob"}, want })
		if !errors.Is(err, want) {
			t.Errorf("%v, not %v", err, want)
		}
	}
}
