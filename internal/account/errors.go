package account

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"unicode"
)

// FileError is a file of ours that can't be used as it is. The file was left
// untouched.
type FileError struct {
	Path   string
	Line   int // from 1; 0 when no line is meant
	Err    error
	Advice string // what the reader can do; "" when the error says it
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s: line %d: %v", e.Path, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

// Hint is what the reader can do about it, or "".
func (e *FileError) Hint() string { return e.Advice }

// fileError is a *FileError of what the os package says, which names the path too.
func fileError(path string, err error) error {
	var (
		known  *FileError
		onPath *fs.PathError
	)
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &onPath):
		err = fmt.Errorf("%s: %w", onPath.Op, onPath.Err)
	}
	return &FileError{Path: path, Err: err}
}

// UnavailableError is a keyring that can't be used. Nothing was stored anywhere else.
type UnavailableError struct {
	Why    string // in words for people
	Advice string // what the reader can do; "" for the usual way out
	Err    error  // what the keyring itself said, or nil

	Damaged bool // it is only what is in it that can't be used
}

func (e *UnavailableError) Error() string { return "the keyring can't be used: " + e.Why }

// Unwrap returns what the keyring itself said.
func (e *UnavailableError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e *UnavailableError) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	return "log in with `skaroctl login --store file`, or give a token in SKAROCTL_TOKEN_FILE"
}

// advised is an error with something that the reader can do about it.
type advised struct {
	error
	hint string
}

func advise(err error, hint string) error { return &advised{err, hint} }

// Unwrap returns the error without its hint.
func (e *advised) Unwrap() error { return e.error }

// Hint is what the reader can do about it.
func (e *advised) Hint() string { return e.hint }

// ShellWord quotes a word of a command that is shown to people, who may run it: for a
// POSIX shell, and on Windows for cmd and PowerShell at once. What is safe in no quotes
// that both know is left out there, as "...".
func ShellWord(word string) string { return shellWord(runtime.GOOS, word) }

func shellWord(goos, word string) string {
	if goos == "windows" {
		special := func(r rune) bool {
			return r < ' ' || strings.ContainsRune("\"%!$`", r) || r > 127 && !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
		}
		plain := func(r rune) bool {
			return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(`/\._-+:`, r)
		}
		switch {
		case strings.ContainsFunc(word, special), strings.HasSuffix(word, `\`):
			return "..."
		case word == "" || strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }):
			return `"` + word + `"`
		}
		return word
	}
	plain := func(r rune) bool {
		return r > 127 || strings.ContainsRune("/._-+:@%,=", r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
