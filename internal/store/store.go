// Package store is what skarod must not forget: users, conferences, sessions and
// messages, in one SQLite file. One goroutine writes, in groups: whoever waits for a
// write is answered after the commit that made it durable.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

var (
	// ErrNoUser is the error for a login that nobody has.
	ErrNoUser = errors.New("no such user")
	// ErrTaken is the error for a login that somebody has.
	ErrTaken = errors.New("the login is taken")
	// ErrNoConference is the error for a name that no conference has.
	ErrNoConference = errors.New("no such conference")
	// ErrIsConference is the error for a login that is the name of a conference.
	ErrIsConference = errors.New("it is the name of a conference")
	// ErrNotMember is the error for somebody who is not in a conference.
	ErrNotMember = errors.New("not a member of the conference")
	// ErrNonce is the error for a nonce that was used for another message.
	ErrNonce = errors.New("the nonce was used for another message")
	// ErrClosed is the error of everything after Close.
	ErrClosed = errors.New("the store is closed")
)

// NonceLife is how long a nonce is remembered (docs/protocol.md, "nonce").
const NonceLife = 24 * time.Hour

// Store is an open database.
type Store struct {
	path   string
	file   fs.FileInfo // of the file that we have open
	read   *sql.DB
	write  *sql.DB
	conn   *sql.Conn // the one connection of write
	writes chan write
	quit   chan struct{}
	done   chan struct{}

	// ours alone: used by the writing goroutine
	stmts     map[string]*sql.Stmt
	names     map[string]named  // who has a name, as long as no other process writes
	members   map[int64][]int64 // of conferences, in order, as long as that
	pairs     map[[2]int64]bool // contacts known to be stored
	version   int64             // PRAGMA data_version: it changes when another process has written
	onForeign func()            // see OnForeignWrite
	foreign   chan func()       // sets onForeign
	tick      time.Duration     // how often to look for another process's writes
}

// write is an operation on its way to the writing goroutine.
type write struct {
	// run works inside the transaction. A refusal of it is for done alone, and comes
	// before run has written anything; any other error fails every write of the
	// transaction.
	run     func() error
	done    func(error) // called after the commit, in the order of the writes
	refusal error
}

// Refused reports whether an error says no more than that something can't be done:
// the database is fine.
func Refused(err error) bool {
	if err == nil {
		return false
	}
	return slices.ContainsFunc([]error{ErrNoUser, ErrTaken, ErrNoConference, ErrIsConference, ErrNotMember, ErrNonce, ErrNoContact, ErrNoInvite, ErrInviteUsed},
		func(refusal error) bool { return errors.Is(err, refusal) })
}

const (
	queued = 4096 // writes that wait at most
	group  = 512  // writes of one transaction at most
)

// walPages lets the write-ahead log grow to 32 MiB before it is folded into the
// database: the pages of the indexes that every message touches are written back
// once for thousands of messages, and not for hundreds.
const walPages = "wal_autocheckpoint(8192)"

// Open opens the database file, and makes it (mode 0600, its folder 0700) where
// there is none.
func Open(path string) (*Store, error) {
	s, err := openStore(path)
	if err != nil {
		var file *fs.PathError
		if errors.As(err, &file) && file.Path == path {
			err = file.Err // the path is said once
		}
		return nil, err
	}
	return s, nil
}

func openStore(path string) (*Store, error) {
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	s := &Store{
		path: path, writes: make(chan write, queued), quit: make(chan struct{}), done: make(chan struct{}), foreign: make(chan func()),
		stmts: map[string]*sql.Stmt{}, names: map[string]named{}, members: map[int64][]int64{}, pairs: map[[2]int64]bool{}, tick: 250 * time.Millisecond,
	}
	var err error
	if s.write, err = connect(path, walMode, "synchronous(FULL)", walPages); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if s.conn, err = s.write.Conn(context.Background()); err == nil {
		err = migrate(s.conn)
	}
	if err == nil {
		s.file, err = os.Stat(path)
	}
	if err == nil {
		s.read, err = connect(path, "query_only(1)")
	}
	if err == nil {
		s.read.SetMaxOpenConns(4)
		s.read.SetMaxIdleConns(4)
		err = s.conn.QueryRowContext(context.Background(), "PRAGMA data_version").Scan(&s.version)
	}
	if err != nil {
		s.closeFiles()
		return nil, err
	}
	go s.loop()
	return s, nil
}

