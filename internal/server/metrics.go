package server

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// The values of the label what of skarod_refusals_total.
const (
	refusedConnection   = "connection"
	refusedLogin        = "login"
	refusedRegistration = "registration"
	refusedRequest      = "request"
)

// counters are the metrics that change with each event. newRegistry has the others, which
// are read when they are asked for.
type counters struct {
	accepted, logins, registered, requests, messages, delivered, tooSlow prometheus.Counter

	refusals *prometheus.CounterVec // what was refused, and the status
	inFlight prometheus.Gauge       // messages that are not on disk yet

	commitTime, commitSize, deliveryTime prometheus.Histogram
}

// seconds are the buckets of a time: from half a millisecond to 16 s.
var seconds = prometheus.ExponentialBuckets(0.0005, 2, 16)

func newCounters(r prometheus.Registerer) counters {
	factory := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return factory.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return factory.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	return counters{
		accepted:   counter("skarod_connections_total", "Connections accepted."),
		logins:     counter("skarod_logins_total", "Logins, restored sessions included."),
		registered: counter("skarod_registrations_total", "Accounts made by registration."),
		requests:   counter("skarod_requests_total", "Requests."),
		messages:   counter("skarod_messages_total", "Messages stored."),
		delivered:  counter("skarod_deliveries_total", "Messages pushed to a connection."),
		tooSlow:    counter("skarod_slow_closes_total", "Connections ended because they read too slowly."),
		refusals: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "skarod_refusals_total", Help: "Refusals, by what was refused (connection, login, registration, request) and status.",
		}, []string{"what", "status"}),
		inFlight:     factory.NewGauge(prometheus.GaugeOpts{Name: "skarod_messages_in_flight", Help: "Messages that are not on disk yet."}),
		commitTime:   histogram("skarod_commit_seconds", "Time of a commit.", seconds),
		commitSize:   histogram("skarod_commit_writes", "Writes that share a commit.", prometheus.ExponentialBuckets(1, 2, 10)),
		deliveryTime: histogram("skarod_delivery_seconds", "Time from the arrival of a message until it is written to a recipient: the oldest of those written together.", seconds),
	}
}

// newRegistry makes the metrics of the server.
func (s *Server) newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	s.counter = newCounters(r)
	s.o.Store.OnCommit(func(writes int, took time.Duration) {
		s.counter.commitTime.Observe(took.Seconds())
		s.counter.commitSize.Observe(float64(writes))
	})
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	gauge("skarod_build_info", "1; the labels say what the server was built from.", prometheus.Labels{"version": s.o.Version, "go": runtime.Version()}, func() float64 { return 1 })
	for state, in := range map[string]func(population) int{
		"unauthenticated": func(p population) int { return p.connections - p.authenticated },
		"authenticated":   func(p population) int { return p.authenticated },
	} {
		gauge("skarod_connections", "Open connections, by state.", prometheus.Labels{"state": state}, func() float64 { return float64(in(s.population())) })
	}
	gauge("skarod_users_online", "Users with a connection that is logged in.", nil, func() float64 { return float64(s.population().users) })
	gauge("skarod_sessions", "Sessions that are in use or can be restored.", nil, func() float64 { return float64(s.population().sessions) })
	gauge("skarod_queued_frames", "Frames that wait for clients to read.", nil, func() float64 { frames, _ := s.queued(); return float64(frames) })
	gauge("skarod_queued_bytes", "Size of the frames that wait for clients to read.", nil, func() float64 { _, bytes := s.queued(); return float64(bytes) })
	gauge("skarod_unfinished_bytes", "Size of the frames that have not arrived completely.", nil, func() float64 { return float64(s.unfinished.inUse()) })
	gauge("skarod_database_bytes", "Size of the database, with its write-ahead log.", nil, func() float64 { return float64(s.o.Store.Size()) })
	gauge("skarod_disk_free_bytes", "Free space for the database.", nil, func() float64 {
		free, err := s.o.FreeBytes()
		if err != nil {
			return math.NaN()
		}
		return float64(free)
	})
	return r
}

// population counts the connections, users and sessions of the server.
type population struct{ connections, authenticated, users, sessions int }

func (s *Server) population() population {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := population{connections: len(s.conns), users: len(s.online), sessions: len(s.sessions)}
	for _, conns := range s.online {
		p.authenticated += len(conns)
	}
	return p
}

// queued returns how many frames wait for clients to read them, and their size.
func (s *Server) queued() (frames, bytes int) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		frames, bytes = frames+len(c.queue), bytes+c.bytes
		c.mu.Unlock()
	}
	return frames, bytes
}

func (s *Server) countRefusal(what, status string) {
	s.counter.refusals.WithLabelValues(what, status).Inc()
}

// refusedBy returns the value of the label what for a refused request of a type.
func refusedBy(typ string) string {
	switch typ {
	case proto.TypeAuthorize, proto.TypeSessionRestore:
		return refusedLogin
	case proto.TypeRegister:
		return refusedRegistration
	}
	return refusedRequest
}

// observeDelivery counts how long the oldest message of those written together took.
func (s *Server) observeDelivery(batch []outgoing) {
	for _, x := range batch {
		if !x.arrived.IsZero() {
			s.counter.deliveryTime.Observe(s.o.Clock().Sub(x.arrived).Seconds())
			return
		}
	}
}
