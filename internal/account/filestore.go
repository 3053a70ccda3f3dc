package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// fileStore keeps credentials in a file of mode 0600.
type fileStore struct{ path string }

// credentialsFile is the content of the file.
type credentialsFile struct {
	Version  int    `json:"version"`
	Accounts []item `json:"accounts"`
}

// fileVersion is the version that is written, and the only one that is read.
const fileVersion = 1

func (fileStore) Name() string { return storeFile }

func (s fileStore) load() (credentialsFile, error) {
	b, err := readPrivate(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return credentialsFile{Version: fileVersion}, nil
	}
	if err != nil {
		return credentialsFile{}, fmt.Errorf("read the credentials: %w", err)
	}
	return parseCredentials(s.path, b)
}

func parseCredentials(path string, b []byte) (credentialsFile, error) {
	const advice = "repair the file, or remove it and log in again"
	var c credentialsFile
	if err := json.Unmarshal(b, &c); err != nil {
		offset := int64(0)
		var syntax *json.SyntaxError
		var typ *json.UnmarshalTypeError
		if errors.As(err, &syntax) {
			offset = syntax.Offset
		} else if errors.As(err, &typ) {
			offset = typ.Offset
		}
		line := 1 + bytes.Count(b[:min(int(offset), len(b))], []byte("\n"))
		return credentialsFile{}, &FileError{Path: path, Line: line, Err: plain(err), Advice: advice}
	}
	if c.Version != fileVersion {
		return credentialsFile{}, &FileError{
			Path: path, Err: fmt.Errorf("its version is %d, this program knows version %d", c.Version, fileVersion), Advice: advice,
		}
	}
	return c, nil
}

// find is the place of an account in the file, or -1.
func (c credentialsFile) find(k Key) int {
	return slices.IndexFunc(c.Accounts, func(it item) bool { return it.Server == k.Server && it.Login == k.Login })
}

func (s fileStore) Get(_ context.Context, k Key) (Credentials, error) {
	c, err := s.load()
	if err != nil {
		return Credentials{}, err
	}
	i := c.find(k)
	if i < 0 {
		return Credentials{}, ErrNone
	}
	cred, err := c.Accounts[i].credentials()
	if err != nil {
		return Credentials{}, &FileError{Path: s.path, Err: err, Advice: "log in again with `skaroctl login`"}
	}
	return cred, nil
}

// edit changes the file under its lock. change reports whether it did anything.
func (s fileStore) edit(change func(*credentialsFile) (bool, error)) error {
	unlock, err := lock(s.path)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := s.load()
	if err != nil {
		return err
	}
	changed, err := change(&c)
	if err != nil || !changed {
		return err
	}
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return fmt.Errorf("write the credentials: %w", err)
	}
	if err := replace(s.path, append(b, '\n')); err != nil {
		return fmt.Errorf("write the credentials: %w", err)
	}
	return nil
}

func (s fileStore) Set(_ context.Context, k Key, cred Credentials) error {
	return s.edit(func(c *credentialsFile) (bool, error) {
		if i := c.find(k); i >= 0 {
			c.Accounts[i] = newItem(k, cred)
		} else {
			c.Accounts = append(c.Accounts, newItem(k, cred))
		}
		return true, nil
	})
}

func (s fileStore) Delete(_ context.Context, k Key) error {
	return s.edit(func(c *credentialsFile) (bool, error) {
		i := c.find(k)
		if i >= 0 {
			c.Accounts = slices.Delete(c.Accounts, i, i+1)
		}
		return i >= 0, nil
	})
}

func (s fileStore) update(_ context.Context, k Key, change func(*Credentials)) error {
	return s.edit(func(c *credentialsFile) (bool, error) {
		i := c.find(k)
		if i < 0 {
			return false, nil
		}
		cred, err := c.Accounts[i].credentials()
		if err != nil {
			return false, &FileError{Path: s.path, Err: err}
		}
		change(&cred)
		c.Accounts[i] = newItem(k, cred)
		return true, nil
	})
}
