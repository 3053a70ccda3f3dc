package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The limits of the spool (docs/security.md).
const (
	maxSpoolEntries = 10_000
	maxSpoolBytes   = 64 << 20
)

// staleAfter is how old an unfinished file must be before it is removed: the process that
// wrote it was killed.
const staleAfter = 24 * time.Hour

// Spool keeps messages on this machine until a server has them: one file for each message, in
// one folder for all accounts. A process that adds a message waits for no other one. The lock
// of an account is held while its messages are sent or changed (SpoolHold).
//
// Every step but a removal is durable before the next one begins. A process that is killed
// between two of them loses no message, and leaves none that could be delivered twice.
type Spool struct {
	folder string
	now    func() time.Time
}

// SpoolState says what is known about a message in the spool.
type SpoolState string

// The states of a message in the spool.
const (
	SpoolWaiting   SpoolState = "waiting"   // it was not delivered; it is to be sent
	SpoolAttempted SpoolState = "attempted" // it was sent, and the result is unknown; it is to be sent again with its nonce
	SpoolUnknown   SpoolState = "unknown"   // as attempted, but it might be delivered twice: a person decides
	SpoolRefused   SpoolState = "refused"   // the server refused it: a person decides
)

// Pending reports whether a message is to be sent without a person's decision.
func (s SpoolState) Pending() bool { return s == SpoolWaiting || s == SpoolAttempted }

// SpoolEntry is a message in the spool.
type SpoolEntry struct {
	ID      int64      `json:"-"` // grows over the spool; used twice only if two processes add at once, or the clock is set back
	Version int        `json:"version"`
	Server  string     `json:"server"`
	Login   string     `json:"login"`
	State   SpoolState `json:"state"`
	Created time.Time  `json:"created"`
	// Attempted is when the message was first sent; zero if it certainly was not delivered.
	Attempted time.Time       `json:"attempted,omitzero"`
	Reason    string          `json:"reason,omitempty"` // why it is still here
	Nonce     string          `json:"nonce"`            // it makes the message safe to send again
	Message   json.RawMessage `json:"message"`          // as a line of `send --json` to one recipient
}

// spoolVersion is the version that is written, and the only one that is read.
const spoolVersion = 1

// spoolFile is the name of an entry: its id, and the account (Key.FileName).
var spoolFile = regexp.MustCompile(`^([0-9]{16,18})-([0-9a-f]{24}\.json)$`)

// spoolName is the name and the id of an entry's file.
type spoolName struct {
	id            int64
	name, account string
}

// anyName is the name of a file to locate if only its folder matters.
const anyName = "x"

// OpenSpool returns the spool. It reads and makes nothing.
func OpenSpool(files Files) (*Spool, error) {
	if files.State == "" {
		return nil, noState("there is no folder for the spool: HOME is not set")
	}
	return &Spool{folder: filepath.Join(files.State, "spool"), now: time.Now}, nil
}

// Add puts messages of an account after those that are there, and returns when they are on
// disk. If it fails, it also returns the messages that it has added before, which another
// process may be sending already.
func (s *Spool) Add(key Key, messages []json.RawMessage) ([]*SpoolEntry, error) {
	var entries []*SpoolEntry
	size := 0
	for _, m := range messages {
		e := &SpoolEntry{
			Version: spoolVersion, Server: key.Server, Login: key.Login, State: SpoolWaiting,
			Created: s.now().UTC().Truncate(time.Second), Nonce: rand.Text(), Message: m,
		}
		content, err := e.content()
		if err != nil {
			return nil, err
		}
		entries, size = append(entries, e), size+len(content)
	}
	last, err := s.room(entries, size)
	for i, e := range entries {
		if err == nil {
			last, err = s.create(e, last+1)
		}
		if err != nil {
			added := entries[:i]
			if KindOf(err) == KindNotSynced {
				added = entries[:i+1]
			}
			return added, fmt.Errorf("add to the spool: %w", err)
		}
	}
	return entries, nil
}

