package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The next message sees a change by another process, and OnForeignWrite is called soon.
func TestWritesOfAnotherProcessAreSeen(t *testing.T) {
	s := newStore(t, "alice", "bob")
	noticed := make(chan struct{}, 100)
	s.OnForeignWrite(func() { noticed <- struct{}{} })
	other := open(t, s.path)
	mustSend(t, s, "alice", "bob", "1") // the writer knows bob now
	if len(noticed) != 0 {
		t.Error("our own write counts as another's")
	}
	if err := other.RemoveUser("bob", now); err != nil {
		t.Fatal(err)
	}
	if _, err := send(s, Message{Sender: id(t, s, "alice"), To: "bob", Body: "2", Date: now}); !errors.Is(err, ErrNoUser) {
		t.Errorf("to a user whom another process removed: %v", err)
	}
	<-noticed
	if err := other.AddUser("carol", newToken("x"), now); err != nil {
		t.Fatal(err)
	}
	<-noticed // no job is waiting: the ticker looks
	mustSend(t, s, "alice", "carol", "3")
	members := func(body string) string {
		t.Helper()
		return fmt.Sprint(mustSend(t, s, "alice", "ops", body).Members)
	}
	alice, carol := id(t, s, "alice"), id(t, s, "carol")
	if err := other.CreateConference("ops", []string{"alice"}, now); err != nil {
		t.Fatal(err)
	}
	if got := members("4"); got != fmt.Sprint([]int64{alice}) {
		t.Errorf("members %s", got)
	}
	if _, err := other.AddMembers("ops", []string{"carol"}); err != nil {
		t.Fatal(err)
	}
	if got := members("5"); got != fmt.Sprint([]int64{alice, carol}) {
		t.Errorf("members %s", got)
	}
	if err := other.RemoveMembers("ops", []string{"alice"}); err != nil {
		t.Fatal(err)
	}
	if _, err := send(s, Message{Sender: alice, To: "ops", Body: "6", Date: now}); !errors.Is(err, ErrNotMember) {
		t.Errorf("from a member whom another process removed: %v", err)
	}
	if err := other.DeleteConference("ops", now); err != nil {
		t.Fatal(err)
	}
	if _, err := send(s, Message{Sender: carol, To: "ops", Body: "7", Date: now}); !errors.Is(err, ErrNoUser) {
		t.Errorf("to a conference that another process deleted: %v", err)
	}
}

// A full disk refuses what does not fit. Nothing else is lost.
func TestFullDiskRefusesOnlyWhatDoesNotFit(t *testing.T) {
	s := newStore(t, "alice", "bob")
	mustSend(t, s, "alice", "bob", "before")
	limit := func(pages int) {
		t.Helper()
		if err := s.perform(func() error { return s.exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)) }); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite takes this as: no larger than now
	alice := id(t, s, "alice")
	if _, err := send(s, Message{Sender: alice, To: "bob", Body: strings.Repeat("x", 100_000), Date: now}); err == nil || errors.Is(err, ErrNoUser) {
		t.Errorf("with no room: %v", err)
	}
	limit(1 << 30)
	if sent := mustSend(t, s, "alice", "bob", "after"); sent.ID != 2 {
		t.Errorf("the next id is %d", sent.ID)
	}
	if got, _ := updates(t, s, alice, 0, 10); got != "alice>bob:before alice>bob:after" {
		t.Errorf("%s", got)
	}
}

// A job that the database refuses fails its whole group, and nothing of the group is stored.
func TestFailedJobFailsItsGroup(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice := id(t, s, "alice")
	broken := errors.New("broken")
	result := make(chan error, 3)
	// The first of these keeps the writer busy until the rest is queued.
	started, queued := make(chan struct{}), make(chan struct{})
	s.submit(nobody, jobCost, func() error { close(started); <-queued; return nil }, func(err error) { result <- err })
	<-started
	s.Send(Message{Sender: alice, To: "bob", Body: "x", Date: now}, func(_ Stored, err error) { result <- err })
	s.submit(nobody, jobCost, func() error { return broken }, func(err error) { result <- err })
	close(queued)
	for range 3 {
		if err := <-result; !errors.Is(err, broken) {
			t.Errorf("the result is %v", err)
		}
	}
	if got, _ := updates(t, s, alice, 0, 10); got != "" {
		t.Errorf("there is %s", got)
	}
	mustSend(t, s, "alice", "bob", "y")
	if c, err := s.Contacts(t.Context(), alice); err != nil || len(c) != 1 {
		t.Errorf("the contact was forgotten: %v, %v", c, err)
	}
}

