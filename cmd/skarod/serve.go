package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/server"
	"github.com/skaroctl/skaroctl/internal/store"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

type serveOptions struct {
	listen            string
	admin             string // "" for none
	certFile, keyFile string
	registration      string
	allowPlaintext    bool
	allowOrigins      []string
	keep              cli.Duration // 0 means for ever
	limits            []string     // NAME=VALUE
	proxies           []string     // as server.ParseProxy reads them

	config string              // TOML file with further options, or ""
	given  map[string][]string // with a config file: the flags of the command line, which override it
	shown  map[string]string   // with a config file: the value of each flag, but not the limits
}

const defaultListen = "127.0.0.1:8765"

// registrations are the values of --registration.
var registrations = []string{server.RegistrationOpen, server.RegistrationInvite, server.RegistrationClosed}

func newServeCmd(f *Factory, run runFunc[serveOptions]) *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `The server runs until it is interrupted. Its WebSocket is at /skaro_client/.
With --admin, /healthz and /metrics are on a separate address, without a login.
At SIGHUP, the server reads its certificate and config file again.

docs/server.md describes TLS, proxies and the systemd service, and
docs/operations.md backups and monitoring. Packages have both in
/usr/share/doc/skarod/docs, and the data of the service is in /var/lib/skarod.`,
		Example: `  skarod serve
  skarod serve --listen :8443 --tls-cert cert.pem --tls-key key.pem`,
		Args: cli.CheckArgs,
	}
	c.RunE = cli.Run(func(ctx context.Context, _ []string) error {
		if err := o.readConfig(ctx, c.Flags()); err != nil {
			return err
		}
		if err := o.check(); err != nil {
			return err
		}
		return run(ctx, f, &o)
	})
	o.addFlags(c)
	return c
}

// addFlags adds the flags of serve to a command.
func (o *serveOptions) addFlags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&o.config, "config", "", "TOML `FILE` with flags and limits, as docs/server-reference.md lists them; flags override it")
	flags.StringVar(&o.listen, "listen", defaultListen, "`ADDRESS` to listen on, or unix:PATH; port 0 is any free port")
	flags.StringVar(&o.admin, "admin", "", "`ADDRESS` for /healthz and /metrics, or unix:PATH; none by default")
	flags.StringVar(&o.certFile, "tls-cert", "", "PEM `FILE` with the certificate and its chain")
	flags.StringVar(&o.keyFile, "tls-key", "", "PEM `FILE` with the key of the certificate")
	flags.StringVar(&o.registration, "registration", server.RegistrationClosed, "`POLICY` for new accounts: open (anyone), invite (see skarod invite) or closed (only skarod user add)")
	cli.CompleteFlag(c, "registration", registrations...)
	flags.BoolVar(&o.allowPlaintext, "allow-plaintext", false, "permit other machines to connect without TLS")
	flags.Var(&o.keep, "keep", "delete messages after this time, like 90d; by default, all are kept")
	flags.StringArrayVar(&o.limits, "limit", nil, "change a limit: `NAME=VALUE`, as docs/server-reference.md lists them")
	cli.CompleteFlagFunc(c, "limit", completeLimits)
	flags.StringSliceVar(&o.proxies, "trusted-proxy", nil, "`NETWORK` of proxies whose X-Forwarded-For is trusted: 127.0.0.1, 10.0.0.0/8, or unix for Unix sockets (repeatable)")
	cli.CompleteFlag(c, "trusted-proxy", "127.0.0.1", "::1", "unix")
	flags.StringArrayVar(&o.allowOrigins, "allow-origin", nil, "`ORIGIN` of web pages that may connect, like https://chat.example.org (repeatable)")
	cli.Together(c, "tls-cert", "tls-key")
}

// check returns an error if the options can't be used.
func (o *serveOptions) check() error {
	if (o.certFile == "") != (o.keyFile == "") {
		return cli.Usage("tls-cert and tls-key belong together", "give both")
	}
	return o.checkValues()
}

// checkValues returns an error if an option has a value that it can't have.
func (o *serveOptions) checkValues() error {
	if err := cli.CheckChoice("--registration", o.registration, registrations); err != nil {
		return err
	}
	return o.configure(new(server.Options))
}

