package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/term"
)

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 64 << 10

// passwordFrom reads a password from standard input, without one line end after it.
func passwordFrom(in io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	if len(b) > maxPassword {
		return "", &usageError{fmt.Sprintf("the password has more than %d bytes", maxPassword), "give the password alone"}
	}
	return string(bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))), nil
}

// askTwice asks for a new password on the terminal itself, so that standard input
// and output may be pipes.
func askTwice(ctx context.Context, question string) (string, error) {
	in, out := "/dev/tty", "/dev/tty"
	if runtime.GOOS == "windows" {
		in, out = "CONIN$", "CONOUT$"
	}
	keys, err := os.OpenFile(in, os.O_RDWR, 0)
	if err != nil {
		return "", noTerminal(err)
	}
	defer keys.Close()
	screen, err := os.OpenFile(out, os.O_RDWR, 0)
	if err != nil {
		return "", noTerminal(err)
	}
	defer screen.Close()
	password, err := ask(ctx, keys, screen, question)
	if err != nil || password == "" {
		return password, err
	}
	again, err := ask(ctx, keys, screen, "Repeat the password: ")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", &usageError{"the two passwords are not the same", "try again, and type the same one twice"}
	}
	return password, nil
}

func noTerminal(err error) error {
	return &usageError{fmt.Sprintf("can't ask for the password: there is no terminal (%v)", err), "give --password-stdin"}
}

// ask asks one question without echo. An interrupt gives the terminal its echo
// back.
func ask(ctx context.Context, keys, screen *os.File, question string) (string, error) {
	fd := int(keys.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", noTerminal(err)
	}
	fmt.Fprint(screen, question)
	defer fmt.Fprintln(screen)
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- answer{text, err}
	}()
	select {
	case a := <-typed:
		if a.err != nil {
			return "", fmt.Errorf("read the password from the terminal: %w", a.err)
		}
		return string(a.text), nil
	case <-ctx.Done():
		_ = term.Restore(fd, state)
		return "", fmt.Errorf("interrupted: %w", ctx.Err())
	}
}