// While another process locks the database, the jobs that wait fail together, even when the store
// is closed.
func TestLockedDatabaseRefusesAllTogether(t *testing.T) {
	s := newStore(t, "alice")
	alice := id(t, s, "alice")
	if err := s.perform(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 100"); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	begins := time.Now()
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	const waiting = 2000
	results := make(chan error, waiting)
	for range waiting {
		s.Send(Message{Sender: alice, To: "alice", Body: "x", Date: now}, func(_ Stored, err error) { results <- err })
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begins); took > waiting*100*time.Millisecond/2 {
		t.Errorf("each has waited for itself: it took %v", took)
	}
	for range waiting {
		if err := <-results; err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("the result is %v", err)
		}
	}
}

// hold keeps the writing goroutine inside a job until release is called.
func hold(s *Store) (release func()) {
	started, free := make(chan struct{}), make(chan struct{})
	s.submit(nobody, maxGroup, func() error { close(started); <-free; return nil }, func(error) {})
	<-started
	return func() { close(free) }
}

// A user who sends one message waits for a turn of each other user, not for all that they have
// queued.
func TestUsersAreWrittenInTurn(t *testing.T) {
	const flood = 1000
	s := newStore(t, "alice", "bob", "mallory")
	alice, mallory := id(t, s, "alice"), id(t, s, "mallory")
	s.queue.hurry()
	release := hold(s)
	ids := make(chan int64, flood)
	for range flood {
		s.Send(Message{Sender: mallory, To: "bob", Body: "x", Date: now}, func(stored Stored, _ error) { ids <- stored.ID })
	}
	var honest int64
	s.Send(Message{Sender: alice, To: "bob", Body: "x", Date: now}, func(stored Stored, _ error) { honest = stored.ID })
	release()
	last := int64(0)
	for range flood {
		id := <-ids
		if id <= last {
			t.Fatalf("the message %d of one user comes after %d", id, last)
		}
		last = id
	}
	if honest < 1 || honest > 2*turnCost/jobCost {
		t.Errorf("the other user's message is number %d of %d", honest, flood+1)
	}
}

