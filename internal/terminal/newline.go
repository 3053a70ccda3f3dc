package terminal

import (
	"bytes"
	"runtime"
)

// TrimNewline removes one newline from the end. On Windows the carriage return before
// it belongs to it; elsewhere that is a byte like any other.
func TrimNewline(text []byte) []byte { return trimNewline(runtime.GOOS, text) }

func trimNewline(goos string, text []byte) []byte {
	text, found := bytes.CutSuffix(text, []byte("\n"))
	if found && goos == "windows" {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	return text
}

// Password is the password in an input: without one line end of any system behind it,
// and without the byte order mark that PowerShell and old editors put before it.
func Password(input []byte) string {
	input = bytes.TrimPrefix(input, []byte("\uFEFF"))
	return string(bytes.TrimSuffix(bytes.TrimSuffix(input, []byte("\n")), []byte("\r")))
}
