//go:build unix

package main

import "os"

// openTerminal opens the terminal of this process, whatever its streams are.
func openTerminal() (in, out *os.File, close func(), err error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	return tty, tty, func() { tty.Close() }, nil
}
