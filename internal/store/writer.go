package store

import (
	"cmp"
	"context"
	"database/sql"
	"time"
)

// writer is the state of the writing goroutine. The caches names, members and known hold what the
// database has. They are emptied when another process has written to it.
type writer struct {
	stmts   map[string]*sql.Stmt
	names   map[string]holder // the user or conference that has a name
	members map[int64][]int64 // of conferences, in order
	known   map[[2]int64]bool // contacts: user, contact
	extra   int               // cost of the job that runs, beyond that with which it was queued

	dataVersion int64 // PRAGMA data_version: it changes when another process has written

	syncTime time.Duration // of the last commit

	deferred  []*job        // they share the next commit; see submitDeferred
	deferTime time.Duration // how long the first of them waits for that

	onForeign func()        // see OnForeignWrite
	interval  time.Duration // how often to look for writes of another process
}

func newWriter() writer {
	return writer{
		stmts: map[string]*sql.Stmt{}, names: map[string]holder{}, members: map[int64][]int64{}, known: map[[2]int64]bool{},
		deferTime: deferTime, interval: 250 * time.Millisecond,
	}
}

// Bounds of the caches: one that is full is emptied.
const (
	cachedNames       = 1 << 16
	cachedConferences = 1 << 12 // with their members
	cachedContacts    = 1 << 18
)

// job is a write on its way to the writing goroutine.
type job struct {
	// run works inside the transaction. A refusal concerns this job alone: run returns it
	// before it writes. Any other error fails every job of the group.
	run   func() error
	done  func(error)   // called after the commit, in the order of the jobs
	err   error         // for done
	taken chan struct{} // closed when the writing goroutine takes the job; nil if no caller waits for that

	user   int64
	cost   int           // with which it was queued
	pushes int           // that it causes
	took   time.Duration // to announce it
}

// nobody is the user of jobs that belong to no user.
const nobody = 0

// The cost of a job is the time that it takes in a commit. The unit is the time that one byte of
// a body takes.
const (
	jobCost     = 4 << 10   // of a job without a body
	memberCost  = 32        // of each member of the conference that a message goes to
	turnCost    = 16 << 10  // of the jobs of one user's turn
	maxQueued   = 16 << 20  // of the jobs that wait
	minGroup    = 256 << 10 // of one transaction, if its jobs take longer to run than the last commit took
	maxGroup    = 1 << 20   // of one transaction in any case
	userGroup   = 32 << 10  // of one transaction for a user who is not alone; the last job may exceed it
	maxDeferred = 4096      // deferred jobs that wait, and that share a commit

	// maxRest is how long the jobs of a user wait at most because others are active.
	maxRest = 250 * time.Millisecond

	// deferTime is how long a deferred job waits for another job to share its commit. A
	// login and the message that follows it then need one commit instead of two, which
	// makes a one-shot send 5 to 10 % faster (250 pairs, 3 runs).
	deferTime = 10 * time.Millisecond
)

// The pushes of a transaction, which are made during the next one.
const (
	minPushes = 1 << 10 // up to maxPushes if the user is alone and they take less time than the last commit
	maxPushes = 4 << 10
	pushTime  = time.Microsecond // of a push

	// stepTime is the most that a user is charged for one write to a connection, and for one
	// message beside its pushes. What takes longer has waited for a processor.
	stepTime = time.Millisecond
	slowPush = 10 * time.Microsecond // the most for each push
)

// groupSize is what the jobs of a transaction come to.
type groupSize struct {
	cost, pushes int
	took         time.Duration // to run them
	alone        bool          // no other user has been active for a while
}

// full reports whether the transaction has enough jobs: the next job waits until these are on
// disk, and for their pushes.
func (z groupSize) full(disk time.Duration) bool {
	return z.cost >= maxGroup || z.cost >= minGroup && z.took >= disk ||
		z.pushes >= maxPushes || z.pushes >= minPushes && (!z.alone || time.Duration(z.pushes)*pushTime >= disk)
}

// submit queues a job of a user. It waits while the user has more than a share of the queue.
// done gets the job's error from the announcing goroutine, in the order of the jobs, and must not
// wait for the store. After Close, submit gives it ErrClosed. submit reports whether it waited.
func (s *Store) submit(user int64, cost int, run func() error, done func(error)) (waited bool) {
	j := &job{run: run, done: done}
	if !s.queue.push(user, cost, j) {
		done(ErrClosed)
	}
	return j.taken != nil
}

// submitDeferred queues a job that no caller waits for: it is committed with the next job,
// or after deferTime. Deferred jobs keep their order.
func (s *Store) submitDeferred(run func() error, done func(error)) {
	select {
	case <-s.quit:
		done(ErrClosed)
		return
	default:
	}
	select {
	case s.deferredJobs <- &job{run: run, done: done}:
	case <-s.quit:
		done(ErrClosed)
	}
}