// room removes unfinished files that are stale. If there is room for entries of that size, it
// returns the id after which theirs begin: the time in microseconds or, because the clock may
// have been set back, the highest id in the spool. So a process that adds entries one after
// another adds them in order. Many processes that add at once may exceed the limits a little.
func (s *Spool) room(entries []*SpoolEntry, size int) (last int64, err error) {
	f, err := locate(filepath.Join(s.folder, anyName), makeMissing)
	if err != nil {
		return 0, err
	}
	defer f.close()
	infos, err := f.in.list()
	if err != nil {
		return 0, fileError(s.folder, err)
	}
	last = s.now().UnixMicro()
	count := len(entries)
	for _, info := range infos {
		base, unfinished := info.Name(), false
		for _, suffix := range []string{".new", ".tmp"} {
			if name, ok := strings.CutSuffix(base, suffix); ok {
				base, unfinished = name, true
			}
		}
		n, ok := parseSpoolName(base)
		switch {
		case unfinished && s.now().Sub(info.ModTime()) > staleAfter:
			_ = f.in.remove(info.Name())
		case ok:
			last, count, size = max(last, n.id), count+1, size+int(info.Size())
		}
	}
	if count > maxSpoolEntries || size > maxSpoolBytes {
		return 0, &Error{
			Path: s.folder, Msg: fmt.Sprintf("the spool is full: it holds %d messages and %d MiB at most", maxSpoolEntries, maxSpoolBytes>>20),
			Hint: "send what waits with `skaroctl spool flush`, or look at it with `skaroctl spool list`",
		}
	}
	return last, nil
}

// create writes a new entry with the first free id from id on, and returns that.
func (s *Spool) create(e *SpoolEntry, id int64) (int64, error) {
	content, err := e.content()
	for ; err == nil; id++ {
		e.ID = id
		var f *stateFile
		if f, err = s.file(e.name()); err != nil {
			break
		}
		err = f.create(content)
		f.close()
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		err = nil
	}
	return id, err
}

func parseSpoolName(name string) (spoolName, bool) {
	m := spoolFile.FindStringSubmatch(name)
	if m == nil {
		return spoolName{}, false
	}
	id, err := strconv.ParseInt(m[1], 10, 64)
	return spoolName{id, name, m[2]}, err == nil
}

func (e *SpoolEntry) name() string {
	return fmt.Sprintf("%016d-%s", e.ID, Key{e.Server, e.Login}.FileName())
}

func (e *SpoolEntry) content() ([]byte, error) {
	content, err := json.Marshal(e)
	return append(content, '\n'), err
}

// file returns the file with a name, in a folder that exists.
func (s *Spool) file(name string) (*stateFile, error) {
	return locate(filepath.Join(s.folder, name), existing)
}

// write writes an entry, and returns when it is on disk.
func (s *Spool) write(e *SpoolEntry) error {
	content, err := e.content()
	if err != nil {
		return err
	}
	f, err := s.file(e.name())
	if err != nil {
		return err
	}
	defer f.close()
	return f.replace(content, durable)
}

// remove removes an entry. After a power failure it may be there again; its nonce and its time
// then keep it from being delivered twice.
func (s *Spool) remove(name string) error {
	f, err := s.file(name)
	if err != nil {
		return err
	}
	defer f.close()
	onStep()
	_ = f.in.remove(name + ".tmp")
	onStep()
	if err := f.in.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(f.path(), err)
	}
	return nil
}

// read reads an entry, nil if there is none.
func (s *Spool) read(n spoolName) (*SpoolEntry, error) {
	path := filepath.Join(s.folder, n.name)
	content, err := readFile(path, oursAlone)
	if err != nil || content == nil {
		return nil, err
	}
	e := &SpoolEntry{}
	if err = json.Unmarshal(content, e); err == nil {
		err = e.check(n)
	}
	if err != nil {
		return nil, &Error{
			Kind: KindFile, Path: path, Msg: fmt.Sprintf("the entry can't be read, and was left as it is: %v", err), Err: err,
			Hint: fmt.Sprintf("look at the file, then remove it with `skaroctl spool drop %d`", n.id),
		}
	}
	e.ID = n.id
	return e, nil
}

