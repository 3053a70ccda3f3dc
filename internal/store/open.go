// Package store keeps what must survive the server: users, conferences, invitations,
// sessions and messages, in one SQLite file. One goroutine writes, in groups (writer.go).
// A write is answered after the commit that made it durable. Reads run at the same time.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The refusals: the database is fine, but the request can't be done.
var (
	ErrNoUser       = errors.New("no such user")
	ErrTaken        = errors.New("the login is taken")
	ErrNoConference = errors.New("no such conference")
	ErrIsConference = errors.New("it is the name of a conference")
	ErrNotMember    = errors.New("not a member of the conference")
	ErrTooMany      = errors.New("too many members")
	ErrNonceUsed    = errors.New("the nonce was used for another message")
	ErrNoContact    = errors.New("no such contact")
	ErrNoInvite     = errors.New("no such invitation") // also one that was revoked
	ErrInviteUsed   = errors.New("the invitation was used")
)

var refusals = []error{ErrNoUser, ErrTaken, ErrNoConference, ErrIsConference, ErrNotMember, ErrTooMany, ErrNonceUsed, ErrNoContact, ErrNoInvite, ErrInviteUsed}

// Refused reports whether an error is one of the refusals.
func Refused(err error) bool {
	return slices.ContainsFunc(refusals, func(refusal error) bool { return errors.Is(err, refusal) })
}

// ErrClosed is the error of every write after Close.
var ErrClosed = errors.New("the store is closed")

// Damaged reports whether an error of SQLite says that a file is not a database, or a damaged one.
func Damaged(err error) bool {
	code := resultCode(err)
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// Full reports whether an error of SQLite says that the disk has no room.
func Full(err error) bool { return resultCode(err) == sqlite3.SQLITE_FULL }

// resultCode returns the primary result code of an error of SQLite; SQLITE_OK if it is another error.
func resultCode(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return sqlite3.SQLITE_OK
	}
	return e.Code() & 0xff
}

// reasons say in words what an error of SQLite means to an operator, by its primary result code.
var reasons = map[int]string{
	sqlite3.SQLITE_BUSY:     "another process has locked the database",
	sqlite3.SQLITE_LOCKED:   "another process has locked the database",
	sqlite3.SQLITE_READONLY: "the database can't be written",
	sqlite3.SQLITE_IOERR:    "the disk fails",
	sqlite3.SQLITE_CORRUPT:  "the database is damaged",
	sqlite3.SQLITE_FULL:     "the disk is full",
	sqlite3.SQLITE_NOTADB:   "the file is not a database",
}

// InWords returns an error whose text has what SQLite's words in it mean to an operator.
func InWords(err error) error {
	var e *sqlite.Error
	if reason := reasons[resultCode(err)]; reason != "" && errors.As(err, &e) {
		return worded{err, strings.ReplaceAll(err.Error(), e.Error(), reason)}
	}
	return err
}

// worded is an error with another text.
type worded struct {
	error
	text string
}

func (w worded) Error() string { return w.text }
func (w worded) Unwrap() error { return w.error }

// Store is an open database.
type Store struct {
	path   string
	file   fs.FileInfo // of the file that is open
	read   *sql.DB
	logins *sql.DB // reads for logins, which must not wait for other reads
	write  *sql.DB
	conn   *sql.Conn // the one connection of write

	MaxMembers int // of a conference; it is set before the first use

	queue        queue
	deferredJobs chan *job
	foreign      chan func() // sets onForeign
	onCommit     atomic.Pointer[func(writes int, took time.Duration)]
	quit         chan struct{}
	committed    chan []*job   // from the writing to the announcing goroutine; has room for one
	done         chan struct{} // closed when both have ended

	writer // used by the writing goroutine alone
}

// Readers is how many connections read at once, in addition to the one for logins.
const Readers = 4

// Open opens the database file. If there is none, it makes one with mode 0600, and its
// folder with mode 0700.
func Open(path string) (*Store, error) {
	s, err := openStore(path)
	var file *fs.PathError
	if errors.As(err, &file) && file.Path == path {
		err = file.Err // the caller names the path
	}
	return s, err
}

func openStore(path string) (*Store, error) {
	if err := prepare(path); err != nil {
		return nil, err
	}
	s := &Store{
		path: path, MaxMembers: MaxMembers, queue: newQueue(), deferredJobs: make(chan *job, maxDeferred), foreign: make(chan func()),
		quit: make(chan struct{}), committed: make(chan []*job, 1), done: make(chan struct{}), writer: newWriter(),
	}
	err := s.connect()
	if err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	go s.writeLoop()
	go s.announceLoop()
	return s, nil
}

