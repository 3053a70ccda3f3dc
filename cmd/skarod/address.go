package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// unixPrefix begins an address that is the path of a socket.
const unixPrefix = "unix:"

// listen listens on the address of a flag, --listen or --admin.
func listen(flag, address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return listenSocket(flag, path)
	}
	network := "tcp"
	if host, _, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).To4() != nil {
		network = "tcp4" // else 0.0.0.0 would include every address of IPv6
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, listenError(flag, address, err)
	}
	return listener, nil
}

// listenSocket listens on a Unix socket. It replaces one that a killed server has left: a
// socket on which nobody answers.
func listenSocket(flag, path string) (net.Listener, error) {
	if path == "" || path[0] == '@' { // on Linux, a name without a file, and without modes
		return nil, badSocket(flag, path)
	}
	listener, err := listenUnix(path)
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, windowsInUse) {
		if err := removeStale(path); err != nil {
			return nil, cli.WithHint(fmt.Errorf("listen on %s%s: %w", unixPrefix, path, err), "stop the program that uses it, or give another "+flag)
		}
		listener, err = listenUnix(path)
	}
	if err == nil {
		return listener, nil
	}
	cause := systemError(err)
	failed := fmt.Errorf("listen on %s%s: %w", unixPrefix, path, cause)
	switch {
	case errors.Is(cause, syscall.EINVAL): // too long
		return nil, badSocket(flag, path)
	case errors.Is(cause, fs.ErrPermission), errors.Is(cause, fs.ErrNotExist):
		return nil, cli.WithHint(failed, "give "+flag+" a folder that exists, and in which this user may make files")
	}
	return nil, failed
}

func badSocket(flag, path string) error {
	return cli.Usage(fmt.Sprintf("%s is %q, which can't be the path of a socket", flag, unixPrefix+path), "write it like unix:/run/skarod/skarod.sock, with at most 100 bytes")
}

// removeStale removes a socket if nobody answers on it.
func removeStale(path string) error {
	before, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if before.Mode().Type() != fs.ModeSocket {
		return errors.New("another file is there")
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, windowsRefused) {
		return errors.New("another program answers there")
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(before, now) {
		return errors.New("another program has just begun to use it")
	}
	return os.Remove(path)
}

// isLocal reports whether only this machine can reach a listener.
func isLocal(l net.Listener) bool {
	addr, ok := l.Addr().(*net.TCPAddr)
	return !ok || addr.IP.IsLoopback()
}

// What Windows says for syscall.EADDRINUSE: WSAEADDRINUSE, or WSAEACCES if the other program
// claims the port for itself. No other system has errors of these numbers.
const (
	windowsInUse    = syscall.Errno(10048)
	windowsReserved = syscall.Errno(10013)
	windowsRefused  = syscall.Errno(10061) // syscall.ECONNREFUSED
)

// listenError returns the error of an address that can't be listened on, with its hint.
func listenError(flag, address string, err error) error {
	cause := systemError(err)
	failed := fmt.Errorf("listen on %s: %w", address, cause)
	var malformed *net.AddrError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &malformed):
		return cli.Usage(fmt.Sprintf("%s is %q: %s", flag, address, malformed.Err), addressHint(address))
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return cli.Usage(fmt.Sprintf("%s is %q: %s", flag, address, lookup.Err), addressHint(address))
	case errors.Is(cause, syscall.EADDRINUSE), errors.Is(cause, windowsInUse), errors.Is(cause, windowsReserved):
		return cli.WithHint(failed, "give another "+flag+": another program has that port")
	case errors.Is(cause, fs.ErrPermission):
		return cli.WithHint(failed, "give another "+flag+": ports below 1024 are for root and for programs with CAP_NET_BIND_SERVICE")
	}
	return cli.WithHint(failed, "give "+flag+" an address of this machine, with a port")
}

// systemError returns what the system says in an error of package net, without the address,
// which the error of the caller has.
func systemError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

// addressHint returns the address that a malformed one was probably meant to be.
func addressHint(address string) string {
	_, port, _ := net.SplitHostPort(defaultListen)
	switch _, err := strconv.ParseUint(address, 10, 16); {
	case err == nil:
		return fmt.Sprintf("did you mean :%s or 127.0.0.1:%s?", address, address)
	case net.ParseIP(address) != nil, !strings.Contains(address, ":") && strings.Trim(address, "0123456789") != "":
		return fmt.Sprintf("did you mean %s?", net.JoinHostPort(address, port))
	}
	return "write it as HOST:PORT, like " + defaultListen + ", with an address of this machine"
}
