package store

import (
	"cmp"
	"context"
	"database/sql"
	"time"
)

// writer is the state of the writing goroutine. The caches hold what the database has, as
// far as no other process has written to it.
type writer struct {
	stmts   map[string]*sql.Stmt
	names   map[string]holder // the user or conference that has a name
	members map[int64][]int64 // of conferences, in order
	known   map[[2]int64]bool // contacts: user, contact
	version int64             // PRAGMA data_version: it changes when another process has written

	deferred  []job         // they share the next commit; see submitDeferred
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
	maxNames   = 1 << 16
	maxMembers = 1 << 12
	maxKnown   = 1 << 18
)

// job is a write on its way to the writing goroutine.
type job struct {
	// run works inside the transaction. A refusal concerns this job alone: run returns it
	// before it writes. Any other error fails every job of the group.
	run     func() error
	done    func(error) // called after the commit, in the order of the jobs
	refusal error
}

const (
	maxQueued = 4096 // jobs that wait
	maxGroup  = 512  // jobs of one transaction

	// deferTime is how long a deferred job waits for another job to share its commit. A
	// login and the message that follows it then need one commit instead of two, which
	// makes a one-shot send 5 to 10 % faster (250 pairs, 3 runs).
	deferTime = 10 * time.Millisecond
)

// submit queues a job. It waits while too many are queued. done gets the job's error, or
// ErrClosed; it is called from the writing goroutine, and must not wait.
func (s *Store) submit(run func() error, done func(error)) {
	s.queue(s.jobs, job{run: run, done: done})
}

// submitDeferred queues a job that no caller waits for: it is committed with the next job,
// or after deferTime. Deferred jobs keep their order.
func (s *Store) submitDeferred(run func() error, done func(error)) {
	s.queue(s.deferredJobs, job{run: run, done: done})
}

func (s *Store) queue(jobs chan<- job, j job) {
	select {
	case <-s.quit:
		j.done(ErrClosed)
		return
	default:
	}
	select {
	case jobs <- j:
	case <-s.quit:
		j.done(ErrClosed)
	}
}

// perform submits a job, and waits until it is done.
func (s *Store) perform(run func() error) error {
	done := make(chan error, 1)
	s.submit(run, func(err error) { done <- err })
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

// writeLoop is the writing goroutine. Close ends it, when all jobs are done.
func (s *Store) writeLoop() {
	defer close(s.done)
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	late := time.NewTimer(s.deferTime) // the first deferred job has waited for long enough
	late.Stop()
	defer late.Stop()
	for {
		select {
		case j := <-s.jobs:
			late.Stop()
			s.commit(append(s.takeDeferred(), j))
		case j := <-s.deferredJobs:
			if len(s.deferred) == 0 {
				late.Reset(s.deferTime)
			}
			s.deferred = append(s.deferred, j)
			if len(s.deferred) == maxGroup {
				late.Stop()
				s.commit(s.takeDeferred())
			}
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
func (s *Store) takeDeferred() []job {
	jobs := s.deferred
	s.deferred = nil
	for len(jobs) < maxGroup {
		select {
		case j := <-s.deferredJobs:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// commitAll commits every queued job.
func (s *Store) commitAll() {
	for {
		jobs := s.takeDeferred()
		select {
		case j := <-s.jobs:
			jobs = append(jobs, j)
		default:
		}
		if len(jobs) == 0 {
			return
		}
		s.commit(jobs)
	}
}

// commit runs jobs and the others that are queued, in one transaction.
func (s *Store) commit(jobs []job) {
	if err := s.exec("BEGIN IMMEDIATE"); err != nil {
		s.rollBack()
		// SQLite has waited for another process. The jobs that came meanwhile must not all wait
		// as long again.
		for range len(s.jobs) {
			jobs = append(jobs, <-s.jobs)
		}
		for _, j := range jobs {
			j.done(err)
		}
		return
	}
	s.checkForeign()
	group, err := s.runGroup(jobs)
	if err == nil {
		err = s.checkFile()
	}
	if err == nil {
		err = s.exec("COMMIT")
	}
	if err != nil {
		s.rollBack()
	}
	for _, j := range group {
		j.done(cmp.Or(err, j.refusal))
	}
}

// runGroup runs jobs and then the others that are queued, up to the first that fails.
func (s *Store) runGroup(group []job) ([]job, error) {
	for i := 0; ; i++ {
		if i == len(group) {
			if len(group) >= maxGroup {
				return group, nil
			}
			select {
			case next := <-s.jobs:
				group = append(group, next)
			default:
				return group, nil
			}
		}
		if err := group[i].run(); Refused(err) {
			group[i].refusal = err
		} else if err != nil {
			return group, err
		}
	}
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
	if s.row("PRAGMA data_version").Scan(&version) != nil || version == s.version {
		return
	}
	s.version = version
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

// row reads one row.
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
