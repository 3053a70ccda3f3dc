package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/server"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

type serveOptions struct {
	listen, cert, key, registration string
	allowPlaintext, verbose         bool
}

const defaultListen = "127.0.0.1:8765"

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is interrupted. Its WebSocket is at /skaro_client/; /healthz
answers "ok", /metrics has counters for Prometheus. A message is confirmed to its
sender only when it is on disk.

The service that the packages bring has its data in /var/lib/skarod. To change its
address, its TLS or who may create an account, give "systemctl edit skarod" a line
ExecStart= with other flags, behind an empty one, and restart the service:

  [Service]
  ExecStart=
  ExecStart=/usr/bin/skarod serve --data /var/lib/skarod --registration invite

SIGHUP makes a server that has TLS read its certificate and key again, as after a
renewal, and go on. Without TLS it ends the server, as a terminal that closes does.

docs/server.md says how the service gets the key of a certificate (LoadCredential=).
The packages have it in /usr/share/doc/skarod/docs.`,
		Example: `  skarod serve
  skarod serve --listen :8443 --tls-cert cert.pem --tls-key key.pem`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error { return a.serve(ctx, o) }),
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", defaultListen, "`ADDRESS` to listen on; port 0 is any free one")
	f.StringVar(&o.cert, "tls-cert", "", "PEM `FILE` of the certificate and its chain")
	f.StringVar(&o.key, "tls-key", "", "PEM `FILE` of the certificate's key")
	f.StringVar(&o.registration, "registration", server.RegistrationClosed, "`POLICY` of who may create an account: open (everybody), invite (see skarod invite) or closed (nobody)")
	cli.CompleteFlag(c, "registration", server.RegistrationOpen, server.RegistrationInvite, server.RegistrationClosed)
	f.BoolVar(&o.allowPlaintext, "allow-plaintext", false, "permit other machines to connect without TLS")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log every connection")
	cli.Together(c, "tls-cert", "tls-key")
	return c
}

// shutdown bounds how long the end of the server may take.
const shutdown = 5 * time.Second

func (a *app) serve(ctx context.Context, o serveOptions) error {
	switch o.registration {
	case server.RegistrationOpen, server.RegistrationInvite, server.RegistrationClosed:
	default:
		return cli.Usage(fmt.Sprintf("--registration is %q, not one of open, invite, closed", o.registration), "")
	}
	var config *tls.Config
	var certificate atomic.Pointer[tls.Certificate]
	var hangups <-chan os.Signal
	if o.cert != "" {
		hangups = terminal.Hangups(ctx)
		pair, err := keyPair(ctx, o.cert, o.key)
		if err != nil {
			return err
		}
		certificate.Store(&pair)
		config = &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.Load(), nil },
			MinVersion:     tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		}
	}
	path, err := a.databasePath()
	if err != nil {
		return err
	}
	network := "tcp"
	if host, _, err := net.SplitHostPort(o.listen); err == nil && net.ParseIP(host).To4() != nil {
		network = "tcp4" // else 0.0.0.0 would be every address of IPv6, too
	}
	listener, err := net.Listen(network, o.listen)
	if err != nil {
		return cantListen(o.listen, err)
	}
	defer listener.Close()
	addr := listener.Addr().(*net.TCPAddr)
	if config == nil && !addr.IP.IsLoopback() && !o.allowPlaintext {
		return cli.Usage(
			fmt.Sprintf("%s can be reached from other machines, and there is no TLS", addr),
			"give --tls-cert and --tls-key; or --allow-plaintext, when a proxy in front of it has TLS",
		)
	}
	entered, err := enter(path)
	if err != nil {
		return err
	}
	s, err := a.open(path, entered)
	if err != nil {
		return err
	}
	unlock, err := lockServe(ctx, path, entered)
	if err != nil {
		return cmp.Or(err, s.Close())
	}
	defer unlock()
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	options := server.DefaultOptions()
	options.Store, options.Version, options.Registration = s, buildInfo().Version, o.registration
	options.Log = slog.New(slog.NewTextHandler(a.streams.Err, &slog.HandlerOptions{Level: level}))
	srv, err := server.New(options)
	if err != nil {
		return cmp.Or(err, s.Close())
	}
	h := srv.HTTP()
	scheme := "ws"
	corked := server.Listener(listener)
	if config != nil {
		scheme, corked = "wss", tls.NewListener(corked, config)
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(corked) }()
	fmt.Fprintf(a.streams.Err, "skarod: listening on %s://%s%s\n", scheme, addr, server.Path)
	options.Log.Info("started", "data", filepath.Dir(path), "registration", o.registration, "version", options.Version)
	for err == nil && ctx.Err() == nil {
		select {
		case err = <-failed:
			err = fmt.Errorf("serve: %w", err)
		case <-hangups:
			pair, err := keyPair(ctx, o.cert, o.key)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				options.Log.Error("the certificate stays as it was", "error", err)
			default:
				certificate.Store(&pair)
				options.Log.Info("certificate read again", "valid_until", pair.Leaf.NotAfter)
			}
		case <-ctx.Done():
		}
	}
	var interrupt *terminal.Interrupt
	if errors.As(context.Cause(ctx), &interrupt) {
		options.Log.Info("stopping", "signal", interrupt.Name())
	}
	ending, cancel := context.WithTimeout(context.Background(), shutdown)
	defer cancel()
	listener.Close()
	srv.Close(ending)
	h.Close()
	return cmp.Or(err, s.Close())
}

// maxPEM bounds what is read of a certificate or its key, in bytes.
const maxPEM = 1 << 20

// keyPair reads a certificate and its key. Either may be a pipe that nobody has opened
// yet: what ends ctx ends the wait.
func keyPair(ctx context.Context, cert, key string) (tls.Certificate, error) {
	certPEM, err := terminal.ReadFile(ctx, cert, maxPEM)
	var keyPEM []byte
	if err == nil {
		keyPEM, err = terminal.ReadFile(ctx, key, maxPEM)
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.X509KeyPair(certPEM, keyPEM)
	}
	if err != nil && ctx.Err() == nil {
		err = cli.Usage(fmt.Sprintf("the certificate can't be used: %v", err), "check --tls-cert and --tls-key")
	}
	return pair, err
}

// What Windows calls syscall.EADDRINUSE: WSAEADDRINUSE, or WSAEACCES where the other
// program wants the port for itself. No other system has errors of these numbers.
const (
	windowsInUse    = syscall.Errno(10048)
	windowsReserved = syscall.Errno(10013)
)

// cantListen says what to do about an address that can't be listened on.
func cantListen(addr string, err error) error {
	why := err
	var op *net.OpError
	if errors.As(err, &op) {
		why = op.Err // the address is said once
	}
	var call *os.SyscallError
	if errors.As(why, &call) {
		why = call.Err
	}
	said := fmt.Errorf("listen on %s: %w", addr, why)
	var wrong *net.AddrError
	var unknown *net.DNSError
	switch {
	case errors.As(err, &wrong):
		return cli.Usage(fmt.Sprintf("--listen is %q: %s", addr, wrong.Err), listenHint(addr))
	case errors.As(err, &unknown) && unknown.IsNotFound:
		return cli.Usage(fmt.Sprintf("--listen is %q: %s", addr, unknown.Err), listenHint(addr))
	case errors.Is(why, syscall.EADDRINUSE), errors.Is(why, windowsInUse), errors.Is(why, windowsReserved):
		return cli.WithHint(said, "another program has that port: give another --listen")
	case errors.Is(why, fs.ErrPermission):
		return cli.WithHint(said, "ports below 1024 are for root, and for who has CAP_NET_BIND_SERVICE: give another --listen")
	}
	return cli.WithHint(said, "give --listen an address of this machine, with a port")
}

// listenHint is what was meant by an address that is none.
func listenHint(addr string) string {
	_, port, _ := net.SplitHostPort(defaultListen)
	switch _, err := strconv.ParseUint(addr, 10, 16); {
	case err == nil:
		return fmt.Sprintf("did you mean :%s or 127.0.0.1:%s?", addr, addr)
	case net.ParseIP(addr) != nil, !strings.Contains(addr, ":") && strings.Trim(addr, "0123456789") != "":
		return fmt.Sprintf("did you mean %s?", net.JoinHostPort(addr, port))
	}
	return "write it as HOST:PORT, like " + defaultListen + ", with an address of this machine"
}

// lockTimeout bounds the wait for another server that is just ending.
const lockTimeout = 2 * time.Second

// errServed is the cause of the end of lockTimeout.
var errServed = errors.New("another skarod serves it")

// lockServe keeps a second server from the same database: neither would push what the
// other one stores.
func lockServe(ctx context.Context, path, entered string) (unlock func() error, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockTimeout, errServed)
	defer cancel()
	unlock, err = store.Lock(ctx, entered)
	switch {
	case errors.Is(err, errServed):
		return nil, cli.Usage("another skarod serves "+path, "stop it, or give another --data")
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, cantOpen(path, fmt.Errorf("lock the database %s: %w", path, err))
	}
	return unlock, nil
}