// The members of a conference count in the turns of the sender.
func TestConferenceMessagesCostTheirMembers(t *testing.T) {
	const members, flood = 400, 200
	s := newStore(t, "alice", "bob", "mallory")
	logins := []string{"mallory"}
	err := s.perform(func() error {
		for i := range members {
			login := fmt.Sprint("m", i)
			logins = append(logins, login)
			if _, err := s.insertUser(login, newToken("x"), now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateConference("ops", logins, now); err != nil {
		t.Fatal(err)
	}
	alice, mallory := id(t, s, "alice"), id(t, s, "mallory")
	s.queue.hurry()
	release := hold(s)
	var order []int64
	for range flood {
		s.Send(Message{Sender: mallory, To: "ops", Body: "x", Date: now}, func(Stored, error) { order = append(order, mallory) })
		s.Send(Message{Sender: alice, To: "bob", Body: "x", Date: now}, func(Stored, error) { order = append(order, alice) })
	}
	release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	conference := 0
	for _, sender := range order[:flood] {
		if sender == mallory {
			conference++
		}
	}
	// Each costs as much as four messages to a user.
	if len(order) != 2*flood || conference < flood/8 || conference > flood/3 {
		t.Errorf("%d messages to the conference are among the first %d", conference, flood)
	}
}

// A transaction ends when its jobs take longer than the disk, or when their pushes would delay those
// of the next one.
func TestTransactionsAreBounded(t *testing.T) {
	const disk = 3 * time.Millisecond
	for _, test := range []struct {
		size groupSize
		disk time.Duration
		full bool
	}{
		{groupSize{cost: minGroup - 1, took: time.Hour}, disk, false},
		{groupSize{cost: minGroup, took: disk - 1}, disk, false},
		{groupSize{cost: minGroup, took: disk}, disk, true},
		{groupSize{cost: maxGroup}, time.Hour, true},
		{groupSize{pushes: minPushes - 1}, disk, false},
		{groupSize{pushes: minPushes}, disk, true},
		{groupSize{pushes: minPushes, alone: true}, disk, false},
		{groupSize{pushes: 3 * minPushes, alone: true}, disk, true},
		{groupSize{pushes: maxPushes, alone: true}, time.Hour, true},
	} {
		if test.size.full(test.disk) != test.full {
			t.Errorf("%+v with a disk that takes %v: full is %v", test.size, test.disk, !test.full)
		}
	}
}

// A message that comes while another user floods a conference waits for the transaction that runs,
// and is in the next one, which has at most minPushes pushes and those of one more message.
func TestMessageBesideAConferenceIsInTheNextTransaction(t *testing.T) {
	const members, flood = 400, 30
	s := newStore(t, "alice", "bob", "mallory")
	logins := []string{"mallory"}
	err := s.perform(func() error {
		for i := range members {
			logins = append(logins, fmt.Sprint("m", i))
			if _, err := s.insertUser(logins[i+1], newToken("x"), now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CreateConference("ops", logins, now); err != nil {
		t.Fatal(err)
	}
	alice, mallory := id(t, s, "alice"), id(t, s, "mallory")
	s.queue.hurry()
	release := hold(s)
	var groups []int // writes of each transaction
	s.OnCommit(func(writes int, _ time.Duration) { groups = append(groups, writes) })
	var order []int64
	for range flood {
		s.Send(Message{Sender: mallory, To: "ops", Body: "x", Date: now}, func(Stored, error) { order = append(order, mallory) })
	}
	s.Send(Message{Sender: alice, To: "bob", Body: "x", Date: now}, func(Stored, error) { order = append(order, alice) })
	release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const most = minPushes/members + 1 // messages to the conference
	for i, n := range groups {
		if n > most+1 {
			t.Errorf("transaction %d has %d messages", i, n)
		}
	}
	if at := slices.Index(order, alice); at < 0 || at > most {
		t.Errorf("the message is number %d of %d", at, flood)
	}
}

// stopClock lets the clock of the queue stand still until advance is called.
func stopClock(s *Store) (advance func(time.Duration)) {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	at := now
	s.queue.clock = func() time.Time { return at }
	return func(d time.Duration) {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		at = at.Add(d)
	}
}

// A user whose jobs take most of the time waits while another user is active, whatever took the time.
// The other user does not wait.
func TestUserWaitsBesideOthers(t *testing.T) {
	for _, test := range []struct {
		name  string
		flood func(s *Store, mallory int64, advance func(time.Duration), done func(error))
		waits bool
	}{
		{"a slow transaction", func(s *Store, mallory int64, advance func(time.Duration), done func(error)) {
			s.submit(mallory, minGroup, func() error { advance(time.Second); return nil }, done)
		}, true},
		{"a small part of one", func(s *Store, mallory int64, advance func(time.Duration), done func(error)) {
			s.submit(mallory, minGroup/1000, func() error { advance(time.Second); return nil }, done)
		}, false},
		{"slow pushes", func(s *Store, mallory int64, advance func(time.Duration), done func(error)) {
			s.submit(mallory, jobCost, func() error { s.extra = 1000 * memberCost; return nil }, func(err error) { advance(time.Second); done(err) })
		}, true},
		{"a wait for a processor", func(s *Store, mallory int64, advance func(time.Duration), done func(error)) {
			s.submit(mallory, jobCost, func() error { return nil }, func(err error) { advance(time.Second); done(err) })
		}, false},
		{"a write that waits for one", func(s *Store, mallory int64, _ func(time.Duration), done func(error)) {
			s.Took(mallory, time.Second)
			done(nil)
		}, false},
		{"many writes", func(s *Store, mallory int64, advance func(time.Duration), done func(error)) {
			for range 1000 {
				s.Took(mallory, stepTime/10)
			}
			done(nil)
		}, true},
		{"many pushes", func(s *Store, mallory int64, advance func(time.Duration), done func(error)) {
			s.submit(mallory, jobCost, func() error { s.extra = 1e6 * memberCost; return nil }, done)
		}, true},
	} {
		s := newStore(t, "alice", "mallory")
		alice, mallory := id(t, s, "alice"), id(t, s, "mallory")
		advance := stopClock(s)
		nothing := func() error { return nil }
		write := func(user int64) {
			t.Helper()
			if err := s.performFor(user, nothing); err != nil {
				t.Fatal(err)
			}
		}
		flooded := make(chan error, 1)
		test.flood(s, mallory, advance, func(err error) { flooded <- err })
		if err := <-flooded; err != nil {
			t.Fatal(err)
		}
		write(alice) // the announcing goroutine has charged mallory before
		if got := s.queue.pace.Wait(mallory, s.queue.now()) > 0; got != test.waits {
			t.Errorf("%s: the user waits: %v", test.name, got)
		}
		next := make(chan struct{})
		s.submit(mallory, jobCost, nothing, func(error) { close(next) })
		for range 3 {
			write(alice)
			select {
			case <-next:
				if test.waits {
					t.Errorf("%s: the next job of the user does not wait", test.name)
				}
			default:
			}
		}
		advance(time.Second)
		write(alice)
		<-next
	}
}

// The jobs of a user who waits are done in time, also if no other job comes.
func TestWaitEndsByItself(t *testing.T) {
	s := newStore(t, "alice", "mallory")
	alice, mallory := id(t, s, "alice"), id(t, s, "mallory")
	nothing := func() error { return nil }
	if err := s.performFor(alice, nothing); err != nil {
		t.Fatal(err)
	}
	s.queue.took([]*job{{user: mallory}}, func(*job) time.Duration { return time.Second })
	if err := s.performFor(mallory, nothing); err != nil {
		t.Fatal(err)
	}
}

// Beside others, a transaction has a bounded part for each user, and room for the jobs of others.
func TestTransactionHasPartsForUsers(t *testing.T) {
	const flood, extra = 3 * userGroup / jobCost, userGroup/jobCost + 5
	s := newStore(t, "alice", "bob", "mallory")
	users := []int64{id(t, s, "alice"), id(t, s, "bob"), id(t, s, "mallory")}
	stopClock(s) // no user waits
	release := hold(s)
	var groups []int // writes of each transaction
	s.OnCommit(func(writes int, _ time.Duration) { groups = append(groups, writes) })
	for i := range flood {
		for _, user := range users {
			s.submit(user, jobCost, func() error { return nil }, func(error) {})
		}
		if i < extra { // jobs of no user have no limit of their own
			s.submit(nobody, jobCost, func() error { return nil }, func(error) {})
		}
	}
	s.submit(users[0], 2*userGroup, func() error { return nil }, func(error) {}) // more than a part
	release()
	for _, user := range users {
		if err := s.performFor(user, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	const part = userGroup / jobCost
	want := []int{1, 3*part + extra, 3 * part, 3 * part}
	if len(groups) < 4 || !slices.Equal(groups[:4], want) {
		t.Errorf("transactions of %v jobs instead of %v", groups, want)
	}
}

// The jobs of users who wait are done when the store closes.
func TestCloseLetsNoUserWait(t *testing.T) {
	s := newStore(t, "alice", "mallory")
	alice, mallory := id(t, s, "alice"), id(t, s, "mallory")
	advance := stopClock(s)
	if err := s.performFor(mallory, func() error { advance(time.Second); s.extra = 1e6 * memberCost; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.performFor(alice, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	done := false
	s.submit(mallory, jobCost, func() error { return nil }, func(err error) { done = err == nil })
	if err := s.Close(); err != nil || !done {
		t.Errorf("the job is done: %v; %v", done, err)
	}
}

// What one user may have queued is bounded: then Send waits until the message is taken.
func TestSendWaitsWhileTheSenderHasTheShare(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice := id(t, s, "alice")
	release := hold(s)
	var done sync.WaitGroup
	body := strings.Repeat("x", 100<<10)
	queued := make(chan bool)
	const n = maxQueued / (100 << 10)
	done.Add(n)
	go func() {
		for range n {
			s.Send(Message{Sender: alice, To: "bob", Body: body, Date: now}, func(Stored, error) { done.Done() })
			queued <- true
		}
		close(queued)
	}()
	for range n/2 - 5 {
		<-queued
	}
	// Half of the queue is full. Sends go on until the share of one user is exceeded, and the
	// next one waits: it is in the queue, and its sender has no answer.
	eventually(t, "a Send waits", func() bool {
		select {
		case <-queued:
		default:
		}
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return s.queue.jobs.CostOf(alice) > s.queue.jobs.Share(maxQueued)
	})
	select {
	case <-queued:
		t.Error("a Send above the share has returned")
	default:
	}
	release()
	for range queued {
	}
	done.Wait()
}

// The writing goroutine goes on while callers are told about the previous commit.
func TestCommitsGoOnBesideTheirAnnouncements(t *testing.T) {
	s := newStore(t)
	told, goOn := make(chan struct{}), make(chan struct{})
	s.submit(nobody, jobCost, func() error { return nil }, func(error) { close(told); <-goOn })
	<-told
	ran := make(chan struct{})
	var order []int
	s.submit(nobody, jobCost, func() error { close(ran); return nil }, func(error) { order = append(order, 2) })
	<-ran
	order = append(order, 1)
	close(goOn)
	if err := s.Close(); err != nil || fmt.Sprint(order) != "[1 2]" {
		t.Errorf("the order is %v; %v", order, err)
	}
}

// Sends are done in the order of their ids, whichever goroutine submits them.
func TestSendIsDoneInOrderOfIDs(t *testing.T) {
	s := newStore(t, "alice", "bob")
	alice := id(t, s, "alice")
	var ids []int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				s.Send(Message{Sender: alice, To: "bob", Body: "x", Date: now}, func(stored Stored, _ error) { ids = append(ids, stored.ID) })
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(ids) != 2000 {
		t.Errorf("%d completions", len(ids))
	}
	for i, id := range ids {
		if id != int64(i+1) {
			t.Fatalf("the message %d completes as number %d", id, i+1)
		}
	}
}

// keepDeferred makes deferred jobs wait for an hour. The writing goroutine sets the time
// itself, between two jobs.
func keepDeferred(t *testing.T, s *Store) {
	t.Helper()
	if err := s.perform(func() error { s.deferTime = time.Hour; return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestDeferredJobSharesTheNextCommit(t *testing.T) {
	s := newStore(t)
	keepDeferred(t, s)
	var ran, committed, shared bool
	s.submitDeferred(func() error { ran = true; return nil }, func(error) { committed = true })
	if err := s.perform(func() error { shared = ran && !committed; return nil }); err != nil {
		t.Fatal(err)
	}
	if !shared || !committed {
		t.Errorf("ran before the next job: %v; committed with it: %v", shared, committed)
	}
}

func TestDeferredJobIsCommittedAlone(t *testing.T) {
	s := newStore(t)
	done := make(chan error)
	s.submitDeferred(func() error { return nil }, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCloseCommitsDeferredJobs(t *testing.T) {
	s := newStore(t)
	keepDeferred(t, s)
	committed := false
	s.submitDeferred(func() error { return nil }, func(err error) { committed = err == nil })
	if err := s.Close(); err != nil || !committed {
		t.Errorf("committed: %v; %v", committed, err)
	}
}
