package main

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// These are the errors that no test can cause on every system.
func TestListenErrorsSayWhatToChange(t *testing.T) {
	bind := func(code syscall.Errno) error {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: 80}, Err: os.NewSyscallError("bind", code)}
	}
	for _, c := range []struct {
		addr      string
		err       error
		code      int
		why, hint string
	}{
		{":80", bind(syscall.EACCES), 1, "listen on :80: " + syscall.EACCES.Error(), "ports below 1024 are for root"},
		{":80", bind(10048), 1, "listen on :80: " + syscall.Errno(10048).Error(), "another program has that port"}, // as Windows says it
		{":80", bind(10013), 1, "listen on :80: " + syscall.Errno(10013).Error(), "another program has that port"},
		{"192.0.2.1:80", bind(syscall.EADDRNOTAVAIL), 1, "listen on 192.0.2.1:80: " + syscall.EADDRNOTAVAIL.Error(), "an address of this machine"},
		{"nowhere:80", &net.OpError{Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, 2, `--listen is "nowhere:80": no such host`, "an address of this machine"},
		{"nowhere:80", &net.OpError{Err: &net.DNSError{Err: "server misbehaving", Name: "nowhere"}}, 1, "listen on nowhere:80: lookup nowhere: server misbehaving", "an address of this machine"},
	} {
		err := listenError("--listen", c.addr, c.err)
		var e *cli.Error
		if !errors.As(err, &e) || (e.Kind == cli.KindUsage) != (c.code == 2) || err.Error() != c.why || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %v, %+v", c.addr, err, e)
		}
	}
}