// check says what is wrong with an entry that is JSON.
func (e *SpoolEntry) check(n spoolName) error {
	switch {
	case e.Version != spoolVersion:
		return fmt.Errorf("its version is %d, and this program knows version %d", e.Version, spoolVersion)
	case Key{e.Server, e.Login}.FileName() != n.account:
		return errors.New("it belongs to another account than its name says")
	case !slices.Contains([]SpoolState{SpoolWaiting, SpoolAttempted, SpoolUnknown, SpoolRefused}, e.State):
		return fmt.Errorf("it has no state %q", e.State)
	case e.State == SpoolAttempted && e.Attempted.IsZero():
		return errors.New("it does not say when it was sent")
	case len(e.Nonce) < 16 || len(e.Message) == 0:
		return errors.New("it lacks its nonce or its message")
	}
	return nil
}

// names returns the entries in their order. foreign are files that are not entries.
func (s *Spool) names() (entries []spoolName, foreign []string, err error) {
	f, err := s.file(anyName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.close()
	infos, err := f.in.list()
	if err != nil {
		return nil, nil, fileError(s.folder, err)
	}
	for _, info := range infos {
		name := info.Name()
		n, ok := parseSpoolName(name)
		switch {
		case ok:
			entries = append(entries, n)
		case !slices.Contains([]string{".lock", ".tmp", ".new"}, filepath.Ext(name)):
			foreign = append(foreign, name)
		}
	}
	slices.SortFunc(entries, func(a, b spoolName) int { return cmp.Compare(a.id, b.id) })
	slices.Sort(foreign)
	return entries, foreign, nil
}

// Each calls do with each entry of every account, in order. If an entry can't be read, do gets
// the error.
func (s *Spool) Each(do func(*SpoolEntry, error) error) error {
	names, foreign, err := s.names()
	if err != nil {
		return err
	}
	for _, n := range names {
		e, err := s.read(n)
		if e == nil && err == nil {
			continue // it was sent meanwhile
		}
		if err := do(e, err); err != nil {
			return err
		}
	}
	for _, name := range foreign {
		if err := do(nil, foreignFile(filepath.Join(s.folder, name))); err != nil {
			return err
		}
	}
	return nil
}

// foreignFile returns the error for a file that is not an entry.
func foreignFile(path string) error {
	return &Error{Kind: KindFile, Path: path, Msg: "it is not an entry of the spool, and was left as it is", Hint: "move the file elsewhere"}
}

// Retry makes messages that a person decides about wait again. A pending one stays as it is:
// the server may have it already, and recognizes it only by its nonce.
func (s *Spool) Retry(ctx context.Context, ids []int64) ([]*SpoolEntry, error) {
	return s.change(ctx, ids, func(n spoolName) (*SpoolEntry, error) {
		e, err := s.read(n)
		if err != nil || e == nil || e.State.Pending() {
			return e, err
		}
		// A new nonce: the server may forget the old one within the 23 hours that begin with the
		// next attempt, and would then deliver the message twice.
		e.State, e.Reason, e.Attempted, e.Nonce = SpoolWaiting, "", time.Time{}, rand.Text()
		return e, s.write(e)
	})
}

// Drop removes messages, and returns them. Of one that can't be read it returns the id alone.
func (s *Spool) Drop(ctx context.Context, ids []int64) ([]*SpoolEntry, error) {
	return s.change(ctx, ids, func(n spoolName) (*SpoolEntry, error) {
		e, err := s.read(n)
		if err != nil {
			e = &SpoolEntry{ID: n.id}
		}
		if e == nil {
			return nil, nil
		}
		return e, s.remove(n.name)
	})
}

// change calls do with each of some entries, while no other process sends it or changes it. If
// one is not there, it changes none.
func (s *Spool) change(ctx context.Context, ids []int64, do func(spoolName) (*SpoolEntry, error)) ([]*SpoolEntry, error) {
	names, _, err := s.names()
	if err != nil {
		return nil, err
	}
	var found []spoolName
	for _, id := range ids {
		i := slices.IndexFunc(names, func(n spoolName) bool { return n.id == id })
		switch {
		case i < 0:
			return nil, noEntry(id)
		case i+1 < len(names) && names[i+1].id == id: // two accounts, in the same microsecond
			return nil, &Error{Msg: fmt.Sprintf("there are two messages %d in the spool", id), Hint: "send them with `skaroctl spool flush`, or remove one of the files in " + s.folder}
		}
		found = append(found, names[i])
	}
	var changed []*SpoolEntry
	for _, n := range found {
		h, err := s.hold(ctx, n.account)
		if err != nil {
			return changed, err
		}
		e, err := do(n)
		h.Release()
		switch {
		case err != nil:
			return changed, err
		case e == nil:
			return changed, noEntry(n.id)
		}
		changed = append(changed, e)
	}
	return changed, nil
}

// noEntry returns the error for an id that is not there.
func noEntry(id int64) error {
	return &Error{Kind: KindNoEntry, Msg: fmt.Sprintf("there is no message %d in the spool", id), Hint: "run `skaroctl spool list` to see which there are"}
}

// SpoolHold is the right to send and to change the messages of one account.
type SpoolHold struct {
	spool  *Spool
	names  []spoolName
	unlock func()
}

// Hold waits for the lock of an account until ctx ends. It is nil if the spool was never used.
func (s *Spool) Hold(ctx context.Context, key Key) (*SpoolHold, error) {
	return s.hold(ctx, key.FileName())
}

func (s *Spool) hold(ctx context.Context, account string) (*SpoolHold, error) {
	f, err := s.file(account)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.close()
	unlock, err := f.lock(ctx)
	if err != nil {
		return nil, err
	}
	names, _, err := s.names()
	if err != nil {
		unlock()
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n spoolName) bool { return n.account != account })
	return &SpoolHold{spool: s, names: names, unlock: unlock}, nil
}

