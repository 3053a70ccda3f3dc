package session

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// startPings starts the goroutine that pings, unless the interval is zero. The returned
// function ends it, and waits for its end.
func (s *Session) startPings(ctx context.Context, interval time.Duration) (stop func()) {
	if interval <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var pinging sync.WaitGroup
	pinging.Go(func() { s.keepAlive(ctx, interval) })
	return func() {
		cancel()
		pinging.Wait()
	}
}

// keepAlive pings, and drops the connection if it was silent for too long. A connection that
// is not read, because a slow reader of our output holds it up, does not count as silent.
func (s *Session) keepAlive(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.Done():
			return
		case <-ctx.Done():
			return
		}
		before := s.conn.heard.Load()
		pong, cancel := context.WithTimeout(ctx, interval)
		err := s.conn.ws.Ping(pong)
		cancel()
		after := s.conn.heard.Load()
		if err == nil || after != before || after%2 == 1 || ctx.Err() != nil {
			continue
		}
		s.conn.drop(diagnosis{why: fmt.Sprintf("no answer to a ping within %v", interval)})
		return
	}
}