// perform submits a job that belongs to no user, and waits until it is done.
func (s *Store) perform(run func() error) error { return s.performFor(nobody, run) }

// performFor submits a job of a user, and waits until it is done.
func (s *Store) performFor(user int64, run func() error) error {
	done := make(chan error, 1)
	s.submit(user, jobCost, run, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-s.done:
		select {
		case err := <-done:
			return err
		default:
			return ErrClosed
		}
	}
}

// OnForeignWrite sets a function that is called after another process has written to the
// database. It must not wait for the store.
func (s *Store) OnForeignWrite(f func()) {
	select {
	case s.foreign <- f:
	case <-s.done:
	}
}

// OnCommit sets a function that is called after every successful commit, with the number
// of its writes and the time that it took. It must not wait.
func (s *Store) OnCommit(f func(writes int, took time.Duration)) { s.onCommit.Store(&f) }

// writeLoop is the writing goroutine. Close ends it, when all jobs are done.
func (s *Store) writeLoop() {
	defer close(s.committed)
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	late := time.NewTimer(s.deferTime) // the first deferred job has waited for long enough
	late.Stop()
	defer late.Stop()
	due := time.NewTimer(s.deferTime) // a user whose jobs wait need wait no longer
	due.Stop()
	defer due.Stop()
	for {
		select {
		case <-s.queue.wake:
			wait, ok := s.queue.wait()
			if !ok {
				continue // the commit before took them
			}
			if wait > 0 {
				due.Reset(wait)
				continue
			}
			late.Stop()
			s.commit(s.takeDeferred())
		case j := <-s.deferredJobs:
			if len(s.deferred) == 0 {
				late.Reset(s.deferTime)
			}
			s.deferred = append(s.deferred, j)
			if len(s.deferred) == maxDeferred {
				late.Stop()
				s.commit(s.takeDeferred())
			}
		case <-due.C:
			s.queue.ring()
		case <-late.C:
			s.commit(s.takeDeferred())
		case <-ticker.C:
			s.checkForeign()
		case s.onForeign = <-s.foreign:
		case <-s.quit:
			s.commitAll()
			return
		}
	}
}

