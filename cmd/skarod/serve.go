package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/server"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

type serveOptions struct {
	listen            string
	certFile, keyFile string
	registration      string
	allowPlaintext    bool
	allowOrigins      []string
	limits            []string // NAME=VALUE
	proxies           []string // as server.ParseProxy reads them
}

const defaultListen = "127.0.0.1:8765"

// registrations are the values of --registration.
var registrations = []string{server.RegistrationOpen, server.RegistrationInvite, server.RegistrationClosed}

func newServeCmd(f *Factory, run runFunc[serveOptions]) *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `The server runs until it is interrupted. Its WebSocket is at /skaro_client/;
/healthz and /metrics are for monitoring. With TLS, SIGHUP makes it read its
certificate again.

docs/server.md describes TLS, proxies, backups and the systemd service, whose
data is in /var/lib/skarod. Packages have it in /usr/share/doc/skarod/docs.`,
		Example: `  skarod serve
  skarod serve --listen :8443 --tls-cert cert.pem --tls-key key.pem`,
		Args: cli.CheckArgs,
		RunE: cli.Run(func(ctx context.Context, _ []string) error {
			if err := cli.CheckChoice("--registration", o.registration, registrations); err != nil {
				return err
			}
			if err := o.configure(new(server.Options)); err != nil {
				return err
			}
			return run(ctx, f, &o)
		}),
	}
	flags := c.Flags()
	flags.StringVar(&o.listen, "listen", defaultListen, "`ADDRESS` to listen on; port 0 is any free port")
	flags.StringVar(&o.certFile, "tls-cert", "", "PEM `FILE` with the certificate and its chain")
	flags.StringVar(&o.keyFile, "tls-key", "", "PEM `FILE` with the key of the certificate")
	flags.StringVar(&o.registration, "registration", server.RegistrationClosed, "`POLICY` for new accounts: open (anyone), invite (see skarod invite) or closed (only skarod user add)")
	cli.CompleteFlag(c, "registration", registrations...)
	flags.BoolVar(&o.allowPlaintext, "allow-plaintext", false, "permit other machines to connect without TLS")
	flags.StringArrayVar(&o.limits, "limit", nil, "change a limit: `NAME=VALUE`, as docs/server.md lists them")
	cli.CompleteFlagFunc(c, "limit", completeLimits)
	flags.StringSliceVar(&o.proxies, "trusted-proxy", nil, "`NETWORK` whose X-Forwarded-For names the client, such as 127.0.0.1 or 10.0.0.0/8; or unix")
	cli.CompleteFlag(c, "trusted-proxy", "127.0.0.1", "::1", "unix")
	flags.StringArrayVar(&o.allowOrigins, "allow-origin", nil, "`ORIGIN` of web pages that may connect, like https://chat.example.org; may be repeated")
	cli.Together(c, "tls-cert", "tls-key")
	return c
}

// configure sets what --allow-origin, --trusted-proxy and --limit say.
func (s *serveOptions) configure(o *server.Options) error {
	for _, v := range s.allowOrigins {
		origin, err := server.ParseOrigin(v)
		if err != nil {
			return cli.Usage("--allow-origin: "+err.Error(), "give the scheme, the host and the port of the page, and no path")
		}
		o.AllowOrigins = append(o.AllowOrigins, origin)
	}
	for _, v := range s.proxies {
		p, err := server.ParseProxy(v)
		if err != nil {
			return cli.Usage("--trusted-proxy: "+err.Error(), "give the addresses from which your proxies connect to this server")
		}
		o.TrustedProxies = append(o.TrustedProxies, p)
	}
	for _, v := range s.limits {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return cli.Usage(fmt.Sprintf("--limit is %q, not NAME=VALUE", v), "write it like --limit max-connections-per-user=128")
		}
		if err := o.SetLimit(name, value); err != nil {
			return cli.Usage("--limit: "+err.Error(), "use a name and a value as in docs/server.md, \"Limits\"")
		}
	}
	return nil
}

