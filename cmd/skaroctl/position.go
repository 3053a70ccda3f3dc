package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/robustio"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/session"
)

// positionFile keeps how far `listen --resume` has come with one account. Its
// lock is held as long as the listener runs: two listeners with one position
// would each believe that the other's messages were its own. No other command
// takes that lock.
type positionFile struct {
	path string
	lock *os.File
	last []byte // what the file holds
}

// positionContent is what the file holds. Server and Login are for people.
type positionContent struct {
	Version  int              `json:"version"`
	Server   string           `json:"server"`
	Login    string           `json:"login"`
	Position session.Position `json:"position"`
}

// positionVersion is the version that is written, and the only one that is read.
const positionVersion = 1

// errLocked is the error of lockFile where another process has the lock.
var errLocked = errors.New("it is locked")

// openPosition takes the lock of an account's position.
func openPosition(files account.Files, k account.Key) (*positionFile, error) {
	if files.State == "" {
		return nil, errors.New("--resume: there is no folder to keep the position in: neither HOME nor XDG_STATE_HOME is set")
	}
	path := filepath.Join(files.State, "positions", k.FileName())
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	if err := lockFile(lock); err != nil {
		lock.Close()
		if errors.Is(err, errLocked) {
			return nil, &busyError{k}
		}
		return nil, fmt.Errorf("--resume: lock %s: %w", lock.Name(), err)
	}
	return &positionFile{path: path, lock: lock}, nil
}

// busyError is a position that another listener has.
type busyError struct{ key account.Key }

func (e *busyError) Error() string {
	return fmt.Sprintf("another listener with --resume runs for %s at %s", e.key.Login, e.key.Server)
}

func (e *busyError) Hint() string {
	return "end the other one first, or listen without --resume"
}

// read returns the position, nil where none was saved yet.
func (f *positionFile) read() (*session.Position, error) {
	b, err := robustio.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--resume: read the position: %w", err)
	}
	const advice = "remove the file to start anew with what comes from now on, or give --since with --resume once, to start at a time"
	var c positionContent
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, &account.FileError{Path: f.path, Err: fmt.Errorf("the position can't be read: %w", err), Advice: advice}
	}
	if c.Version != positionVersion {
		return nil, &account.FileError{
			Path: f.path, Err: fmt.Errorf("its version is %d, this program knows version %d", c.Version, positionVersion), Advice: advice,
		}
	}
	if c.Position.ID < 0 {
		return nil, &account.FileError{Path: f.path, Err: fmt.Errorf("the position can't be %d", c.Position.ID), Advice: advice}
	}
	f.last = b
	return &c.Position, nil
}

// save writes the position at once or not at all. It is not forced to disk: after
// a power failure an older position makes messages come twice, and loses none.
func (f *positionFile) save(k account.Key, p session.Position) error {
	b, err := json.Marshal(positionContent{positionVersion, k.Server, k.Login, p})
	if err != nil {
		return fmt.Errorf("save the position: %w", err)
	}
	if b = append(b, '\n'); string(b) == string(f.last) {
		return nil
	}
	// The lock makes sure that nobody else uses the same name.
	fresh := f.path + ".new"
	if err := os.WriteFile(fresh, b, 0o600); err != nil {
		return fmt.Errorf("save the position: %w", err)
	}
	if err := robustio.Rename(fresh, f.path); err != nil { // on Windows, whoever reads the file keeps it
		return fmt.Errorf("save the position: %w", err)
	}
	f.last = b
	return nil
}

// close lets go of the lock.
func (f *positionFile) close() { f.lock.Close() }
