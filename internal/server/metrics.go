package server

import (
	"fmt"
	"net/http"
	"sync/atomic"
)

// counters are the counters that /metrics shows.
type counters struct {
	accepted, logins, refusedLogins, registered, requests, messages, delivered, tooSlow atomic.Int64
}

// metrics writes the Prometheus text format, version 0.0.4.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	conns, users, sessions := len(s.conns), len(s.online), len(s.sessions)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	c := &s.counter
	for _, m := range []struct {
		name, kind, help string
		value            int64
	}{
		{"skarod_connections", "gauge", "Open connections.", int64(conns)},
		{"skarod_users_online", "gauge", "Users with a connection that is logged in.", int64(users)},
		{"skarod_sessions", "gauge", "Sessions that are in use or can be restored.", int64(sessions)},
		{"skarod_connections_total", "counter", "Connections accepted.", c.accepted.Load()},
		{"skarod_logins_total", "counter", "Logins, restored sessions among them.", c.logins.Load()},
		{"skarod_refused_logins_total", "counter", "Refused logins.", c.refusedLogins.Load()},
		{"skarod_registrations_total", "counter", "Accounts made by registration.", c.registered.Load()},
		{"skarod_requests_total", "counter", "Requests.", c.requests.Load()},
		{"skarod_messages_total", "counter", "Messages stored.", c.messages.Load()},
		{"skarod_deliveries_total", "counter", "Messages pushed to a connection.", c.delivered.Load()},
		{"skarod_slow_closes_total", "counter", "Connections ended because they read too slowly.", c.tooSlow.Load()},
	} {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %d\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
}
