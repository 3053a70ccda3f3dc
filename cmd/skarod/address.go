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

// listen listens on an address of --listen.
func listen(address string) (net.Listener, error) {
	network := "tcp"
	if host, _, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).To4() != nil {
		network = "tcp4" // else 0.0.0.0 would include every address of IPv6
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, listenError(address, err)
	}
	return listener, nil
}

// What Windows calls syscall.EADDRINUSE: WSAEADDRINUSE, or WSAEACCES if the other program
// claims the port for itself. No other system has errors of these numbers.
const (
	windowsInUse    = syscall.Errno(10048)
	windowsReserved = syscall.Errno(10013)
)

// listenError returns the error of an address that can't be listened on, with its hint.
func listenError(address string, err error) error {
	cause := err
	var op *net.OpError
	if errors.As(err, &op) {
		cause = op.Err // without the address, which the error has already
	}
	var call *os.SyscallError
	if errors.As(cause, &call) {
		cause = call.Err
	}
	failed := fmt.Errorf("listen on %s: %w", address, cause)
	var malformed *net.AddrError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &malformed):
		return cli.Usage(fmt.Sprintf("--listen is %q: %s", address, malformed.Err), addressHint(address))
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return cli.Usage(fmt.Sprintf("--listen is %q: %s", address, lookup.Err), addressHint(address))
	case errors.Is(cause, syscall.EADDRINUSE), errors.Is(cause, windowsInUse), errors.Is(cause, windowsReserved):
		return cli.WithHint(failed, "give another --listen: another program has that port")
	case errors.Is(cause, fs.ErrPermission):
		return cli.WithHint(failed, "give another --listen: ports below 1024 are for root and for programs with CAP_NET_BIND_SERVICE")
	}
	return cli.WithHint(failed, "give --listen an address of this machine, with a port")
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