// takeDeferred takes the deferred jobs, to be committed now.
func (s *Store) takeDeferred() []*job {
	jobs := s.deferred
	s.deferred = nil
	for len(jobs) < maxDeferred {
		select {
		case j := <-s.deferredJobs:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// commitAll commits every queued job, and closes the queue.
func (s *Store) commitAll() {
	s.queue.hurry()
	for {
		jobs := s.takeDeferred()
		if len(jobs) == 0 && s.queue.close() {
			return
		}
		s.commit(jobs)
	}
}

// commit runs deferred jobs and then those that are queued, as many as a group may have, in
// one transaction. It hands them to the announcing goroutine, and goes on: their replies
// and pushes are made during the next commit.
func (s *Store) commit(group []*job) {
	begun := time.Now()
	if err := s.exec("BEGIN IMMEDIATE"); err != nil {
		s.rollBack()
		// SQLite has waited for another process. The jobs that came meanwhile must not all wait
		// as long again.
		for j := s.queue.popAny(); j != nil; j = s.queue.popAny() {
			group = append(group, j)
		}
		s.announce(group, err)
		return
	}
	s.checkForeign()
	locked := s.queue.now()
	group, err := s.runGroup(group)
	if err == nil {
		err = s.checkFile()
	}
	if err == nil {
		begins := time.Now()
		err = s.exec("COMMIT")
		s.syncTime = time.Since(begins)
	}
	if err != nil {
		s.rollBack()
	} else if f := s.onCommit.Load(); f != nil {
		(*f)(len(group), time.Since(begun))
	}
	s.charge(group, s.queue.now().Sub(locked))
	s.announce(group, err)
	if !s.queue.empty() {
		s.queue.ring()
	}
}

// charge charges users for a transaction, and for the pushes that it causes. The users of a small
// transaction pay for as much of its time as if it were full: a user with few jobs does not wait.
func (s *Store) charge(group []*job, took time.Duration) {
	total := 0
	for _, j := range group {
		total += j.cost
	}
	total = max(total, minGroup)
	s.queue.took(group, func(j *job) time.Duration {
		return took*time.Duration(j.cost)/time.Duration(total) + time.Duration(j.pushes)*pushTime
	})
}

// Took tells the store how long the server took for one write that a user has caused. If all of a
// user's take much time, the user's jobs wait while other users are active.
func (s *Store) Took(user int64, took time.Duration) {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	s.queue.pace.Took(user, min(took, stepTime), s.queue.clock())
}

// announce hands a group that was committed, or has failed, to the announcing goroutine. It
// waits while that is busy with the group before the last one.
func (s *Store) announce(group []*job, err error) {
	for _, j := range group {
		j.err = cmp.Or(err, j.err)
	}
	s.committed <- group
}

// announceLoop is the announcing goroutine: it calls the done of each job, in the order of the
// commits. It ends after the writing goroutine.
func (s *Store) announceLoop() {
	defer close(s.done)
	for group := range s.committed {
		last := s.queue.now()
		for _, j := range group {
			j.done(j.err)
			now := s.queue.now()
			j.took, last = now.Sub(last), now
		}
		s.queue.took(group, func(j *job) time.Duration {
			pushes := time.Duration(j.pushes)
			return max(0, min(j.took, stepTime+pushes*slowPush)-pushes*pushTime) // charge has charged for pushTime
		})
	}
}

// runGroup runs deferred jobs and then the others that are queued, up to the first that fails.
func (s *Store) runGroup(group []*job) ([]*job, error) {
	for _, j := range group {
		if err := s.runJob(j); err != nil {
			return group, err
		}
	}
	start := time.Now()
	s.queue.beginGroup()
	for z := (groupSize{}); !z.full(s.syncTime); z.took = time.Since(start) {
		j, alone := s.queue.pop()
		if j == nil {
			break
		}
		group = append(group, j)
		s.extra = 0
		if err := s.runJob(j); err != nil {
			return group, err
		}
		if s.extra > 0 {
			s.queue.addCost(j.user, s.extra)
		}
		j.pushes = s.extra / memberCost
		z.cost += j.cost
		z.pushes += j.pushes
		z.alone = alone
	}
	return group, nil
}

// runJob runs a job. A refusal is the result of the job; any other error is returned.
func (s *Store) runJob(j *job) error {
	if j.err = j.run(); Refused(j.err) {
		return nil
	}
	return j.err
}

// rollBack ends a transaction that has failed. SQLite may have rolled it back already:
// then there is nothing to roll back.
func (s *Store) rollBack() {
	_, _ = s.conn.ExecContext(context.Background(), "ROLLBACK")
	s.clearCaches()
}

// checkForeign empties the caches if another process has written.
func (s *Store) checkForeign() {
	var version int64
	if s.row("PRAGMA data_version").Scan(&version) != nil || version == s.dataVersion {
		return
	}
	s.dataVersion = version
	s.clearCaches()
	if s.onForeign != nil {
		s.onForeign()
	}
}

func (w *writer) clearCaches() {
	clear(w.names)
	clear(w.members)
	clear(w.known)
}

// cache remembers a value, in a map of a limited size.
func cache[K comparable, V any](m map[K]V, most int, key K, value V) {
	if len(m) >= most {
		clear(m)
	}
	m[key] = value
}

// The methods below run statements inside the writing goroutine. Each statement is
// prepared once.

func (s *Store) stmt(query string) (*sql.Stmt, error) {
	if st := s.stmts[query]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(context.Background(), query)
	if err == nil {
		s.stmts[query] = st
	}
	return st, err
}

func (s *Store) exec(query string, args ...any) error {
	st, err := s.stmt(query)
	if err == nil {
		_, err = st.Exec(args...)
	}
	return err
}

// insert executes a statement that inserts a row. It returns the row's id, and whether
// there is one: an INSERT OR IGNORE may insert nothing.
func (s *Store) insert(query string, args ...any) (id int64, inserted bool, err error) {
	st, err := s.stmt(query)
	if err != nil {
		return 0, false, err
	}
	r, err := st.Exec(args...)
	if err != nil {
		return 0, false, err
	}
	if n, err := r.RowsAffected(); n == 0 || err != nil {
		return 0, false, err
	}
	id, err = r.LastInsertId()
	return id, true, err
}

// change executes a statement, and returns how many rows it has changed.
func (s *Store) change(query string, args ...any) (int64, error) {
	st, err := s.stmt(query)
	if err != nil {
		return 0, err
	}
	r, err := st.Exec(args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// scanner is a row: its Scan also has the error of the query.
type scanner interface{ Scan(...any) error }

func (s *Store) row(query string, args ...any) scanner {
	st, err := s.stmt(query)
	if err != nil {
		return failedRow{err}
	}
	return st.QueryRow(args...)
}

type failedRow struct{ err error }

func (f failedRow) Scan(...any) error { return f.err }

// column reads the first column of all rows.
func (s *Store) column(query string, args ...any) ([]int64, error) {
	st, err := s.stmt(query)
	if err != nil {
		return nil, err
	}
	rows, err := st.Query(args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(n *int64) []any { return []any{n} })
}

// collect reads all rows, each into the fields of a value, and closes them.
func collect[T any](rows *sql.Rows, fields func(*T) []any) ([]T, error) {
	defer rows.Close()
	var list []T
	for rows.Next() {
		var value T
		if err := rows.Scan(fields(&value)...); err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, rows.Err()
}
