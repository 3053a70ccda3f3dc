package main

import (
	"context"
	"errors"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/skaroctl/skaroctl/internal/server"
)

// tellSystemd tells systemd the state of the service. Without systemd it does nothing.
func (r *running) tellSystemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		r.log.Error("can't notify systemd", "state", state, "error", err)
	}
}

// startWatchdog starts the goroutine that tells systemd's watchdog that the server works, if
// the service has one. stop ends it.
func (r *running) startWatchdog() {
	ctx, cancel := context.WithCancel(context.Background())
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		r.log.Error("the watchdog of systemd can't be used", "error", err)
	}
	ended := make(chan struct{})
	r.stopWatchdog = func() { cancel(); <-ended }
	go func() {
		defer close(ended)
		if interval > 0 {
			r.watchdog(ctx, interval/2)
		}
	}()
}

// watchdog tells the watchdog whenever the store answers. An error such as a full disk is an
// answer: a restart would not mend it.
func (r *running) watchdog(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, interval)
		err := r.server.Health(asked)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, server.ErrNoAnswer) {
			r.log.Error("can't notify the watchdog of systemd", "error", err)
		} else {
			r.tellSystemd(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