// completeLimits completes the name of a limit; its help is the default and what it bounds.
func completeLimits(_ *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, l := range server.Limits() {
		names = append(names, cobra.CompletionWithDesc(l.Name+"=", l.Default+": "+l.About))
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// runServe runs the server until ctx ends. A signal that comes before it serves is not a
// failure either.
func runServe(ctx context.Context, f *Factory, o *serveOptions) error {
	err := prepareAndServe(ctx, f, o)
	var interrupt *terminal.Interrupt
	if errors.As(err, &interrupt) {
		return nil
	}
	return err
}

// prepareAndServe opens the database last, so that a wrong option leaves the data folder as
// it is.
func prepareAndServe(ctx context.Context, f *Factory, o *serveOptions) error {
	f.log = f.newLog() // from here on, everything that is said goes there
	cert, err := readCertificate(ctx, o.certFile, o.keyFile)
	if err != nil {
		return err
	}
	path, err := f.databasePath()
	if err != nil {
		return err
	}
	listener, err := listen(o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if addr := listener.Addr().(*net.TCPAddr); cert == nil && !addr.IP.IsLoopback() && !o.allowPlaintext {
		return cli.Usage(
			fmt.Sprintf("%s can be reached from other machines, and there is no TLS", addr),
			"give --tls-cert and --tls-key; or --allow-plaintext, if a proxy in front of it has TLS",
		)
	}
	d, err := f.enterDatabase(path)
	if err != nil {
		return err
	}
	s, err := d.open(f)
	if err != nil {
		return err
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return cmp.Or(err, s.Close())
	}
	defer unlock()
	if err := d.checkOneName(ctx); err != nil {
		return cmp.Or(err, s.Close())
	}
	if err := s.SetRegistration(o.registration); err != nil {
		return cmp.Or(err, s.Close())
	}
	r, err := newRunning(o, s, listener, cert, f.log)
	if err != nil {
		return cmp.Or(err, s.Close())
	}
	r.start()
	f.log.Info("listening", "data", filepath.Dir(d.path), "registration", o.registration, "version", buildInfo().Version, "url", r.url())
	err = r.wait(ctx)
	r.stop()
	return cmp.Or(err, s.Close())
}

// running is a server that serves.
type running struct {
	server   *server.Server
	http     *http.Server
	listener net.Listener
	cert     *certificate // nil without TLS
	log      *slog.Logger
	failed   chan error // from the goroutine that accepts connections, when it ends
}

// newLog makes the log of a server.
func (f *Factory) newLog() *slog.Logger {
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(f.stderr, &slog.HandlerOptions{Level: level}))
}

// newRunning makes a server on an open store.
func newRunning(o *serveOptions, s *store.Store, listener net.Listener, cert *certificate, log *slog.Logger) (*running, error) {
	options := server.DefaultOptions()
	options.Store, options.Version, options.Registration, options.Log = s, buildInfo().Version, o.registration, log
	if err := o.configure(&options); err != nil {
		return nil, err
	}
	srv, err := server.New(options)
	if err != nil {
		return nil, err
	}
	return &running{server: srv, http: srv.HTTP(), listener: listener, cert: cert, log: log, failed: make(chan error, 1)}, nil
}

// url returns the address that the server listens on, for a client.
func (r *running) url() string {
	scheme := "ws"
	if r.cert != nil {
		scheme = "wss"
	}
	return fmt.Sprintf("%s://%s%s", scheme, r.listener.Addr(), server.Path)
}

// start starts the goroutine that accepts connections. It ends when the listener is closed.
func (r *running) start() {
	corked := r.server.Listener(r.listener)
	if r.cert != nil {
		corked = tls.NewListener(corked, r.cert.config())
	}
	go func() { r.failed <- r.http.Serve(corked) }()
}

// wait returns when ctx ends, or with the error that ended the serving. Meanwhile SIGHUP
// renews the certificate.
func (r *running) wait(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case err := <-r.failed:
			r.failed <- err // for stop
			return fmt.Errorf("serve: %w", err)
		case <-r.cert.renewals():
			r.renew(ctx)
		case <-ctx.Done():
		}
	}
	var interrupt *terminal.Interrupt
	if errors.As(context.Cause(ctx), &interrupt) {
		r.log.Info("stopping", "signal", interrupt.Name())
	}
	return nil
}

func (r *running) renew(ctx context.Context) {
	validUntil, err := r.cert.read(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.log.Error("the certificate stays as it was", "error", err)
	default:
		r.log.Info("certificate read again", "valid_until", validUntil)
	}
}

// stopTime bounds how long the end of the server may take.
const stopTime = 5 * time.Second

// stop ends all connections, and waits for the goroutine of start.
func (r *running) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	r.listener.Close()
	r.server.Close(ctx)
	r.http.Close()
	<-r.failed
}
