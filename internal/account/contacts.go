package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// contactsFile is what is kept of an account's contacts, for completion. Server and
// Login are for people.
type contactsFile struct {
	Version  int       `json:"version"`
	Server   string    `json:"server"`
	Login    string    `json:"login"`
	Contacts []Contact `json:"contacts"`
}

// Contact is what is kept of a contact.
type Contact struct {
	Login      string `json:"login"`
	Conference bool   `json:"conference,omitempty"` // it is one that we are in, and no person
}

const contactsVersion = 2

func (f Files) contacts(key Key) (string, error) {
	if f.Cache == "" {
		return "", errors.New("there is no folder for it: neither HOME nor XDG_CACHE_HOME is set")
	}
	return filepath.Join(f.Cache, "contacts", key.FileName()), nil
}

// CachedContacts are an account's contacts as they were when CacheContacts kept them,
// and when that was.
func (f Files) CachedContacts(key Key) (contacts []Contact, kept time.Time, err error) {
	path, err := f.contacts(key)
	if err != nil {
		return nil, time.Time{}, err
	}
	content, err := readFile(path, func(path string, info fs.FileInfo) error {
		kept = info.ModTime()
		return oursAlone(path, info)
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	var c contactsFile
	if err := json.Unmarshal(content, &c); err != nil || c.Version != contactsVersion {
		return nil, time.Time{}, &Error{Kind: KindFile, Path: path, Msg: "there are no contacts in it"}
	}
	return c.Contacts, kept, nil
}

// CacheContacts keeps an account's contacts, in place of what was there. If another
// command is doing the same, this one leaves it to that.
func (f Files) CacheContacts(key Key, contacts []Contact) error {
	path, err := f.contacts(key)
	if err != nil {
		return err
	}
	content, err := json.Marshal(contactsFile{contactsVersion, key.Server, key.Login, contacts})
	if err != nil {
		return err
	}
	folder := filepath.Dir(path)
	unlock, err := tryLock(folder)
	switch {
	case KindOf(err) == KindLocked:
		return nil
	case err != nil:
		return err
	}
	defer unlock()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fileError(folder, err)
	}
	return replaceFile(path, append(content, '\n'), volatile)
}

// ForgetContacts removes what CacheContacts kept. That there is nothing is no error.
func (f Files) ForgetContacts(key Key) error {
	path, err := f.contacts(key)
	if err != nil {
		return nil // nothing can have been kept
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the contacts: %w", err)
	}
	return nil
}
