package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/skaroctl/skaroctl/internal/store"
)

// Options are the settings of a server. A zero value means the default of DefaultOptions;
// only Store has none. Each field that is a limit has its row in the table limits.
type Options struct {
	Store        *store.Store
	Version      string
	Registration string   // RegistrationOpen, RegistrationInvite or RegistrationClosed
	AllowOrigins []string // of pages that may connect, from ParseOrigin
	Log          *slog.Logger
	Clock        func() time.Time
	After        func(time.Duration) <-chan time.Time // as time.After
	// TrustedProxies are those whose X-Forwarded-For names the client.
	TrustedProxies []netip.Prefix
	AliveInterval  time.Duration          // how often the server stores that it is running
	FreeBytes      func() (uint64, error) // free space on the disk; nil means that of Store
	Keep           time.Duration          // how long messages are kept; zero means for ever
	PruneInterval  time.Duration          // how often older ones are deleted

	MaxConnections               int
	ReservedConnections          int
	MaxConnectionsPerUser        int
	MaxConnectionsPerAddress     int
	MaxUnauthenticatedPerAddress int
	MaxUnauthenticatedFrame      int // bytes
	MaxFrame                     int // bytes
	MaxUnfinishedBytes           int
	MaxUnreadBytes               int
	MinFreeSpace                 int // bytes
	MaxBody                      int // bytes
	MaxQueue                     int
	MaxQueueBytes                int
	MaxInFlight                  int
	MaxSessions                  int
	MaxRefusals                  int
	MaxRegistrations             int

	MaxRegistrationsPerAddress int
	MaxWaitingLogins           int

	LoginDelay   time.Duration
	FrameTime    time.Duration
	AuthTime     time.Duration
	SessionLife  time.Duration
	PingInterval time.Duration
	WriteTime    time.Duration
	HTTPTime     time.Duration
}

// Names of limits that refusals mention, or that change while the server runs.
const (
	maxConnections               = "max-connections"
	reservedConnections          = "reserved-connections"
	maxConnectionsPerUser        = "max-connections-per-user"
	maxConnectionsPerAddress     = "max-connections-per-address"
	maxUnauthenticatedPerAddress = "max-unauthenticated-per-address"
	maxUnauthenticatedFrame      = "max-unauthenticated-frame"
	maxFrame                     = "max-frame"
	maxUnfinishedBytes           = "max-unfinished-bytes"
	minFreeSpace                 = "min-free-space"
	maxBody                      = "max-body"
	maxRefusals                  = "max-refusals-per-connection"
	maxRegistrations             = "max-registrations"
	maxRegistrationsPerAddress   = "max-registrations-per-address"
	maxWaitingLogins             = "max-waiting-logins"
	maxSessions                  = "max-sessions-per-user"
	sessionTime                  = "session-life"
	loginDelay                   = "login-delay"
	frameTime                    = "frame-time"
	authTime                     = "login-time"
)