// migrate brings a database to the newest version.
func migrate(conn *sql.Conn) error {
	ctx := context.Background()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var version int
	if err := tx.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(schema) {
		return newer(version)
	}
	for _, step := range schema[version:] {
		if _, err := tx.Exec(step); err != nil {
			return err
		}
	}
	if version < len(schema) {
		if _, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", len(schema))); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func newer(version int) error {
	return fmt.Errorf("it was written by a newer skarod (version %d of the data, this one knows %d)", version, len(schema))
}

// Path is the path that the database was opened by.
func (s *Store) Path() string { return s.path }

// Close waits for the writes that were begun, and closes the file.
func (s *Store) Close() error {
	close(s.quit)
	<-s.done
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var errs []error
	// SQLite ends a connection, and folds the WAL into the database with the last
	// one, only when its statements are closed.
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	errs = append(errs, s.write.Close())
	return errors.Join(errs...)
}

// OnForeignWrite sets a function that is called after another process has
// written to the database. It must not wait for the store.
func (s *Store) OnForeignWrite(f func()) {
	select {
	case s.foreign <- f:
	case <-s.done:
	}
}

// begin queues a write. It waits while too many are queued. done is called with
// the outcome; after Close with ErrClosed.
func (s *Store) begin(run func() error, done func(error)) {
	select {
	case <-s.quit:
		done(ErrClosed)
		return
	default:
	}
	select {
	case s.writes <- write{run: run, done: done}:
	case <-s.quit:
		done(ErrClosed)
	}
}

// do queues a write and waits for it.
func (s *Store) do(run func() error) error {
	done := make(chan error, 1)
	s.begin(run, func(err error) { done <- err })
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

// loop is the writing goroutine.
func (s *Store) loop() {
	defer close(s.done)
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	for {
		select {
		case w := <-s.writes:
			s.commit(w)
		case <-ticker.C:
			s.lookForForeign()
		case s.onForeign = <-s.foreign:
		case <-s.quit:
			for {
				select {
				case w := <-s.writes:
					s.commit(w)
				default:
					return
				}
			}
		}
	}
}

// commit writes the first of a group and whatever else is queued, in one
// transaction.
func (s *Store) commit(w write) {
	if err := s.exec("BEGIN IMMEDIATE"); err != nil {
		s.rollBack()
		// SQLite has waited for another process. Whoever came meanwhile must not wait as
		// long once more, one after the other.
		waiting := len(s.writes)
		w.done(err)
		for range waiting {
			(<-s.writes).done(err)
		}
		return
	}
	s.lookForForeign()
	batch := []write{w}
	run := func(w *write) error {
		err := w.run()
		if Refused(err) {
			w.refusal = err
			return nil
		}
		return err
	}
	err := run(&batch[0])
gather:
	for err == nil && len(batch) < group {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
			err = run(&batch[len(batch)-1])
		default:
			break gather
		}
	}
	if err == nil {
		err = s.inPlace()
	}
	if err == nil {
		err = s.exec("COMMIT")
	}
	if err != nil {
		s.rollBack()
	}
	for _, w := range batch {
		w.done(cmp.Or(err, w.refusal))
	}
}

// rollBack ends a transaction that has failed. SQLite may have rolled back by itself:
// then there is nothing to roll back.
func (s *Store) rollBack() {
	_, _ = s.conn.ExecContext(context.Background(), "ROLLBACK")
	s.forget()
}

// inPlace is an error when the file that we have open is not the one that has its path
// now. SQLite would go on writing where nobody finds it.
func (s *Store) inPlace() error {
	info, err := os.Stat(s.path)
	if err == nil && !os.SameFile(info, s.file) {
		err = fmt.Errorf("%s is another file now", s.path)
	}
	if err != nil {
		return fmt.Errorf("the database was taken away while it was in use: stop the server, put the right file there, and start it again: %w", err)
	}
	return nil
}

// lookForForeign forgets what was remembered when another process has written.
func (s *Store) lookForForeign() {
	var version int64
	if s.row("PRAGMA data_version").Scan(&version) != nil || version == s.version {
		return
	}
	s.version = version
	s.forget()
	if s.onForeign != nil {
		s.onForeign()
	}
}

// forget forgets what was remembered of the database.
func (s *Store) forget() {
	clear(s.names)
	clear(s.members)
	clear(s.pairs)
}

// stmt is a statement that is prepared once.
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

// changed executes a statement, and returns how many rows it has changed.
func (s *Store) changed(query string, args ...any) (int64, error) {
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

// row reads one row inside the writing goroutine.
func (s *Store) row(query string, args ...any) interface{ Scan(...any) error } {
	st, err := s.stmt(query)
	if err != nil {
		return failed{err}
	}
	return st.QueryRow(args...)
}

type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// User is an account.
type User struct {
	ID      int64
	Login   string
	Token   proto.Token
	Created time.Time
	// Revision grows with every password, an equal one too: a session lasts as
	// long as the revision it was made with.
	Revision int64
}

func micros(t time.Time) int64     { return t.UnixMicro() }
func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// AddUser makes an account; ErrTaken where the login is taken, ErrIsConference where
// it is a conference's. The login must have been through Login.
func (s *Store) AddUser(login string, token proto.Token, now time.Time) error {
	return s.do(func() error {
		_, err := s.insertUser(login, token, now)
		return err
	})
}

// insertUser makes an account, inside the writing goroutine; ErrTaken, ErrIsConference.
func (s *Store) insertUser(login string, token proto.Token, now time.Time) (int64, error) {
	if err := s.free(login); err != nil {
		return 0, err
	}
	return s.insertNamed(login, token.Bytes(), false, now)
}

// Free is an error for a name that a user (ErrTaken) or a conference (ErrIsConference)
// has.
func (s *Store) Free(name string) error { return s.do(func() error { return s.free(name) }) }

// free is Free inside the writing goroutine.
func (s *Store) free(name string) error {
	switch who, err := s.named(name); {
	case errors.Is(err, ErrNoUser):
		return nil
	case err != nil:
		return err
	case who.conference:
		return ErrIsConference
	}
	return ErrTaken
}

// insertNamed makes a user or a conference, whose name is free.
func (s *Store) insertNamed(name string, token []byte, conference bool, now time.Time) (int64, error) {
	st, err := s.stmt("INSERT INTO users (login, token, conference, created) VALUES (?, ?, ?, ?)")
	if err != nil {
		return 0, err
	}
	r, err := st.Exec(name, token, conference, micros(now))
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// SetToken changes a password, and ends the user's sessions; ErrNoUser.
func (s *Store) SetToken(login string, token proto.Token) error {
	return s.change(login, func(id int64) error {
		return s.exec("UPDATE users SET token = ?, revision = revision + 1 WHERE id = ?", token.Bytes(), id)
	})
}

// RemoveUser removes an account, also from its conferences, and ends its sessions;
// ErrNoUser. What it sent and got is still delivered and shown to the others.
func (s *Store) RemoveUser(login string, now time.Time) error {
	return s.change(login, func(id int64) error {
		s.forget()
		if err := s.exec("DELETE FROM members WHERE user = ?", id); err != nil {
			return err
		}
		return s.exec("UPDATE users SET removed = ?, revision = revision + 1 WHERE id = ?", micros(now), id)
	})
}

// change is a change of a user that ends the user's sessions.
func (s *Store) change(login string, f func(id int64) error) error {
	return s.do(func() error {
		id, err := s.userID(login)
		if err == nil {
			err = f(id)
		}
		if err == nil {
			err = s.exec("DELETE FROM sessions WHERE user = ?", id)
		}
		return err
	})
}

// named is who has a name: a user or a conference.
type named struct {
	id         int64
	conference bool
}

// named is who has a name, inside the writing goroutine; ErrNoUser.
func (s *Store) named(name string) (named, error) {
	if who, ok := s.names[name]; ok {
		return who, nil
	}
	var who named
	err := s.row("SELECT id, conference FROM users WHERE login = ? AND removed IS NULL", name).Scan(&who.id, &who.conference)
	if errors.Is(err, sql.ErrNoRows) {
		return who, ErrNoUser
	}
	if err != nil {
		return who, err
	}
	if len(s.names) >= 1<<16 {
		clear(s.names)
	}
	s.names[name] = who
	return who, nil
}

// userID is the id of a user, inside the writing goroutine; ErrNoUser.
func (s *Store) userID(login string) (int64, error) {
	who, err := s.named(login)
	if err == nil && who.conference {
		err = ErrNoUser
	}
	return who.id, err
}

const userColumns = "SELECT id, login, token, created, revision FROM users WHERE NOT conference AND removed IS NULL"

func scanUser(row interface{ Scan(...any) error }) (User, error) {
	var u User
	var token []byte
	var created int64
	err := row.Scan(&u.ID, &u.Login, &token, &created, &u.Revision)
	if errors.Is(err, sql.ErrNoRows) {
		return u, ErrNoUser
	}
	if err != nil {
		return u, err
	}
	u.Created = fromMicros(created)
	u.Token, err = proto.TokenFromBytes(token)
	return u, err
}

// User is the account with a login; ErrNoUser.
func (s *Store) User(ctx context.Context, login string) (User, error) {
	return scanUser(s.read.QueryRowContext(ctx, userColumns+" AND login = ?", login))
}

// UserByID is the account with an id; ErrNoUser where it was removed.
func (s *Store) UserByID(ctx context.Context, id int64) (User, error) {
	return scanUser(s.read.QueryRowContext(ctx, userColumns+" AND id = ?", id))
}

// Users are all accounts, by login.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	rows, err := s.read.QueryContext(ctx, userColumns+" ORDER BY login")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var users []User
	for rows.Next() {
		u, err := scanUser(rows)
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, rows.Err()
}

// Ping is an error when the database does not answer.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.inPlace(); err != nil {
		return err
	}
	var n int
	return s.read.QueryRowContext(ctx, "SELECT count(*) FROM server").Scan(&n)
}
