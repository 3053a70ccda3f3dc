package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/session"
)

func TestSpoolChangesParse(t *testing.T) {
	testParse(t, newSpoolDropCmd, []parseCase[spoolOptions]{
		{name: "ids", args: []string{"7", "9"}, want: spoolOptions{[]string{"7", "9"}}},
		{name: "none", args: nil, err: "drop needs ID"},
	})
	for _, arg := range []string{"x", "0", "-1", "99999999999999999999"} {
		if ids, err := (&spoolOptions{[]string{"7", arg}}).parse(); err == nil {
			t.Errorf("%q gives %v", arg, ids)
		}
	}
}

// What is written to the spool is read back as it was.
func FuzzSpoolLineIsReadBack(f *testing.F) {
	f.Add("bob", "hi", "", "", int64(0))
	f.Add("b\"o\u202eb", "\x00\n\u2028\U0001f600\ufffd\\", "0123456789abcdef", "a\x1b\u202e", int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, to, body, key, title string, n int64) {
		m := session.Message{To: strings.ToValidUTF8(to, "?"), Body: strings.ToValidUTF8(body, "?"), Key: strings.ToValidUTF8(key, "?")}
		if title != "" {
			title = strings.ToValidUTF8(title, "?")
			m.Fields, _ = proto.NewFields(map[string]any{"title": title, "n": n, "tags": []string{title, ""}, "yes": n > 0}) // none if they are too long
		}
		line := spoolLine(m)
		if !json.Valid(line) || strings.Count(string(line), "\n") > 1 {
			t.Fatalf("%q is no line of JSON", line)
		}
		got, err := parseSpoolLine(line)
		if err == nil && !reflect.DeepEqual(got, m) {
			t.Errorf("%+v has become %+v", m, got)
		}
		if keyOK := key == "" || checkKey(m.Key) == ""; err != nil && m.To != "" && len(m.To) <= 256 && m.Body != "" && keyOK {
			t.Errorf("%+v: %v", m, err)
		}
	})
}

// A full spool does not keep a message from a server that is there. If the server is away, or
// other messages wait, it is an error.
func TestFullSpoolStillSends(t *testing.T) {
	url := newTestServer(t, "alice", "bob")
	alice, bob := newTestUser(t, url, "alice"), newTestUser(t, url, "bob")
	e := putInSpool(t, alice, url, "waits")
	full := filepath.Join(filepath.Dir(entryFile(t, alice)), "0000000000000100-"+strings.Repeat("0", 24)+".json")
	if err := errors.Join(os.WriteFile(full, nil, 0o600), os.Truncate(full, 64<<20)); err != nil {
		t.Fatal(err)
	}
	alice.run("", 0, "spool", "drop", fmt.Sprint(e.ID))
	if out, _ := alice.run("", 0, "send", "--spool", "bob", "sent all the same"); !strings.HasPrefix(out, `{"type":"sent"`) {
		t.Errorf("it says %s", out)
	}
	away := &testUser{t: t, login: "alice", variables: maps.Clone(alice.variables)}
	maps.Copy(away.variables, map[string]string{"SKAROCTL_SERVER": "ws://127.0.0.1:1/", "SKAROCTL_LOGIN": "alice", "SKAROCTL_TOKEN": newToken("pw").Text()})
	_, errs := away.run("", 1, "send", "--spool", "bob", "lost")
	for _, want := range []string{"skaroctl: send to bob: can't reach ws://127.0.0.1:1/", "skaroctl: send: add to the spool: ", ": the spool is full: it holds 10000 messages and 64 MiB at most"} {
		if !strings.Contains(errs, want) {
			t.Errorf("it does not say %s: %s", want, errs)
		}
	}
	if got := bodies(bob, "alice"); !slices.Equal(got, []string{"sent all the same"}) {
		t.Errorf("bob has %q", got)
	}
}

