package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

const keyringRounds = 200

// keyring measures what the OS keyring adds to a one-shot send with the file store: on
// loopback, and through a longer line, whose round trips leave time to read the keyring.
func keyring(ctx context.Context, l *lab, r *report) error {
	bus, ok, err := l.keyring(ctx)
	if err != nil {
		return err
	}
	if !ok {
		r.lacks("a Secret Service", "apt-get install dbus gnome-keyring")
		return nil
	}
	server, err := l.serve(ctx, "skarod-keyring")
	if err != nil {
		return err
	}
	for _, c := range []struct {
		roundTrip time.Duration
		target    float64 // in milliseconds
	}{{0, 4}, {10 * time.Millisecond, 1}} {
		through := server
		if c.roundTrip > 0 {
			p, err := newProxy(server)
			if err != nil {
				return err
			}
			defer p.listener.Close()
			p.delay.Store(int64(c.roundTrip / 2))
			through = p.url
		}
		var programs []program
		for _, store := range []string{"file", "keyring"} {
			env, err := l.logIn(ctx, fmt.Sprintf("keyring-%v-%s", c.roundTrip, store), through, store, bus)
			if err != nil {
				return err
			}
			programs = append(programs, program{store, func() *exec.Cmd { return l.command(ctx, env, l.skaroctl, "send", "bob", text) }, keyringRounds, nil})
		}
		if err := l.inTurn(programs); err != nil {
			return err
		}
		file, keyring := programs[0].took, programs[1].took
		name := fmt.Sprintf("keyring: round trip of %v: ", c.roundTrip)
		r.note(name+"file store", "%.2f ms", median(file))
		r.note(name+"keyring", "%.2f ms", median(keyring))
		r.atMost(name+"the keyring adds", pairs(keyring, file, difference), c.target, "%.2f ms")
	}
	return nil
}
