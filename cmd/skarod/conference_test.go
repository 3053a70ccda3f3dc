package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestConferenceParsing(t *testing.T) {
	checkParsing(t, newConferenceCreateCmd,
		parsed[conferenceOptions]{"create ops", conferenceOptions{"ops", []string{}, 1000}, true},
		parsed[conferenceOptions]{"create Ops alice bob", conferenceOptions{"Ops", []string{"alice", "bob"}, 1000}, true},
		parsed[conferenceOptions]{args: "create"},
	)
	checkParsing(t, newConferenceAddCmd,
		parsed[conferenceOptions]{"add ops alice", conferenceOptions{"ops", []string{"alice"}, 1000}, true},
		parsed[conferenceOptions]{"add --max-members 5000 ops alice", conferenceOptions{"ops", []string{"alice"}, 5000}, true},
		parsed[conferenceOptions]{args: "add ops"},
	)
	checkParsing(t, newConferenceRemoveCmd,
		parsed[conferenceOptions]{"remove ops alice", conferenceOptions{"ops", []string{"alice"}, 0}, true},
		parsed[conferenceOptions]{args: "remove ops"},
	)
	checkParsing(t, newConferenceListCmd,
		parsed[conferenceListOptions]{"list", conferenceListOptions{listOptions{"auto", false}, ""}, true},
		parsed[conferenceListOptions]{"list OPS -o json --utc", conferenceListOptions{listOptions{"json", true}, "ops"}, true},
		parsed[conferenceListOptions]{args: "list a b"},
	)
	checkParsing(t, newConferenceDeleteCmd,
		parsed[conferenceOptions]{"delete ops", conferenceOptions{"ops", []string{}, 0}, true},
		parsed[conferenceOptions]{args: "delete ops dev"},
	)
}

func TestConferenceCommandsExplainRefusals(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice", "bob", "carol")
	for _, c := range []struct {
		args string
		code int
		errs string // all of it in the first line, and the hint
	}{
		{"conference create Ops alice BOB", 0, ""},
		{"conference create dev", 0, ""},
		{"conference create OPS", 5, "create: \"ops\": it is the name of a conference\nhint: add a member with `skarod conference add ops LOGIN`"},
		{"conference create Bob", 5, "create: \"bob\": the login is taken\nhint: choose a name that no account has"},
		{"conference create new alice eve dev mallory", 5, "create: \"eve\", \"dev\", \"mallory\": no such user\nhint: run `skarod user list` to see the logins"},
		{"conference create a,b", 2, "create: a conference needs a name that could be a login: \"a,b\" can't be a login: a comma separates two logins\nhint: choose another name"},
		{"conference create x car\u202eol", 2, "create: \"car\\u202eol\" can't be a login: it may have letters, digits and most symbols, but no spaces\nhint: run `skarod user list` to see the logins"},
		{"conference create w bob,alice", 5, "create: \"bob,alice\": no such user\nhint: separate the logins by spaces: bob alice\n"},
		{"conference add ops bob, alice", 5, "add: \"bob,\": no such user\nhint: separate the logins by spaces: bob alice\n"},
		{"conference create", 2, "skarod: conference create needs NAME\nhint: write `skarod conference create NAME [LOGIN...]`"},
		{"user add ops --password-stdin", 5, "user add: \"ops\": it is the name of a conference\nhint: choose another login"}, // no password is read
		{"user passwd ops --password-stdin", 5, "user passwd: \"ops\": no such user\nhint: "},
		{"user remove ops", 5, "user remove: \"ops\": no such user\nhint: "},
		{"conference add dev alice carol", 0, ""},
		{"conference add dev carol", 0, ""},
		{"conference add dev bob eve", 5, "add: \"eve\": no such user\nhint: run `skarod user list`"},
		{"conference add nothing bob", 5, "add: \"nothing\": no such conference\nhint: run `skarod conference list` to see the conferences"},
		{"conference add bob alice", 5, "add: \"bob\": no such conference"},
		{"conference add dev", 2, "skarod: conference add needs LOGIN...\nhint: write `skarod conference add NAME LOGIN...`"},
		{"conference add ops -- -x", 5, "add: \"-x\": no such user"},
		{"conference remove dev bob carol", 5, "remove: \"bob\": not a member of the conference\nhint: run `skarod conference list dev` to see its members"},
		{"conference remove dev alice eve", 5, "remove: \"eve\": no such user"},
		{"conference remove nothing alice", 5, "remove: \"nothing\": no such conference"},
		{"conference list nothing", 5, "list: \"nothing\": no such conference\nhint: run `skarod conference list` to see"},
		{"conference list a b", 2, "skarod: conference list takes one argument, and got 2"},
		{"conference list -o xml", 2, "not one of auto, text, json"},
		{"conference delete nothing", 5, "delete: \"nothing\": no such conference"},
		{"conference delete alice", 5, "delete: \"alice\": no such conference"},
		{"conference members", 2, "hint: did you mean list?"},
		{"conference rm ops bob", 2, "hint: did you mean remove?"},
		{"group", 2, "hint: did you mean conference?"},
		{"kick bob", 2, "hint: did you mean conference remove?"},
	} {
		code, out, errs := skarod("", append(strings.Split(c.args, " "), "--data", data)...)
		if strings.Contains(c.args, " -- ") {
			code, out, errs = skarod("", append([]string{"--data", data}, strings.Split(c.args, " ")...)...)
		}
		if code != c.code || out != "" || !strings.Contains(errs, c.errs) || code == 0 && errs != "" {
			t.Errorf("%s: exit %d, output %q, errors %q", c.args, code, out, errs)
		}
	}
	list := func(want string, args ...string) {
		t.Helper()
		_, out, errs := skarod("", append([]string{"conference", "list", "--data", data}, args...)...)
		out = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ)?`).ReplaceAllString(out, "DATE")
		if out != want || errs != "" {
			t.Errorf("list %v: %q, %s", args, out, errs)
		}
	}
	const dev = `{"type":"conference","name":"dev","created":"DATE","members":["alice","carol"]}` + "\n"
	list(dev+`{"type":"conference","name":"ops","created":"DATE","members":["alice","bob"]}`+"\n", "-o", "json")
	list(dev, "DEV")
	list("DATE  dev  alice  carol\nDATE  ops  alice  bob\n", "-o", "text", "--utc")
	for _, args := range [][]string{{"conference", "remove", "dev", "carol", "Alice"}, {"conference", "delete", "OPS"}} {
		if code, out, errs := skarod("", append(args, "--data", data)...); code != 0 || out+errs != "" {
			t.Errorf("%v: exit %d, %s%s", args, code, out, errs)
		}
	}
	list("DATE  dev  -\n", "-o", "text")
}
