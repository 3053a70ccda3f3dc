package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// plain is a server without ids and without extensions.
type plain struct {
	url string

	mu       sync.Mutex
	messages []proto.Message
	contacts []string
	refused  []string // dialogs whose history the server refuses
	conns    []*peer
	asked    []string // whose history was asked for

	// beforeHistory is called before a history is answered, with mu held. It may be nil.
	beforeHistory func(p *peer, dialog string)
}

func newPlain(t *testing.T, contacts ...string) *plain {
	s := &plain{contacts: contacts}
	s.url = serve(t, func(p *peer) {
		p.login()
		s.mu.Lock()
		s.conns = append(s.conns, p)
		s.mu.Unlock()
		for {
			f, ok := p.recv()
			if !ok {
				return
			}
			s.answer(p, f)
		}
	})
	return s
}

func (s *plain) answer(p *peer, f proto.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Type() {
	case proto.TypeGetContacts:
		list := []any{}
		for _, login := range s.contacts {
			list = append(list, map[string]any{"login": login})
		}
		p.reply(f, proto.StatusOK, map[string]any{"data": list})
	case proto.TypeGetHistory:
		dialog := f.Text("login")
		s.asked = append(s.asked, dialog)
		if s.beforeHistory != nil {
			s.beforeHistory(p, dialog)
		}
		if slices.Contains(s.refused, dialog) {
			p.reply(f, "403 Forbidden", nil)
			return
		}
		list := []any{}
		for _, m := range s.messages {
			if m.Dialog("alice") == dialog {
				list = append(list, m.Map())
			}
		}
		p.reply(f, proto.StatusOK, map[string]any{"history": list})
	}
}

// send stores messages, and pushes them to every connection.
func (s *plain) send(messages ...proto.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.messages = append(s.messages, m)
		for _, p := range s.conns {
			p.send(pushed(m))
		}
	}
}

// store stores messages without pushing them.
func (s *plain) store(messages ...proto.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, messages...)
}

// cut ends every connection, and stores messages before a listener can connect again.
func (s *plain) cut(missed ...proto.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, missed...)
	for _, p := range s.conns {
		p.ws.CloseNow()
	}
	s.conns = nil
}

func pushed(m proto.Message) map[string]any {
	f := m.Map()
	f["type"] = proto.TypeShowMessage
	return f
}

// said returns a message to alice at a second; zero means that it has no date.
func said(from, body string, second int64) proto.Message {
	m := proto.Message{From: from, To: "alice", Body: body}
	if second != 0 {
		m.Date.Time = time.Unix(1479394800+second, 0)
	}
	return m
}

func saidIn(conference, from, body string, second int64) proto.Message {
	m := said(from, body, second)
	m.Conference, m.To = conference, conference
	return m
}

