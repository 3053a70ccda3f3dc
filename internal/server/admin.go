package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaroctl/skaroctl/internal/store"
)

// Bounds of the requests of an operator.
const (
	healthTime = 5 * time.Second
	adminTime  = 30 * time.Second // for a request, and for its answer
	maxAdmin   = 16               // connections at a time; they take some of reservedFiles
)

// ErrNoAnswer is the error of Health if the store has not answered in time.
var ErrNoAnswer = errors.New("the database does not answer")

// AdminListener returns l with at most maxAdmin connections at a time, and closes those beyond it.
// Otherwise any program on this machine could use up the server's descriptors through a loopback
// address.
func (s *Server) AdminListener(l net.Listener) net.Listener {
	return adminListener{l, s.links, make(chan struct{}, maxAdmin)}
}

type adminListener struct {
	net.Listener
	links *links
	open  chan struct{} // has an element for each connection
}

func (l adminListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			l.links.failed(err)
			return nil, err
		}
		select {
		case l.open <- struct{}{}:
			return newLink(c, func() { <-l.open }), nil
		default:
			l.links.bursts.add(burst{eventConnectionRefused, peer{address: addressOf(parseAddr(c.RemoteAddr().String()))}.String(), tooManyAdmin}, "")
			c.Close()
		}
	}
}

var tooManyAdmin = fmt.Sprintf("at most %d connections to --admin", maxAdmin)

// Admin serves /healthz and /metrics, on a listener that comes from AdminListener. They need no
// login, so only the operator may reach their address.
func (s *Server) Admin() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthTime)
		defer cancel()
		if err := s.Health(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("/metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return &http.Server{
		Handler: onlyLocalNames(mux), ReadTimeout: adminTime, WriteTimeout: adminTime, MaxHeaderBytes: 32 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // its lines have no bound; AdminListener logs what matters
	}
}

// Health returns an error with the reason if messages can't be stored. It tries a write.
// The error wraps ErrNoAnswer if ctx ends first.
func (s *Server) Health(ctx context.Context) error {
	if s.space.isLow() {
		wake(s.diskLow) // a log that blocks must not stop the watchdog of systemd
		return fmt.Errorf("messages can't be stored: the disk is almost full: %s", s.o.limited(minFreeSpace))
	}
	written := s.health.DoChan("", func() (any, error) { return nil, s.o.Store.Alive(s.o.Clock()) })
	select {
	case r := <-written:
		if err := cmp.Or(r.Err, s.lastUnstorable()); err != nil {
			return fmt.Errorf("messages can't be stored: %w", store.InWords(err))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("messages can't be stored: %w; another process may have locked it", ErrNoAnswer)
	}
}

// unstorable is the last message that was not stored.
type unstorable struct {
	at  time.Time
	err error
}

// unstorableTime is how long a message that was not stored counts, if none is stored after it:
// the disk may have room by then.
const unstorableTime = time.Minute

// noteStored remembers for Health whether the last message was stored.
func (s *Server) noteStored(err error) {
	switch {
	case err != nil:
		s.unstorable.Store(&unstorable{s.o.Clock(), err})
	case s.unstorable.Load() != nil:
		s.unstorable.Store(nil)
	}
}

// lastUnstorable returns the error of the last message if it was not stored, for unstorableTime.
func (s *Server) lastUnstorable() error {
	if u := s.unstorable.Load(); u != nil && s.o.Clock().Sub(u.at) < unstorableTime {
		return u.err
	}
	return nil
}