// Release releases the lock.
func (h *SpoolHold) Release() {
	if h != nil {
		h.unlock()
	}
}

// Next returns the next message that is to be sent, or nil. An error is about one entry; Next
// goes on with the one after it.
func (h *SpoolHold) Next() (*SpoolEntry, error) {
	for h != nil && len(h.names) > 0 {
		n := h.names[0]
		h.names = h.names[1:]
		e, err := h.spool.read(n)
		if err != nil || e != nil && e.State.Pending() {
			return e, err
		}
	}
	return nil, nil
}

// Read returns a message as it is now; nil if it is no longer there.
func (h *SpoolHold) Read(e *SpoolEntry) (*SpoolEntry, error) {
	n, _ := parseSpoolName(e.name())
	now, err := h.spool.read(n)
	if now != nil && now.Nonce != e.Nonce {
		return nil, nil // it is gone, and another process has chosen the same id
	}
	return now, err
}

// Attempt notes that a message is about to leave. repeatable means that the server will
// recognize it if it is sent again; otherwise it is unknown until its result is noted.
func (h *SpoolHold) Attempt(e *SpoolEntry, at time.Time, repeatable bool) error {
	e.State, e.Attempted, e.Reason = SpoolAttempted, at.UTC().Truncate(time.Second), ""
	if !repeatable {
		e.State, e.Reason = SpoolUnknown, "skaroctl was stopped before the server confirmed it"
	}
	return h.spool.write(e)
}

// Wait notes that a message was not delivered, and why.
func (h *SpoolHold) Wait(e *SpoolEntry, reason string) error {
	e.State, e.Attempted, e.Reason = SpoolWaiting, time.Time{}, reason
	return h.spool.write(e)
}

// Keep gives a message a state in which a person decides about it.
func (h *SpoolHold) Keep(e *SpoolEntry, state SpoolState, reason string) error {
	e.State, e.Reason = state, reason
	if state == SpoolRefused {
		e.Attempted = time.Time{}
	}
	return h.spool.write(e)
}

// Remove removes a message that was delivered, or whose failure was reported to the sender.
func (h *SpoolHold) Remove(e *SpoolEntry) error { return h.spool.remove(e.name()) }