// limits are all limits, with their defaults. docs/server-reference.md lists them.
var limits = []Limit{
	count(maxConnections, 10000, "connections", func(o *Options) *int { return &o.MaxConnections }),
	count(reservedConnections, 2000, "the part of max-connections that is kept for users who have a session but no connection; at most a fifth", func(o *Options) *int { return &o.ReservedConnections }),
	count(maxConnectionsPerUser, 64, "connections of one user", func(o *Options) *int { return &o.MaxConnectionsPerUser }),
	count(maxConnectionsPerAddress, 256, "connections of one address", func(o *Options) *int { return &o.MaxConnectionsPerAddress }),
	count(maxUnauthenticatedPerAddress, 32, "connections of one address that have not logged in yet", func(o *Options) *int { return &o.MaxUnauthenticatedPerAddress }),
	size(maxUnauthenticatedFrame, 16<<10, "a frame before the login", func(o *Options) *int { return &o.MaxUnauthenticatedFrame }),
	size(maxFrame, 1<<20, "a frame after the login", func(o *Options) *int { return &o.MaxFrame }),
	size(maxUnfinishedBytes, 256<<20, "all frames that have not arrived completely", func(o *Options) *int { return &o.MaxUnfinishedBytes }),
	size("max-unread-bytes", 256<<20, "all frames that clients have not read yet; one connection may use 1/32 of what is still free, but always at least 64 KiB", func(o *Options) *int { return &o.MaxUnreadBytes }),
	size(minFreeSpace, 64<<20, "free space on the disk; with less, nothing more is stored", func(o *Options) *int { return &o.MinFreeSpace }),
	size(maxBody, 256<<10, "the text of a message", func(o *Options) *int { return &o.MaxBody }),
	count("max-queue", 8192, "frames that wait for a client that reads slowly", func(o *Options) *int { return &o.MaxQueue }),
	size("max-queue-bytes", 8<<20, "size of the frames that wait for a client that reads slowly", func(o *Options) *int { return &o.MaxQueueBytes }),
	count("max-in-flight", 1024, "messages of one connection that are not on disk yet", func(o *Options) *int { return &o.MaxInFlight }),
	count(maxSessions, 1000, "sessions of one user; if all of them are in use, there may be more", func(o *Options) *int { return &o.MaxSessions }),
	count(maxRefusals, 10, "refused logins and registrations of one connection", func(o *Options) *int { return &o.MaxRefusals }),
	count(maxRegistrations, 60, "new accounts a minute of all clients together that connect from a loopback address or a Unix socket", func(o *Options) *int { return &o.MaxRegistrations }),
	count(maxRegistrationsPerAddress, 10, "new accounts a minute of one other address", func(o *Options) *int { return &o.MaxRegistrationsPerAddress }),
	count(maxWaitingLogins, 64, "login attempts of one address that wait for the end of their delay", func(o *Options) *int { return &o.MaxWaitingLogins }),
	span(loginDelay, 5*time.Second, "the longest delay of a login after refused ones", func(o *Options) *time.Duration { return &o.LoginDelay }),
	span(frameTime, 30*time.Second, "from the beginning of a frame to its end", func(o *Options) *time.Duration { return &o.FrameTime }),
	span(authTime, time.Minute, "a connection without a login", func(o *Options) *time.Duration { return &o.AuthTime }),
	span(sessionTime, 5*time.Minute, "a session without a connection", func(o *Options) *time.Duration { return &o.SessionLife }),
	span("ping-interval", 30*time.Second, "between two pings; a connection that answers none ends within two intervals", func(o *Options) *time.Duration { return &o.PingInterval }),
	span("write-time", 10*time.Second, "until a client accepts a frame, or the next 16 KiB of a large one", func(o *Options) *time.Duration { return &o.WriteTime }),
	span("http-time", 10*time.Second, "each of: an HTTP request, its answer", func(o *Options) *time.Duration { return &o.HTTPTime }),
}

// DefaultOptions are what skarod runs with.
func DefaultOptions() Options {
	o := Options{
		Version: "dev", Registration: RegistrationClosed, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: time.Now, After: time.After,
		AliveInterval: 30 * time.Second, PruneInterval: time.Hour,
	}
	for _, l := range limits {
		_ = l.complete(&o) // zero is not an error
	}
	return o
}

// complete replaces zero values with the defaults. An error names an option that can't be
// used.
func (o *Options) complete() error {
	d := DefaultOptions()
	if o.Store == nil {
		return errors.New("no Store")
	}
	o.Version, o.Registration = cmp.Or(o.Version, d.Version), cmp.Or(o.Registration, d.Registration)
	o.Log = cmp.Or(o.Log, d.Log)
	if o.Clock == nil {
		o.Clock = d.Clock
	}
	if o.After == nil {
		o.After = d.After
	}
	if o.FreeBytes == nil {
		o.FreeBytes = o.Store.FreeBytes
	}
	if o.Registration != RegistrationOpen && o.Registration != RegistrationInvite && o.Registration != RegistrationClosed {
		return fmt.Errorf("unknown Registration %q", o.Registration)
	}
	if o.AliveInterval < 0 {
		return fmt.Errorf("negative AliveInterval: %v", o.AliveInterval)
	}
	if o.Keep < 0 || o.Keep > 0 && o.Keep < store.MinKeep {
		return fmt.Errorf("a Keep of %v is less than %v", o.Keep, store.MinKeep)
	}
	o.AliveInterval, o.PruneInterval = cmp.Or(o.AliveInterval, d.AliveInterval), cmp.Or(o.PruneInterval, d.PruneInterval)
	for _, l := range limits {
		if err := l.complete(o); err != nil {
			return err
		}
	}
	return nil
}