// atOnce calls do n times at once.
func atOnce(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// bodies are the messages that bob has from a user, in order.
func bodies(u *testUser, from string) (list []string) {
	u.t.Helper()
	out, _ := u.run("", 0, "history", from, "--limit", "100000")
	for line := range strings.Lines(out) {
		var m struct{ Body string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			u.t.Fatal(err)
		}
		list = append(list, m.Body)
	}
	return list
}

// After an outage, a thousand jobs send at once, with much that waits. All of them succeed, and
// each message is delivered once, in the order of its sender.
func TestThousandJobsAfterAnOutage(t *testing.T) {
	const senders, each = 125, 8
	url := newTestServer(t, "alice", "bob")
	alice, bob := newTestUser(t, url, "alice"), newTestUser(t, url, "bob")
	for n := range 10 {
		putInSpool(t, alice, url, fmt.Sprintf("before %d", n))
	}
	atOnce(senders, func(i int) {
		for n := range each {
			out, _ := alice.run("", 0, "send", "--spool", "bob", fmt.Sprintf("%d %d", i, n))
			if !strings.HasPrefix(out, `{"type":"sent"`) && !strings.HasPrefix(out, `{"type":"spooled"`) {
				t.Errorf("the job says %q", out)
			}
		}
	})
	alice.run("", 0, "spool", "flush")
	if out, _ := alice.run("", 0, "spool", "list"); out != "" {
		t.Errorf("there is still %s", out)
	}
	got := bodies(bob, "alice")
	for n := range 10 {
		if got[n] != fmt.Sprintf("before %d", n) {
			t.Fatalf("message %d is %q", n, got[n])
		}
	}
	next := map[int]int{}
	for _, body := range got[10:] {
		var i, n int
		if _, err := fmt.Sscanf(body, "%d %d", &i, &n); err != nil || n != next[i] {
			t.Errorf("%q comes instead of %d %d", body, i, next[i])
		}
		next[i]++
	}
	if len(got) != 10+senders*each {
		t.Errorf("%d messages have arrived, not %d", len(got), 10+senders*each)
	}
}

// putInSpool puts a message to bob into the spool of a user.
func putInSpool(t *testing.T, u *testUser, url, body string) *account.SpoolEntry {
	t.Helper()
	f := newFactoryOf(u)
	spool, err := f.spool()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := spool.Add(account.Key{Server: url, Login: u.login}, []json.RawMessage{spoolLine(session.Message{To: "bob", Body: body})})
	if err != nil {
		t.Fatal(err)
	}
	return entries[0]
}

// Two flushes at once send each message once, in order.
func TestFlushesAtOnceSendOnce(t *testing.T) {
	url := newTestServer(t, "alice", "bob")
	alice, bob := newTestUser(t, url, "alice"), newTestUser(t, url, "bob")
	var want []string
	for n := range 50 {
		want = append(want, fmt.Sprint(n))
		putInSpool(t, alice, url, fmt.Sprint(n))
	}
	var mu sync.Mutex
	sent := 0
	atOnce(4, func(int) {
		out, _ := alice.run("", 0, "spool", "flush")
		mu.Lock()
		defer mu.Unlock()
		sent += strings.Count(out, `"type":"sent"`)
	})
	if got := bodies(bob, "alice"); !slices.Equal(got, want) || sent != len(want) {
		t.Errorf("%d results, and %q", sent, got)
	}
}

// entryFile is the only entry in the spool of a user.
func entryFile(t *testing.T, u *testUser) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(u.variables["XDG_STATE_HOME"], "skaroctl", "spool", "*-*[a-f0-9].json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the entries are %q, %v", found, err)
	}
	return found[0]
}

// edit replaces a part of a file.
func edit(t *testing.T, path, old, new string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil || strings.Count(string(content), old) != 1 {
		t.Fatalf("%q is not once in %s, %v", old, content, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(content), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// After 25 hours, a message that was never sent is delivered. One that was sent before they
// began is kept for a person, because the server no longer knows whether it has it.
func TestServerGoneForADay(t *testing.T) {
	url := newTestServer(t, "alice", "bob")
	alice, bob := newTestUser(t, url, "alice"), newTestUser(t, url, "bob")
	since := func(d time.Duration) string { return time.Now().UTC().Add(-d).Format(time.RFC3339) }
	var last string // the id of the last message
	attempted := func(body string, ago time.Duration) {
		e := putInSpool(t, alice, url, body)
		last = fmt.Sprint(e.ID)
		edit(t, entryFile(t, alice), `"waiting","created":"`+e.Created.Format(time.RFC3339)+`"`, `"attempted","created":"`+since(ago)+`","attempted":"`+since(ago)+`"`)
	}
	e := putInSpool(t, alice, url, "never sent")
	edit(t, entryFile(t, alice), e.Created.Format(time.RFC3339), since(25*time.Hour))
	alice.run("", 0, "spool", "flush")

	attempted("sent 22 hours ago", 22*time.Hour)
	alice.run("", 0, "spool", "flush")

	attempted("sent 25 hours ago", 25*time.Hour)
	_, errs := alice.run("", 7, "spool", "flush")
	if !strings.Contains(errs, "message "+last+" to bob stays in the spool: sent, but not confirmed") || !strings.Contains(errs, "hint: look for it with `skaroctl history LOGIN --limit 5`; then remove it with `skaroctl spool drop "+last+"`, or send it again with `skaroctl spool retry "+last+"`") {
		t.Errorf("it says %s", errs)
	}
	alice.run("", 0, "spool", "flush") // said once
	out, _ := alice.run("", 0, "send", "--spool", "bob", "behind it")
	if !strings.HasPrefix(out, `{"type":"sent"`) {
		t.Errorf("it says %s", out)
	}
	out, _ = alice.run("", 0, "spool", "list")
	if !strings.Contains(out, `"state":"unknown"`) || !strings.Contains(out, `"attempted":"`) {
		t.Errorf("the list is %s", out)
	}
	alice.run("", 0, "spool", "retry", last)
	alice.run("", 0, "spool", "flush")

	// The clock was wrong, and is set back.
	attempted("sent in the future", -25*time.Hour)
	alice.run("", 7, "spool", "flush")
	if got, want := bodies(bob, "alice"), []string{"never sent", "sent 22 hours ago", "behind it", "sent 25 hours ago"}; !slices.Equal(got, want) {
		t.Errorf("bob has %q, not %q", got, want)
	}
}