// configure sets what --keep, --allow-origin, --trusted-proxy and --limit say.
func (o *serveOptions) configure(options *server.Options) error {
	if o.keep != 0 && time.Duration(o.keep) < store.MinKeep {
		return tooShort("--keep", o.keep)
	}
	options.Keep = time.Duration(o.keep)
	for _, v := range o.allowOrigins {
		origin, err := server.ParseOrigin(v)
		if err != nil {
			return cli.Usage("--allow-origin: "+err.Error(), "give the scheme, the host and the port of the page, and no path")
		}
		options.AllowOrigins = append(options.AllowOrigins, origin)
	}
	for _, v := range o.proxies {
		p, err := server.ParseProxy(v)
		if err != nil {
			return cli.Usage("--trusted-proxy: "+err.Error(), "give the addresses from which your proxies connect to this server")
		}
		options.TrustedProxies = append(options.TrustedProxies, p)
	}
	for _, v := range o.limits {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return cli.Usage(fmt.Sprintf("--limit is %q, not NAME=VALUE", v), "write it like --limit max-connections-per-user=128")
		}
		if err := options.SetLimit(name, value); err != nil {
			return cli.Usage("--limit: "+err.Error(), "use a name and a value as in docs/server-reference.md, \"Limits\"")
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
	return store.InWords(err)
}

// prepareAndServe opens the database last, so that a wrong option leaves the data folder as
// it is.
func prepareAndServe(ctx context.Context, f *Factory, o *serveOptions) error {
	f.log = f.newLog() // from here on, everything that is said goes there
	var hangups <-chan os.Signal
	if o.certFile != "" || o.config != "" { // otherwise SIGHUP ends the program
		hangups = terminal.Hangups(ctx)
	}
	cert, err := readCertificate(ctx, o.certFile, o.keyFile)
	if err != nil {
		return err
	}
	path, err := f.databasePath()
	if err != nil {
		return err
	}
	public, admin, err := o.listeners(cert != nil)
	if err != nil {
		return err
	}
	defer closeAll(public, admin)
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
	r, err := newRunning(o, s, cert, f.log)
	if err != nil {
		return cmp.Or(err, s.Close())
	}
	r.hangups = hangups
	r.start(public, admin)
	r.logStart(filepath.Dir(d.path), o.registration)
	r.server.WarnOfFiles()
	r.tellSystemd(daemon.SdNotifyReady)
	r.startWatchdog()
	err = r.wait(ctx)
	r.tellSystemd(daemon.SdNotifyStopping)
	r.stop()
	return cmp.Or(err, s.Close())
}

// listeners makes the listeners of the server and of its operator, which may be nil. A
// listener without TLS that other machines can reach needs --allow-plaintext.
func (o *serveOptions) listeners(tls bool) (public, admin net.Listener, err error) {
	if public, err = listen("--listen", o.listen); err != nil {
		return nil, nil, err
	}
	if !tls && !isLocal(public) && !o.allowPlaintext {
		closeAll(public)
		return nil, nil, cli.Usage(
			fmt.Sprintf("%s can be reached from other machines, and there is no TLS", public.Addr()),
			"give --tls-cert and --tls-key; or --allow-plaintext, if a proxy in front of it has TLS",
		)
	}
	if o.admin == "" {
		return public, nil, nil
	}
	if admin, err = listen("--admin", o.admin); err != nil {
		closeAll(public)
		return nil, nil, err
	}
	if !isLocal(admin) && !o.allowPlaintext {
		closeAll(public, admin)
		return nil, nil, cli.Usage(
			fmt.Sprintf("%s can be reached from other machines, and --admin has neither TLS nor a login", admin.Addr()),
			"give --admin a loopback address or unix:PATH; or --allow-plaintext, if only your monitoring reaches it",
		)
	}
	return public, admin, nil
}

func closeAll(listeners ...net.Listener) {
	for _, l := range listeners {
		if l != nil {
			l.Close()
		}
	}
}

// running is a server that serves.
type running struct {
	options *serveOptions // as they were at the start
	server  *server.Server
	cert    *certificate // nil without TLS
	log     *slog.Logger
	hangups <-chan os.Signal // nil if there is nothing to read again

	listeners []net.Listener // the server's own, and the operator's if there is one
	web       []*http.Server // one for each listener
	failed    chan error     // from the goroutine of each listener, when it ends

	stopWatchdog func()
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
func newRunning(o *serveOptions, s *store.Store, cert *certificate, log *slog.Logger) (*running, error) {
	options := server.DefaultOptions()
	options.Store, options.Version, options.Registration, options.Log = s, buildInfo().Version, o.registration, log
	if err := o.configure(&options); err != nil {
		return nil, err
	}
	srv, err := server.New(options)
	if err != nil {
		return nil, err
	}
	return &running{options: o, server: srv, cert: cert, log: log, failed: make(chan error, 2)}, nil
}

// logStart says where the server listens, and when its certificate expires.
func (r *running) logStart(data, registration string) {
	about := []any{"data", data, "registration", registration, "version", buildInfo().Version, "url", r.url()}
	if len(r.listeners) > 1 {
		about = append(about, "admin", addressOf(r.listeners[1]))
	}
	r.log.Info("listening", about...)
	if r.cert != nil {
		r.cert.logRead(r.log, "certificate read", time.Now())
	}
}

// url returns the address that the server listens on, for a client or a proxy.
func (r *running) url() string {
	address := addressOf(r.listeners[0])
	switch {
	case strings.HasPrefix(address, unixPrefix):
		return address
	case r.cert != nil:
		return "wss://" + address + server.Path
	}
	return "ws://" + address + server.Path
}

// addressOf returns the address of a listener, as a flag names it.
func addressOf(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return unixPrefix + l.Addr().String()
	}
	return l.Addr().String()
}

// start starts the goroutines that accept connections. Each ends when its listener is closed.
func (r *running) start(public, admin net.Listener) {
	corked := r.server.Listener(public)
	if r.cert != nil {
		corked = tls.NewListener(corked, r.cert.config())
	}
	r.serve(corked, public, r.server.HTTP())
	if admin != nil {
		r.serve(r.server.AdminListener(admin), admin, r.server.Admin())
	}
}

func (r *running) serve(accept, listener net.Listener, web *http.Server) {
	r.listeners, r.web = append(r.listeners, listener), append(r.web, web)
	go func() { r.failed <- web.Serve(accept) }()
}

// wait returns when ctx ends, or with the error that ended the serving. Meanwhile it reads
// the config file and the certificate again at SIGHUP.
func (r *running) wait(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case err := <-r.failed:
			r.failed <- err // for stop
			return fmt.Errorf("serve: %w", err)
		case <-r.hangups:
			r.reread(ctx)
		case <-ctx.Done():
		}
	}
	var interrupt *terminal.Interrupt
	if errors.As(context.Cause(ctx), &interrupt) {
		r.log.Info("stopping", "signal", interrupt.Name())
	}
	return nil
}