// What was missed is found in the histories, once, in the order of its dates.
func TestHistoriesFetchWhatWasMissed(t *testing.T) {
	s := newPlain(t, "bob", "carol")
	s.refused = []string{"hidden"}
	s.store(said("bob", "old", 1), said("bob", "same", 2))
	l := listener(s.url)
	listening := 0
	l.Listening = func(Account) {
		switch listening++; listening {
		case 1:
			s.send(said("bob", "same", 2), said("bob", "live", 3), saidIn("ops", "dave", "in ops", 3), saidIn("hidden", "erin", "in hidden", 3), said("stranger", "hello", 4))
		case 2:
			s.send(said("bob", "end", 20))
		}
	}
	var got []string
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := l.Run(ctx, func(e Event) error {
		got = append(got, e.Message.Body)
		switch e.Message.Body {
		case "hello":
			s.cut()
			s.store(
				said("carol", "b", 11), said("bob", "a", 10), said("bob", "same", 12), said("bob", "same", 12), saidIn("ops", "dave", "c", 13),
				saidIn("hidden", "erin", "never", 13), said("stranger", "d", 14), proto.Message{From: "alice", To: "bob", Body: "own", Date: said("", "", 15).Date},
			)
		case "end":
			return ErrEnough
		}
		return nil
	})
	want := []string{"same", "live", "in ops", "in hidden", "hello", "a", "b", "same", "same", "c", "d", "own", "end"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

// What is pushed while histories are fetched comes once, whether or not a history has it,
// and an equal message stays another one.
func TestHistoriesAndPushesMeanwhile(t *testing.T) {
	s := newPlain(t, "bob", "carol")
	l := listener(s.url)
	first := true
	l.Listening = func(Account) {
		if first {
			first = false
			s.send(said("bob", "start", 1))
			return
		}
		// A late push of a message that a history had, and a new message that
		// looks the same.
		s.mu.Lock()
		s.conns[0].send(pushed(said("bob", "missed", 2)))
		s.mu.Unlock()
		s.send(said("bob", "missed", 2))
		s.send(said("carol", "end", 9))
	}
	calls := 0
	s.beforeHistory = func(p *peer, dialog string) {
		if first {
			return
		}
		switch calls++; calls {
		case 1: // bob: in the history, and pushed before its answer
			m := said("bob", "both", 3)
			s.messages = append(s.messages, m)
			p.send(pushed(m))
		case 2: // carol: pushed after the answer that lacks it
			m := said("bob", "late", 4)
			s.messages = append(s.messages, m)
			p.send(pushed(m))
		}
	}
	var got []string
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := l.Run(ctx, func(e Event) error {
		got = append(got, e.Message.Body)
		switch e.Message.Body {
		case "start":
			s.cut()
			s.store(said("bob", "missed", 2))
		case "end":
			return ErrEnough
		}
		return nil
	})
	want := []string{"start", "missed", "both", "late", "missed", "end"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

// A push that looks like a fetched message waits for another round, and so do those after
// it.
func TestHistoriesKeepOrderOfEqualMessages(t *testing.T) {
	s := newPlain(t, "bob", "carol")
	l := listener(s.url)
	first := true
	l.Listening = func(Account) {
		if first {
			s.send(said("bob", "start", 1))
		}
	}
	s.beforeHistory = func(p *peer, dialog string) {
		if first || dialog != "carol" || len(s.messages) > 2 {
			return
		}
		for _, m := range []proto.Message{said("bob", "yes", 2), said("bob", "no", 2), said("bob", "end", 2)} {
			s.messages = append(s.messages, m)
			p.send(pushed(m))
		}
	}
	var got []string
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := l.Run(ctx, func(e Event) error {
		got = append(got, e.Message.Body)
		if e.Message.Body == "start" {
			s.cut(said("bob", "yes", 2))
			first = false
		}
		if len(got) == 5 {
			return ErrEnough
		}
		return nil
	})
	want := []string{"start", "yes", "yes", "no", "end"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

// Messages of three people, most of them equal to others, come through many connections,
// with dates and without.
func TestHistoriesThroughManyConnections(t *testing.T) {
	for name, second := range map[string]func(i int) int64{
		"dated":   func(i int) int64 { return int64(1 + i/40) },
		"undated": func(int) int64 { return 0 },
	} {
		t.Run(name, func(t *testing.T) {
			people := []string{"bob", "carol", "dave"}
			s := newPlain(t, people...)
			const n = 900
			random := rand.New(rand.NewPCG(1, 2))
			want := map[string][]string{}
			var once sync.Once
			l := listener(s.url)
			sent := make(chan struct{})
			var messages []proto.Message
			for i := range n {
				m := said(people[random.IntN(3)], []string{"yes", "no"}[random.IntN(2)], second(i))
				messages = append(messages, m)
				want[m.From] = append(want[m.From], m.Body)
			}
			l.Listening = func(Account) {
				once.Do(func() {
					go func() {
						defer close(sent)
						for i, m := range messages {
							if i%30 == 29 {
								s.cut(m)
							} else {
								s.send(m)
							}
						}
						s.send(said("bob", "end", 1000))
					}()
				})
			}
			got := map[string][]string{}
			ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
			defer cancel()
			count := 0
			err := l.Run(ctx, func(e Event) error {
				if e.Message.Body == "end" {
					return nil
				}
				got[e.Message.From] = append(got[e.Message.From], e.Message.Body)
				if count++; count == n {
					return ErrEnough
				}
				return nil
			})
			within(t, sent)
			if err != nil {
				t.Fatalf("after %d messages: %v", count, err)
			}
			for _, from := range people {
				if !reflect.DeepEqual(got[from], want[from]) {
					i := 0
					for i < len(got[from]) && i < len(want[from]) && got[from][i] == want[from][i] {
						i++
					}
					t.Errorf("%s: of %d messages %d came; from %d on they were\n%q, not\n%q", from, len(want[from]), len(got[from]), i, got[from][i:], want[from][i:])
				}
			}
		})
	}
}

// After a position went through JSON, newer messages are delivered once.
func TestHistoriesResume(t *testing.T) {
	for name, c := range map[string]struct {
		before, delivered, missed []proto.Message
		want                      string
	}{
		"by date":          {[]proto.Message{said("bob", "0", 1)}, []proto.Message{said("bob", "1", 2)}, []proto.Message{said("bob", "2", 3)}, "2"},
		"within a second":  {nil, []proto.Message{said("bob", "1", 2), said("carol", "1", 2)}, []proto.Message{said("carol", "2", 2), said("bob", "1", 2)}, "1 2"},
		"without a date":   {[]proto.Message{said("bob", "0", 0)}, []proto.Message{said("bob", "1", 0), said("bob", "1", 0)}, []proto.Message{said("bob", "1", 0), said("bob", "2", 0)}, "1 2"},
		"nothing yet":      {nil, nil, []proto.Message{said("bob", "1", 1), said("bob", "2", 0)}, "1 2"},
		"in a conference":  {nil, []proto.Message{saidIn("ops", "bob", "1", 2)}, []proto.Message{saidIn("ops", "bob", "2", 2)}, "2"},
		"only from before": {[]proto.Message{said("bob", "0", 1)}, nil, []proto.Message{said("bob", "0", 1), said("bob", "1", 2)}, "0 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPlain(t, "bob", "carol")
			s.store(c.before...)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			l := listener(s.url)
			done := errors.New("done")
			running, stop := context.WithCancelCause(ctx)
			var got []string
			var position Position
			l.Settled = func() error {
				p, ok := l.Position()
				if ok && len(got) == len(c.delivered) {
					position = p
					stop(done)
				}
				return nil
			}
			l.Listening = func(Account) { s.send(c.delivered...) }
			take := func(e Event) error { got = append(got, e.Message.Body); return nil }
			if err := l.Run(running, take); !errors.Is(err, done) {
				t.Fatal(err)
			}
			text, err := json.Marshal(position)
			if err != nil {
				t.Fatal(err)
			}
			var resumed Position
			if err := json.Unmarshal(text, &resumed); err != nil {
				t.Fatal(err)
			}
			s.cut()
			s.store(c.missed...)
			for range 2 {
				l = listener(s.url)
				l.Resume = &resumed
				got = nil
				running, stop = context.WithCancelCause(ctx)
				l.Listening = func(Account) { stop(done) }
				if err := l.Run(running, take); !errors.Is(err, done) {
					t.Fatal(err)
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("resumed at %s: got %q, want %s", text, got, c.want)
				}
				// From the position after that, nothing is delivered.
				resumed, _ = l.Position()
				c.want = ""
			}
		})
	}
}

func TestHistoriesBeginAtStart(t *testing.T) {
	for name, c := range map[string]struct {
		start Bound
		want  []string
	}{
		"all":  {Bound{}, []string{"1", "2", "3"}},
		"time": {Bound{Time: time.Unix(1479394802, 0)}, []string{"2", "3"}},
	} {
		s := newPlain(t, "bob")
		s.store(said("bob", "1", 1), said("bob", "2", 2), said("bob", "3", 3))
		l := listener(s.url)
		l.Start = &c.start
		if got := bodies(t, l, len(c.want)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A listener can resume at the position of one with a start, whatever the start was, and
// whether or not a message came.
func TestHistoriesResumeAfterStart(t *testing.T) {
	for name, c := range map[string]struct {
		start Bound
		want  []string
	}{
		"all":                {Bound{}, []string{"1", "2", "new"}},
		"time":               {Bound{Time: time.Unix(1479394802, 0)}, []string{"2", "new"}},
		"nothing there":      {Bound{Time: time.Unix(1479394803, 0)}, []string{"new"}},
		"id, where are none": {Bound{ID: 7}, []string{"1", "2", "new"}},
	} {
		s := newPlain(t, "bob")
		s.store(said("bob", "1", 1), said("bob", "2", 2))
		var got []string
		listen := func(l *Listener) Position {
			ctx, cancel := context.WithCancelCause(bounded(t))
			l.Listening = func(Account) { cancel(errDone) }
			err := l.Run(ctx, func(e Event) error { got = append(got, e.Message.Body); return nil })
			p, ok := l.Position()
			if !errors.Is(err, errDone) || !ok {
				t.Errorf("%s: %v, and the position is %+v, %v", name, err, p, ok)
			}
			return p
		}
		l := listener(s.url)
		l.Start = &c.start
		p := listen(l)
		s.store(said("bob", "new", 3))
		for range 2 {
			l = listener(s.url)
			l.Resume = &p
			p = listen(l)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A server without the extension may count ids in each dialog: they say nothing.
func TestHistoriesIgnoreIDs(t *testing.T) {
	s := newPlain(t, "bob", "carol")
	l := listener(s.url)
	l.Listening = func(Account) {
		a, b := said("bob", "one", 1), said("carol", "two", 2)
		a.ID, b.ID = 7, 3
		s.send(a, b)
	}
	if got := bodies(t, l, 2); !reflect.DeepEqual(got, []string{"one", "two"}) {
		t.Errorf("%q", got)
	}
}

func TestHistoriesRefusedContacts(t *testing.T) {
	live := make(chan struct{})
	url := serve(t, func(p *peer) {
		p.login()
		// Some servers keep none. The second request comes after the login is confirmed.
		p.reply(p.expect(proto.TypeGetContacts), "403 Forbidden", nil)
		p.reply(p.expect(proto.TypeGetContacts), "403 Forbidden", nil)
		within(t, live)
		p.send(map[string]any{"type": "changed_user_data"})
		p.send(message(0, "bob", "alice", "one"))
		p.send(message(0, "bob", "alice", "one"))
		p.recv()
	})
	l := listener(url)
	listening := 0
	l.Listening = func(a Account) { listening++; close(live) }
	if got := bodies(t, l, 2); !reflect.DeepEqual(got, []string{"one", "one"}) || listening != 1 {
		t.Errorf("%q, listening %d times", got, listening)
	}
}

// A server may have any number of contacts: the work is linear, and ends with the context.
func TestHistoriesOfManyContacts(t *testing.T) {
	list := make([]any, 250_000) // nearly as many as a frame may have
	for i := range list {
		list[i] = map[string]any{"login": fmt.Sprint(i)}
	}
	list = append(list, list[0])
	reply := proto.Reply{Fields: newPush(t, map[string]any{"data": list})}
	start := time.Now()
	if _, err := proto.ParseContacts(reply.Fields); err != nil {
		t.Fatal(err)
	}
	// The square of the work would take some hundred times as long as the parsing.
	limited, stop := context.WithTimeout(t.Context(), max(time.Minute, 50*time.Since(start)))
	defer stop()
	h := newHistories(nil, nil)
	if dialogs, err := h.dialogs(limited, nil, reply, nil); err != nil || len(dialogs) != len(list)-1 {
		t.Errorf("%v, %d dialogs", err, len(dialogs))
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errDone)
	if dialogs, err := h.dialogs(ended, nil, reply, nil); err != errDone {
		t.Errorf("%v, %d dialogs after the end", err, len(dialogs))
	}
}

// If more was missed than is put in order together, it is delivered in parts. The position
// stays where it was until the last part is delivered: before, it would pass over messages.
func TestHistoriesDeliverInParts(t *testing.T) {
	const n = missedMost/2 + 1 // two dialogs are one part
	s := newPlain(t, "a", "b", "c")
	for i := range int64(n) {
		s.store(said("a", fmt.Sprint("a", i), 1000+i), said("b", fmt.Sprint("b", i), 1000+i))
	}
	s.store(said("c", "c0", 500), said("c", "c1", 501))
	l := listener(s.url)
	l.Start = &Bound{}
	got, last := map[string]int{}, time.Time{}
	var early []Position
	l.Settled = func() error {
		if p, ok := l.Position(); ok && len(got) > 0 && len(got) < 2*n+2 {
			early = append(early, p)
		}
		return nil
	}
	caughtUp := false
	l.Listening = func(Account) { caughtUp = true; s.send(said("a", "end", 90000)) }
	err := l.Run(bounded(t), func(e Event) error {
		if e.Message.Date.Time.Before(last) && e.Message.Body != "c0" {
			t.Errorf("%s came late", e.Message.Body)
		}
		last = e.Message.Date.Time
		if got[e.Message.Body]++; e.Message.Body == "end" {
			return ErrEnough
		}
		return nil
	})
	if err != nil || !caughtUp || len(got) != 2*n+3 {
		t.Fatalf("%v, %d messages of %d", err, len(got), 2*n+3)
	}
	for _, p := range early {
		if !p.Date.IsZero() {
			t.Errorf("a position at %v before everything was delivered", p.Date)
		}
	}
	if p, ok := l.Position(); !ok || !p.Date.Equal(said("a", "", 90000).Date.Time) {
		t.Errorf("at the end: %v, %+v", ok, p)
	}
}

// A connection that is lost between two parts loses nothing: the next one delivers what the
// last one had not, and perhaps what it had.
func TestHistoriesLoseNothingBetweenParts(t *testing.T) {
	const n = missedMost/2 + 1
	s := newPlain(t, "a", "b", "c")
	for i := range int64(n) {
		s.store(said("a", fmt.Sprint("a", i), 1000+i), said("b", fmt.Sprint("b", i), 1000+i))
	}
	s.store(said("c", "c0", 500))
	var once sync.Once
	s.beforeHistory = func(p *peer, dialog string) {
		if dialog == "c" {
			once.Do(func() { p.ws.CloseNow() })
		}
	}
	l := listener(s.url)
	l.Start = &Bound{}
	got := map[string]int{}
	err := l.Run(bounded(t), func(e Event) error {
		if got[e.Message.Body]++; len(got) == 2*n+1 {
			return ErrEnough
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v, %d messages of %d", err, len(got), 2*n+1)
	}
}

// What a listener remembers has a bound, whatever a server sends, and it keeps the newest.
func TestSightingsKeepNewest(t *testing.T) {
	var s sightings
	const n = 5 * seenMost
	for i := range int64(n) {
		s.addNext(said("bob", "", (i*7919)%n+1), strings.Repeat("d", int(i%2)*(dialogBytes+1)))
		if len(s.list) >= 2*seenMost {
			t.Fatalf("%d messages are kept", len(s.list))
		}
		if name := s.list[len(s.list)-1].dialog; len(name) > dialogBytes {
			t.Fatalf("a name of %d bytes is kept", len(name))
		}
	}
	seen := &seenSet{}
	s.each(seen, seen.see)
	newest := said("bob", "", n)
	if !seen.forgot || len(seen.order) != seenMost || !seen.newest.Equal(newest.Date.Time) || len(seen.dialogs) > 0 {
		t.Errorf("forgot: %v, %d messages up to %v, %d dialogs", seen.forgot, len(seen.order), seen.newest, len(seen.dialogs))
	}
	if want := said("bob", "", n-seenMost).Date.Time; !seen.since.Equal(want) {
		t.Errorf("everything before %v is seen, not before %v", seen.since, want)
	}
}
