package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// newSpool returns the spool of a new user, and its folder.
func newSpool(t *testing.T) (*Spool, string) {
	t.Helper()
	s, err := OpenSpool(filesIn(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return noon }
	return s, s.folder
}

// add adds messages with these texts.
func add(t *testing.T, s *Spool, key Key, bodies ...string) []*SpoolEntry {
	t.Helper()
	entries, err := s.Add(key, lines(bodies...))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func lines(bodies ...string) (list []json.RawMessage) {
	for _, body := range bodies {
		list = append(list, json.RawMessage(fmt.Sprintf(`{"to":"bob","body":%q}`, body)))
	}
	return list
}

// holdOf takes the lock of an account.
func holdOf(t *testing.T, s *Spool, key Key) *SpoolHold {
	t.Helper()
	h, err := s.Hold(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// id is the id of the nth message of a new spool.
func id(n int64) int64 { return noon.UnixMicro() + n }

// pending are the messages that are to be sent: 1 for the first one of a new spool.
func pending(t *testing.T, s *Spool, key Key) (ids []int64) {
	t.Helper()
	h := holdOf(t, s, key)
	defer h.Release()
	for {
		e, err := h.Next()
		if err != nil {
			t.Error(err)
			continue
		}
		if e == nil {
			return ids
		}
		ids = append(ids, e.ID-id(0))
	}
}

// Messages that were added an hour apart leave in that order, on a 32-bit machine too.
func TestSpoolKeepsTheOrderOfHours(t *testing.T) {
	s, _ := newSpool(t)
	add(t, s, alice, "first")
	s.now = func() time.Time { return noon.Add(time.Hour) }
	add(t, s, alice, "second")
	if got := pending(t, s, alice); !slices.Equal(got, []int64{1, time.Hour.Microseconds() + 1}) {
		t.Errorf("%d", got)
	}
}

func TestSpoolFormat(t *testing.T) {
	s, folder := newSpool(t)
	e := add(t, s, alice, "hi")[0]
	h := holdOf(t, s, alice)
	defer h.Release()
	path := filepath.Join(folder, fmt.Sprintf("%d-%s", id(1), alice.FileName()))
	check := func(middle string) {
		t.Helper()
		want := `{"version":1,"server":"wss://chat.example.org/skaro_client/","login":"alice",` + middle + `,"nonce":"` + e.Nonce + `","message":{"to":"bob","body":"hi"}}` + "\n"
		content, err := os.ReadFile(path)
		if err != nil || string(content) != want {
			t.Errorf("%s, not %s; %v", content, want, err)
		}
		info, err := os.Stat(path)
		if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
	}
	const created = `,"created":"2026-05-15T12:00:00Z"`
	check(`"state":"waiting"` + created)
	for want, change := range map[string]func() error{
		`"state":"attempted"` + created + `,"attempted":"2026-05-15T12:00:01Z"`:                                                              func() error { return h.Attempt(e, noon.Add(time.Second), true) },
		`"state":"unknown"` + created + `,"attempted":"2026-05-15T12:00:01Z","reason":"skaroctl was stopped before the server confirmed it"`: func() error { return h.Attempt(e, noon.Add(time.Second), false) },
		`"state":"waiting"` + created + `,"reason":"away"`:                                                                                   func() error { return h.Wait(e, "away") },
		`"state":"refused"` + created + `,"reason":"404"`:                                                                                    func() error { return h.Keep(e, SpoolRefused, "404") },
	} {
		if err := change(); err != nil {
			t.Error(err)
		}
		check(want)
		got, err := h.Read(e)
		if err != nil || got.ID != id(1) || got.State != e.State || !got.Attempted.Equal(e.Attempted) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// Each account has its own messages, in the order in which they came. A new one gets a higher id
// than those that are there, even if the clock was set back.
func TestSpoolKeepsOrderAndIDs(t *testing.T) {
	s, _ := newSpool(t)
	for n := range 12 {
		add(t, s, []Key{alice, bob}[n%2], "x")
	}
	if got := pending(t, s, alice); !slices.Equal(got, []int64{1, 3, 5, 7, 9, 11}) {
		t.Errorf("alice has %v", got)
	}
	h := holdOf(t, s, bob)
	for {
		e, err := h.Next()
		if e == nil {
			break
		}
		if err = errors.Join(err, h.Remove(e)); err != nil {
			t.Fatal(err)
		}
	}
	h.Release()
	s.now = func() time.Time { return noon.Add(time.Second) }
	if e := add(t, s, bob, "x")[0]; e.ID != id(1e6+1) {
		t.Errorf("the next id is %d", e.ID)
	}
	s.now = func() time.Time { return noon.Add(-time.Hour) } // the clock is set back
	if e := add(t, s, bob, "x")[0]; e.ID != id(1e6+2) {
		t.Errorf("the next id is %d", e.ID)
	}
}

func TestSpoolSendsNothingThatAPersonDecides(t *testing.T) {
	s, _ := newSpool(t)
	entries := add(t, s, alice, "1", "2", "3", "4")
	h := holdOf(t, s, alice)
	err := errors.Join(h.Keep(entries[0], SpoolRefused, ""), h.Attempt(entries[1], noon, true), h.Keep(entries[2], SpoolUnknown, ""))
	h.Release()
	if got := pending(t, s, alice); err != nil || !slices.Equal(got, []int64{2, 4}) {
		t.Errorf("%v, %v", got, err)
	}
	changed, err := s.Retry(t.Context(), []int64{id(3), id(1)})
	if err != nil || len(changed) != 2 || changed[0].State != SpoolWaiting || !changed[0].Attempted.IsZero() || changed[0].Nonce == entries[2].Nonce {
		t.Errorf("%+v, %v", changed, err)
	}
	if got := pending(t, s, alice); !slices.Equal(got, []int64{1, 2, 3, 4}) {
		t.Errorf("%v", got)
	}
	// The server may have one that was attempted: it recognizes the message by its nonce alone.
	changed, err = s.Retry(t.Context(), []int64{id(2), id(4)})
	if err != nil || len(changed) != 2 || changed[0].State != SpoolAttempted || !changed[0].Attempted.Equal(noon) || changed[0].Nonce != entries[1].Nonce || changed[1].Nonce != entries[3].Nonce {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := s.Drop(t.Context(), []int64{id(1), id(5)}); KindOf(err) != KindNoEntry {
		t.Errorf("%v", err)
	}
	if _, err := s.Drop(t.Context(), []int64{id(1), id(4)}); err != nil {
		t.Error(err)
	}
	if got := pending(t, s, alice); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("%v", got)
	}
}

// A full spool takes no message, and says so. It takes all messages of a call or none.
func TestFullSpoolIsAnError(t *testing.T) {
	for name, fill := range map[string]func(folder string) error{
		"messages": func(folder string) error {
			for n := range maxSpoolEntries - 1 {
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%016d-%s", n+100, bob.FileName())), []byte("{}"), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		"bytes": func(folder string) error {
			path := filepath.Join(folder, fmt.Sprintf("%016d-%s", 100, bob.FileName()))
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, maxSpoolBytes-300))
		},
	} {
		s, folder := newSpool(t)
		if err := errors.Join(os.MkdirAll(folder, 0o700), fill(folder)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(alice, lines("1", "2")); err == nil || !strings.Contains(err.Error(), "the spool is full: it holds 10000 messages and 64 MiB at most") || hintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if got := pending(t, s, alice); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
		add(t, s, alice, "1")
		if _, err := s.Add(alice, lines("2")); err == nil {
			t.Errorf("%s: there is still room", name)
		}
	}
}

// If the disk can't say that a message is there to stay, it is in the spool all the same: the
// caller must not send it a second time.
func TestAddReturnsWhatIsThereDespiteAnError(t *testing.T) {
	s, _ := newSpool(t)
	first := add(t, s, alice, "0")[0].ID
	whole := syncFolder
	t.Cleanup(func() { syncFolder = whole })
	syncs := 0
	syncFolder = func(f *folder) error {
		if syncs++; syncs == 2 {
			return &fs.PathError{Op: "sync", Err: fs.ErrInvalid}
		}
		return whole(f)
	}
	entries, err := s.Add(alice, lines("1", "2", "3"))
	if KindOf(err) != KindNotSynced || !strings.Contains(err.Error(), fmt.Sprintf("%d-%s: sync: ", first+2, alice.FileName())) {
		t.Errorf("%v", err)
	}
	if got := pending(t, s, alice); !slices.Equal(got, []int64{1, 2, 3}) || len(entries) != 2 || entries[1].ID != first+2 {
		t.Errorf("%v are there, and %d were returned", got, len(entries))
	}
}

// An entry that can't be read is named and left as it is, and those after it are sent.
func TestBrokenEntryIsNamedAndKept(t *testing.T) {
	s, folder := newSpool(t)
	entries := add(t, s, alice, "1", "2")
	path := filepath.Join(folder, entries[0].name())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{
		"other version": strings.Replace(string(whole), `"version":1`, `"version":2`, 1),
		"other account": strings.Replace(string(whole), `"login":"alice"`, `"login":"bob"`, 1),
		"no state":      strings.Replace(string(whole), `"waiting"`, `"sent"`, 1),
		"no time":       strings.Replace(string(whole), `"waiting"`, `"attempted"`, 1),
		"no nonce":      strings.Replace(string(whole), `"nonce":"`, `"nonce":"short","x":"`, 1),
		"no message":    strings.Replace(string(whole), `"message"`, `"x"`, 1),
	}
	for n := range len(whole) - 1 { // without its last newline, it is whole
		contents[strconv.Itoa(n)] = string(whole[:n])
	}
	for name, content := range contents {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		h := holdOf(t, s, alice)
		_, err := h.Next()
		var named *Error
		if !errors.As(err, &named) || named.Path != path || named.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
		if e, err := h.Next(); err != nil || e == nil || e.ID != id(2) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		h.Release()
		if _, err := s.Retry(t.Context(), []int64{id(1)}); err == nil {
			t.Errorf("%s: it can be retried", name)
		}
		untouched(t, path, []byte(content))
	}
	if dropped, err := s.Drop(t.Context(), []int64{id(1)}); err != nil || len(dropped) != 1 || dropped[0].ID != id(1) {
		t.Errorf("%+v, %v", dropped, err)
	}
}

// While messages of an account are sent, another process can add some, and can't send any.
func TestSpoolTakesMessagesWhileOthersAreSent(t *testing.T) {
	s, _ := newSpool(t)
	add(t, s, alice, "1")
	h := holdOf(t, s, alice)
	defer h.Release()
	var err error
	for limit := time.Millisecond; KindOf(err) != KindLocked && limit < time.Minute; limit *= 2 { // a busy machine may not try within it
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err = s.Hold(ctx, alice)
		cancel()
	}
	if KindOf(err) != KindLocked {
		t.Errorf("%v", err)
	}
	add(t, s, alice, "2")
	add(t, s, bob, "3")
	if got := pending(t, s, bob); !slices.Equal(got, []int64{3}) {
		t.Errorf("%v", got)
	}
}

func TestSpoolTakesMessagesOfManyAtOnce(t *testing.T) {
	s, _ := newSpool(t)
	const many = 100
	var all sync.WaitGroup
	for n := range many {
		all.Go(func() {
			for range 2 {
				if _, err := s.Add([]Key{alice, bob}[n%2], lines("a", "b")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := append(pending(t, s, alice), pending(t, s, bob)...); len(got) != 4*many {
		t.Errorf("%d messages", len(got))
	}
}

// An entry is never put in the place of another one.
func TestSpoolTakesTheNextFreeID(t *testing.T) {
	s, folder := newSpool(t)
	first := add(t, s, alice, "1")[0]
	second := *first
	second.Message = lines("2")[0]
	if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d-%s.new", id(2), alice.FileName())), nil, 0o600); err != nil { // another process is writing it
		t.Fatal(err)
	}
	if got, err := s.create(&second, first.ID); err != nil || got != id(3) || second.ID != id(3) {
		t.Errorf("%d, %v", got, err)
	}
	if e, err := s.read(spoolName{first.ID, first.name(), alice.FileName()}); err != nil || !strings.Contains(string(e.Message), `"1"`) {
		t.Errorf("%+v, %v", e, err)
	}
}

// What a killed process left unfinished is removed when it is a day old.
func TestUnfinishedEntriesAreRemoved(t *testing.T) {
	s, folder := newSpool(t)
	add(t, s, alice, "1")
	old, young := filepath.Join(folder, fmt.Sprintf("%d-%s.new", id(7), alice.FileName())), filepath.Join(folder, fmt.Sprintf("%d-%s.tmp", id(8), alice.FileName()))
	for path, age := range map[string]time.Duration{old: staleAfter + time.Second, young: staleAfter - time.Second} {
		if err := errors.Join(os.WriteFile(path, []byte("{"), 0o600), os.Chtimes(path, noon.Add(-age), noon.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	if e := add(t, s, alice, "2")[0]; e.ID != id(9) {
		t.Errorf("the id is %d", e.ID)
	}
	if got := pending(t, s, alice); !slices.Equal(got, []int64{1, 9}) {
		t.Errorf("%v", got)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old one is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
}

func init() { children["spooler"] = spoolUntilKilled }

// spoolUntilKilled adds a message, says so, and sends everything that waits, as sendOrSpool
// does, but is killed at a step. Its server is a file with a line for each nonce.
func spoolUntilKilled() error {
	folder := os.Getenv("ACCOUNT_TEST_FOLDER")
	left, err := strconv.Atoi(os.Getenv("ACCOUNT_TEST_STEP"))
	if err != nil {
		return err
	}
	onStep = func() {
		if left--; left == 0 {
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		}
	}
	s, err := OpenSpool(filesIn(folder))
	if err != nil {
		return err
	}
	if body := os.Getenv("ACCOUNT_TEST_BODY"); body != "" {
		onStep()
		if _, err := s.Add(alice, lines(body)); err != nil {
			return err
		}
		if err := appendLine(filepath.Join(folder, "accepted"), body); err != nil {
			return err
		}
	}
	return sendAll(s, folder)
}

// sendAll sends what waits to a server that is a file.
func sendAll(s *Spool, folder string) error {
	h, err := s.Hold(newContext(), alice)
	if err != nil || h == nil {
		return err
	}
	defer h.Release()
	for {
		onStep()
		e, err := h.Next()
		if err != nil || e == nil {
			return err
		}
		if e.State == SpoolWaiting {
			if err := h.Attempt(e, time.Now(), true); err != nil {
				return err
			}
		}
		onStep()
		if err := appendLine(filepath.Join(folder, "server"), e.Nonce+" "+string(e.Message)); err != nil {
			return err
		}
		onStep()
		if err := h.Remove(e); err != nil {
			return err
		}
	}
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// TestSpoolerKilledAtEveryStep: whenever the process is killed, a message that was accepted is
// delivered once, in order; one that was not accepted is delivered once at most.
func TestSpoolerKilledAtEveryStep(t *testing.T) {
	killed := 0
	for step := 1; ; step++ {
		folder := t.TempDir()
		ended := false
		for n := range 2 {
			cmd := exec.Command(os.Args[0])
			cmd.Env = asChild("spooler", "ACCOUNT_TEST_FOLDER="+folder, "ACCOUNT_TEST_STEP="+strconv.Itoa(step), "ACCOUNT_TEST_BODY="+strconv.Itoa(n))
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			switch {
			case err == nil:
				ended = ended || n == 0
			case errors.As(err, &exit) && len(out) == 0:
				killed++
			default:
				t.Fatalf("%v: %s", err, out)
			}
		}
		s, err := OpenSpool(filesIn(folder))
		if err == nil {
			err = sendAll(s, folder)
		}
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if err := s.Each(func(e *SpoolEntry, err error) error { return fmt.Errorf("%+v stays, %w", e, err) }); err != nil {
			t.Errorf("step %d: %v", step, err)
		}
		checkDelivered(t, step, folder)
		if ended {
			break
		}
	}
	if killed < 20 {
		t.Errorf("only %d processes were killed", killed)
	}
}

// checkDelivered checks the messages 0 and 1.
func checkDelivered(t *testing.T, step int, folder string) {
	t.Helper()
	server, _ := os.ReadFile(filepath.Join(folder, "server"))
	accepted, _ := os.ReadFile(filepath.Join(folder, "accepted"))
	seen := map[string]bool{}
	var got []string
	for line := range strings.Lines(string(server)) {
		nonce, message, _ := strings.Cut(line, " ")
		if seen[nonce] {
			continue // the server recognizes it
		}
		seen[nonce] = true
		var m struct{ Body string }
		if err := json.Unmarshal([]byte(message), &m); err != nil {
			t.Errorf("step %d: %v", step, err)
		}
		got = append(got, m.Body)
	}
	for body := range strings.Lines(string(accepted)) {
		if !slices.Contains(got, strings.TrimSpace(body)) {
			t.Errorf("step %d: %s was accepted, and not delivered", step, body)
		}
	}
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("step %d: delivered %q", step, got)
	}
}