// connect opens the connections of a store, and brings the database to the newest version.
func (s *Store) connect() error {
	ctx := context.Background()
	var err error
	if s.write, err = connect(s.path, walMode, "synchronous(FULL)", walPages, walSize, eraseDeleted); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if s.conn, err = s.write.Conn(ctx); err != nil {
		return err
	}
	if err := migrate(s.conn); err != nil {
		return err
	}
	if s.file, err = os.Stat(s.path); err != nil {
		return err
	}
	if s.read, err = connect(s.path, "query_only(1)"); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(Readers)
	s.read.SetMaxIdleConns(Readers)
	if s.logins, err = connect(s.path, "query_only(1)"); err != nil {
		return err
	}
	s.logins.SetMaxOpenConns(1)
	if err := errors.Join(openAll(ctx, s.read, Readers), openAll(ctx, s.logins, 1)); err != nil {
		return err
	}
	return s.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&s.dataVersion)
}

// openAll opens n connections now. Later there may be no descriptor left for their files.
func openAll(ctx context.Context, db *sql.DB, n int) error {
	for range n {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close() // all are open by then
		var tables int
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
			return err
		}
	}
	return nil
}

// walMode is the journal mode of every database, which SQLite remembers in the file.
const walMode = "journal_mode(WAL)"

// walPages lets the write-ahead log grow to 32 MiB before it is folded into the database:
// the pages of the indexes that every message touches are then written back once for
// thousands of messages, not for hundreds.
const walPages = "wal_autocheckpoint(8192)"

// maxWAL is the size in bytes to which the write-ahead log shrinks after it has grown beyond
// it, as it does during a backup. It is above what walPages allows, so that nothing is cut
// and written again in every round.
const maxWAL = 40 << 20

// walSize sets maxWAL.
var walSize = fmt.Sprintf("journal_size_limit(%d)", maxWAL)

// eraseDeleted makes SQLite overwrite what is deleted: a pruned message is gone.
const eraseDeleted = "secure_delete(1)"

// connect opens a database file that exists.
func connect(path string, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": append([]string{"busy_timeout(10000)", "foreign_keys(1)"}, pragmas...)}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
}

// Peek opens a database for a moment, only to read it as it is. look may only call
// methods that list. If the database is busy, Peek soon returns an error.
func Peek(path string, look func(*Store) error) error {
	db, err := connect(path, "busy_timeout(100)", "query_only(1)")
	if err != nil {
		return err
	}
	return errors.Join(look(&Store{path: path, read: db, logins: db}), db.Close())
}

// migrate brings a database to the newest version.
func migrate(conn *sql.Conn) error {
	tx, err := conn.BeginTx(context.Background(), nil)
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
	return fmt.Errorf("%w (version %d of the data, this one knows %d)", ErrNewer, version, len(schema))
}

// Path returns the path by which the database was opened.
func (s *Store) Path() string { return s.path }

// Ping returns an error if the database does not answer.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.checkFile(); err != nil {
		return err
	}
	var n int
	return s.read.QueryRowContext(ctx, "SELECT count(*) FROM server").Scan(&n)
}

// checkFile returns an error if the open file no longer has its path: SQLite would keep
// writing into a file that no server opens again.
func (s *Store) checkFile() error {
	info, err := os.Stat(s.path)
	if err == nil && !os.SameFile(info, s.file) {
		err = fmt.Errorf("%s is another file now", s.path)
	}
	if err != nil {
		return fmt.Errorf("the database was moved or removed while it was in use: stop the server, put the right file there, and start it again: %w", err)
	}
	return nil
}

// Close waits for the writes that were submitted, and closes the file.
func (s *Store) Close() error {
	close(s.quit)
	<-s.done
	return s.closeFiles()
}

func (s *Store) closeFiles() error {
	var errs []error
	// SQLite ends a connection, and with the last one folds the write-ahead log into the
	// database, only when the statements are closed.
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.logins != nil {
		errs = append(errs, s.logins.Close())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	return errors.Join(errs...)
}

// Dates are stored as microseconds since 1970.
func toMicros(t time.Time) int64   { return t.UnixMicro() }
func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
