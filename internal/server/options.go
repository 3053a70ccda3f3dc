package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// Options are the settings of a server. A zero value means the default of DefaultOptions;
// only Store has none.
type Options struct {
	Store        *store.Store
	Version      string
	Registration string // RegistrationOpen, RegistrationInvite or RegistrationClosed
	Log          *slog.Logger
	Clock        func() time.Time

	SessionLife   time.Duration // how long a session outlives its last connection
	AliveInterval time.Duration // how often the server stores that it is running
	PingInterval  time.Duration // a connection that is silent for two intervals is dropped
	AuthTime      time.Duration // how long a connection may stay without a login
	WriteTime     time.Duration // how long a peer may take to accept a frame, or each fragment of a large one
	HTTPTime      time.Duration // bounds an HTTP request that does not become a WebSocket, its answer, and the wait for the next one

	MaxConnections          int
	MaxUnauthenticatedFrame int64 // bytes of a frame before the login; a larger frame ends the connection
	MaxFrame                int64 // bytes of a frame after the login
	MaxBody                 int   // bytes; a larger body is refused
	MaxQueue                int   // frames that wait for a slow peer; more end its connection
	MaxQueueBytes           int
	MaxInFlight             int // messages of one connection that are not yet on disk
	MaxSessions             int // of one user; more only if all are in use
	MaxRefusals             int // refused logins and registrations of one connection
	MaxRegistrations        int // accounts made in a minute, with RegistrationOpen
}

// DefaultOptions are what skarod runs with.
func DefaultOptions() Options {
	return Options{
		Version: "dev", Registration: RegistrationClosed, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: time.Now,
		SessionLife: 5 * time.Minute, AliveInterval: 30 * time.Second, PingInterval: 30 * time.Second, AuthTime: time.Minute, WriteTime: 10 * time.Second, HTTPTime: 10 * time.Second,
		MaxConnections: 10000, MaxUnauthenticatedFrame: 1 << 20, MaxFrame: proto.MaxFrame, MaxBody: 256 << 10, MaxQueue: 8192, MaxQueueBytes: 8 << 20,
		MaxInFlight: 1024, MaxSessions: 1000, MaxRefusals: 10, MaxRegistrations: 60,
	}
}

// complete replaces zero values by the defaults. An error names an option that can't be
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
	if o.Registration != RegistrationOpen && o.Registration != RegistrationInvite && o.Registration != RegistrationClosed {
		return fmt.Errorf("unknown Registration %q", o.Registration)
	}
	return cmp.Or(
		orDefault("SessionLife", &o.SessionLife, d.SessionLife),
		orDefault("AliveInterval", &o.AliveInterval, d.AliveInterval),
		orDefault("PingInterval", &o.PingInterval, d.PingInterval),
		orDefault("AuthTime", &o.AuthTime, d.AuthTime),
		orDefault("WriteTime", &o.WriteTime, d.WriteTime),
		orDefault("HTTPTime", &o.HTTPTime, d.HTTPTime),
		orDefault("MaxConnections", &o.MaxConnections, d.MaxConnections),
		orDefault("MaxUnauthenticatedFrame", &o.MaxUnauthenticatedFrame, d.MaxUnauthenticatedFrame),
		orDefault("MaxFrame", &o.MaxFrame, d.MaxFrame),
		orDefault("MaxBody", &o.MaxBody, d.MaxBody),
		orDefault("MaxQueue", &o.MaxQueue, d.MaxQueue),
		orDefault("MaxQueueBytes", &o.MaxQueueBytes, d.MaxQueueBytes),
		orDefault("MaxInFlight", &o.MaxInFlight, d.MaxInFlight),
		orDefault("MaxSessions", &o.MaxSessions, d.MaxSessions),
		orDefault("MaxRefusals", &o.MaxRefusals, d.MaxRefusals),
		orDefault("MaxRegistrations", &o.MaxRegistrations, d.MaxRegistrations),
	)
}

// orDefault gives an option its default if it is zero. A negative one is an error.
func orDefault[T int | int64 | time.Duration](name string, option *T, byDefault T) error {
	if *option < 0 {
		return fmt.Errorf("negative %s: %v", name, *option)
	}
	*option = cmp.Or(*option, byDefault)
	return nil
}
