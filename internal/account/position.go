package account

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// PositionFile keeps the position of `listen --resume` for one account. Its lock is held
// while the listener runs: of two listeners with one position, each would skip the messages
// that the other has shown. No other command takes that lock.
type PositionFile struct {
	file   *stateFile
	key    Key
	unlock func()
	last   []byte // what the file holds
}

// positionContent is what the file holds. Server and Login are for people.
type positionContent[T any] struct {
	Version  int    `json:"version"`
	Server   string `json:"server"`
	Login    string `json:"login"`
	Position T      `json:"position"`
}

// positionVersion is the version that is written, and the only one that is read.
const positionVersion = 1

// OpenPosition takes the lock of an account's position. If another listener has it, the
// error is of KindLocked.
func OpenPosition(files Files, key Key) (*PositionFile, error) {
	if files.State == "" {
		return nil, noState("there is no folder for the position: HOME is not set")
	}
	path := filepath.Join(files.State, "positions", key.FileName())
	file, err := locate(path, makeMissing)
	if err != nil {
		return nil, fmt.Errorf("open the position: %w", err)
	}
	unlock, err := file.tryLock()
	if err == nil {
		return &PositionFile{file: file, key: key, unlock: unlock}, nil
	}
	file.close()
	if KindOf(err) == KindLocked {
		return nil, &Error{
			Kind: KindLocked, Err: err,
			Msg:  fmt.Sprintf("another listener with --resume runs for %s at %s", key.Login, key.Server),
			Hint: "end the other one first, or listen without --resume",
		}
	}
	return nil, fmt.Errorf("open the position: %w", err)
}

// Read decodes the position into a value from JSON, and reports whether one was saved.
func (f *PositionFile) Read(into any) (found bool, err error) {
	content, err := f.file.read(anyMode)
	if err != nil || content == nil {
		return false, err
	}
	c := positionContent[json.RawMessage]{}
	err = json.Unmarshal(content, &c)
	if err == nil && c.Version != positionVersion {
		err = fmt.Errorf("its version is %d, and this program knows version %d", c.Version, positionVersion)
	}
	if err == nil && c.Position != nil {
		err = json.Unmarshal(c.Position, into)
	}
	if err != nil {
		return false, &Error{
			Kind: KindFile, Path: f.file.path(), Msg: fmt.Sprintf("the position can't be read: %v", err), Err: err,
			Hint: "remove the file to start with new messages, or give --since with --resume once, to start at a time",
		}
	}
	f.last = content
	return true, nil
}

// Saved reports whether the file exists, readable or not.
func (f *PositionFile) Saved() bool {
	content, err := f.file.read(anyMode)
	return err != nil || content != nil
}

// Save writes a position as JSON, unless the file has it already. It does not wait for
// the disk: after a power failure an older position shows messages twice, and loses none.
func (f *PositionFile) Save(position any) error {
	content, err := json.Marshal(positionContent[any]{positionVersion, f.key.Server, f.key.Login, position})
	if err != nil {
		return fmt.Errorf("save the position: %w", err)
	}
	content = append(content, '\n')
	if bytes.Equal(content, f.last) {
		return nil
	}
	if err := f.file.replace(content, volatile); err != nil {
		return fmt.Errorf("save the position: %w", err)
	}
	f.last = content
	return nil
}

// Close releases the lock.
func (f *PositionFile) Close() {
	f.unlock()
	f.file.close()
}
