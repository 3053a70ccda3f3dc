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

// contactsFile is the file with an account's contacts, for completion. Server and Login are
// for people.
type contactsFile struct {
	Version  int       `json:"version"`
	Server   string    `json:"server"`
	Login    string    `json:"login"`
	Contacts []Contact `json:"contacts"`
}

// Contact is a contact as the file has it.
type Contact struct {
	Login      string `json:"login"`
	Conference bool   `json:"conference,omitempty"` // it is a conference and not a person
}

const contactsVersion = 2

// contacts returns the path of the file with an account's contacts.
func (f Files) contacts(key Key) (string, error) {
	if f.Cache == "" {
		return "", &Error{Msg: "there is no folder for the cache: neither HOME nor XDG_CACHE_HOME is set"}
	}
	return filepath.Join(f.Cache, "contacts", key.FileName()), nil
}

// CachedContacts returns the contacts that CacheContacts kept, and when it kept them.
func (f Files) CachedContacts(key Key) (contacts []Contact, kept time.Time, err error) {
	path, err := f.contacts(key)
	if err != nil {
		return nil, time.Time{}, err
	}
	content, err := readFile(path, func(f *os.File, info fs.FileInfo) error {
		kept = info.ModTime()
		return oursAlone(f, info)
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

// CacheContacts replaces the contacts that are kept of an account. If another command is
// doing that, its contacts are as new, and this call does nothing.
func (f Files) CacheContacts(key Key, contacts []Contact) error {
	path, err := f.contacts(key)
	if err != nil {
		return err
	}
	content, err := json.Marshal(contactsFile{contactsVersion, key.Server, key.Login, contacts})
	if err != nil {
		return err
	}
	file, err := locate(path, makeMissing)
	if err != nil {
		return err
	}
	defer file.close()
	folder, err := locate(filepath.Dir(path), makeMissing)
	if err != nil {
		return err
	}
	defer folder.close()
	unlock, err := folder.tryLock()
	switch {
	case KindOf(err) == KindLocked:
		return nil
	case err != nil:
		return err
	}
	defer unlock()
	return file.replace(append(content, '\n'), volatile)
}

// ForgetContacts removes the contacts that CacheContacts kept, if there are any.
func (f Files) ForgetContacts(key Key) error {
	path, err := f.contacts(key)
	if err != nil {
		return nil // nothing can have been kept
	}
	file, err := locate(path, existing)
	if err == nil {
		defer file.close()
		err = file.in.remove(file.name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the contacts: %w", err)
	}
	return nil
}
