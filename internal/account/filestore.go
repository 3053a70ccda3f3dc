package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// fileStore keeps the credentials of all accounts in one JSON file, mode 0600.
type fileStore struct{ path string }

// credentialsFile is the content of the file.
type credentialsFile struct {
	Version  int           `json:"version"`
	Accounts []fileAccount `json:"accounts"`
}

// fileAccount is one account of the file.
type fileAccount struct {
	Server string `json:"server"`
	Login  string `json:"login"`
	item
}

const fileVersion = 1

func (s *fileStore) Name() string { return "file" }

func (s *fileStore) Get(_ context.Context, key Key) (Credentials, error) {
	accounts, err := readCredentials(s.path)
	if err != nil {
		return Credentials{}, err
	}
	i := find(accounts, key)
	if i < 0 || accounts[i].item == (item{}) {
		return Credentials{}, none(key, s.path)
	}
	return accounts[i].credentials()
}

func (s *fileStore) Set(ctx context.Context, key Key, c Credentials) error {
	it, err := newItem(key, c)
	if err != nil {
		return err
	}
	return s.change(ctx, func(accounts []fileAccount) ([]fileAccount, error) {
		a := fileAccount{key.Server, key.Login, it}
		if i := find(accounts, key); i >= 0 {
			accounts[i] = a
			return accounts, nil
		}
		return append(accounts, a), nil
	})
}

func (s *fileStore) Delete(ctx context.Context, key Key) error {
	if _, err := s.Get(ctx, key); KindOf(err) == KindNone {
		return nil // and no file is made
	}
	return s.change(ctx, func(accounts []fileAccount) ([]fileAccount, error) {
		return slices.DeleteFunc(accounts, func(a fileAccount) bool { return a.is(key) }), nil
	})
}

func (s *fileStore) Renew(ctx context.Context, key Key, sid string, used time.Time) error {
	it, err := newItem(key, Credentials{SID: sid, SIDUsed: used})
	if err != nil {
		return err
	}
	return s.change(ctx, func(accounts []fileAccount) ([]fileAccount, error) {
		i := find(accounts, key)
		if i < 0 || accounts[i].SID == "" {
			return nil, none(key, s.path)
		}
		accounts[i].item = it
		return accounts, nil
	})
}

// change reads, changes and writes the file under its lock.
func (s *fileStore) change(ctx context.Context, change func([]fileAccount) ([]fileAccount, error)) error {
	return locked(ctx, s.path, func(f *stateFile) error {
		content, err := f.read(oursAlone)
		if err != nil {
			return unreadable(err)
		}
		accounts, err := decodeCredentials(f.path(), content)
		if err != nil {
			return unreadable(err)
		}
		if accounts, err = change(accounts); err != nil {
			return err
		}
		if content, err = encodeCredentials(accounts); err != nil {
			return &Error{Kind: KindFile, Path: f.path(), Err: err}
		}
		return f.replace(content, durable)
	})
}

func (a fileAccount) is(key Key) bool { return a.Server == key.Server && a.Login == key.Login }

func find(accounts []fileAccount, key Key) int {
	return slices.IndexFunc(accounts, func(a fileAccount) bool { return a.is(key) })
}

// readCredentials reads the file. A missing file has no accounts.
func readCredentials(path string) ([]fileAccount, error) {
	content, err := readFile(path, oursAlone)
	if err != nil {
		return nil, unreadable(err)
	}
	accounts, err := decodeCredentials(path, content)
	return accounts, unreadable(err)
}

// unreadable returns the error of reading the file, with a kind of its own.
func unreadable(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == KindFile {
		e.Kind = KindUnreadable
	}
	return err
}

func encodeCredentials(accounts []fileAccount) ([]byte, error) {
	if accounts == nil {
		accounts = []fileAccount{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(credentialsFile{fileVersion, accounts})
	return b.Bytes(), err
}

// decodeCredentials checks the whole file, so that a later write loses nothing except a
// SID that is stored beside a token. Nil content has no accounts. Its errors quote nothing.
func decodeCredentials(path string, content []byte) ([]fileAccount, error) {
	if content == nil {
		return nil, nil
	}
	bad := func(offset int64, format string, args ...any) error {
		return &Error{
			Kind: KindFile, Path: path, Line: lineAt(content, offset), Err: fmt.Errorf(format, args...),
			Hint: "correct the file, or move it away and log in again with `skaroctl login --store file`",
		}
	}
	var top struct {
		Version  int               `json:"version"`
		Accounts []json.RawMessage `json:"accounts"`
	}
	if err := strictJSON(content, &top); err != nil {
		what, offset := describeJSON(err)
		return nil, bad(offset, "%s", what)
	}
	if top.Version != fileVersion {
		return nil, bad(0, "the file has version %d, and this skaroctl knows version %d", top.Version, fileVersion)
	}
	accounts := make([]fileAccount, len(top.Accounts))
	end := int64(0)
	for i, raw := range top.Accounts {
		// A RawMessage is the very bytes of the file, in its order.
		start := end + int64(bytes.Index(content[end:], raw))
		end = start + int64(len(raw))
		a, offset, err := decodeAccount(raw)
		if err == nil && find(accounts[:i], Key{a.Server, a.Login}) >= 0 {
			err = errors.New("the same account is there twice")
		}
		if err != nil {
			return nil, bad(start+offset, "account %d: %w", i+1, err)
		}
		accounts[i] = a
	}
	return accounts, nil
}

// decodeAccount decodes one account, without the SID beside a token. offset is the place of an
// error.
func decodeAccount(raw []byte) (a fileAccount, offset int64, err error) {
	if err := strictJSON(raw, &a); err != nil {
		what, offset := describeJSON(err)
		return a, offset, errors.New(what)
	}
	if a.Server == "" || a.Login == "" {
		return a, 0, errors.New("server or login is missing")
	}
	if _, err := a.credentials(); err != nil {
		return a, 0, err
	}
	if a.Token != "" {
		a.item = item{Token: a.Token}
	}
	return a, 0, nil
}

// strictJSON decodes one JSON value that has no unknown field.
func strictJSON(content []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && len(bytes.TrimLeft(content[d.InputOffset():], " \t\r\n")) == 0 {
		return nil // only a wrong file is decoded twice: every command reads the file
	}
	if whole := json.Unmarshal(content, into); whole != nil {
		return whole
	}
	return err
}

// lineAt returns the number of the line, from 1, that has the byte at offset.
func lineAt(content []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(content)))
	return 1 + bytes.Count(content[:offset], []byte("\n"))
}