// reread reads the config file and the certificate again.
func (r *running) reread(ctx context.Context) {
	if r.options.config != "" {
		r.reconfigure(ctx)
	}
	if r.cert != nil && ctx.Err() == nil {
		r.renew(ctx)
	}
}

// reconfigure applies what has changed in the config file and can change while the server
// runs. The log names the rest.
func (r *running) reconfigure(ctx context.Context) {
	next, err := r.options.reread(ctx)
	limits := server.DefaultOptions()
	if err == nil {
		err = next.configure(&limits)
	}
	if err != nil {
		if ctx.Err() == nil {
			r.log.Error("the configuration stays as it was", "error", err)
		}
		return
	}
	changed, later := r.server.SetLimits(limits)
	if r.cert != nil && next.certFile != "" && (next.certFile != r.cert.certFile || next.keyFile != r.cert.keyFile) {
		r.cert.certFile, r.cert.keyFile = next.certFile, next.keyFile
		changed = append(changed, "tls-cert", "tls-key")
	}
	for _, name := range slices.Sorted(maps.Keys(next.shown)) {
		ofCertificate := r.cert != nil && next.certFile != "" && strings.HasPrefix(name, "tls-")
		if next.shown[name] != r.options.shown[name] && !ofCertificate {
			later = append(later, name)
		}
	}
	r.log.Info("configuration read again", "changed", strings.Join(changed, ","), "needs_restart", strings.Join(later, ","))
}

func (r *running) renew(ctx context.Context) {
	err := r.cert.read(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.log.Error("the certificate stays as it was", "error", err)
	default:
		r.cert.logRead(r.log, "certificate read again", time.Now())
	}
}

// stopTime bounds how long the end of the server may take.
const stopTime = 5 * time.Second

// stop ends all connections, and waits for the goroutines of start.
func (r *running) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	r.stopWatchdog()
	closeAll(r.listeners...)
	r.server.Close(ctx)
	for _, web := range r.web {
		web.Close()
	}
	for range r.web {
		<-r.failed
	}
}
