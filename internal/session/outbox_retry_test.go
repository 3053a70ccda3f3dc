package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// When the time is over, a message that was sent is unknown, and one that was not is
// unsent.
func TestOutboxTimeoutTellsUnknownFromUnsent(t *testing.T) {
	over := TimedOut(time.Second)
	for name, c := range map[string]struct {
		script func(p *peer, over func())
		want   State
	}{
		"before the greeting": {func(p *peer, over func()) { over(); p.recv() }, StateUnsent},
		"after the message": {func(p *peer, over func()) {
			p.login(proto.ExtNonce)
			p.expect(proto.TypeSendMessage)
			over()
			p.recv()
		}, StateUnknown},
		"while it is sent again": {func(p *peer, over func()) {
			p.login(proto.ExtNonce)
			p.expect(proto.TypeSendMessage)
			if p.nth == 2 {
				over()
				p.recv()
			}
		}, StateUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(bounded(t))
			url := serve(t, func(p *peer) { c.script(p, func() { cancel(over) }) })
			_, ch := input(1)
			got, err := run(ctx, outbox(url), ch)
			state := StateUnsent
			if len(got) > 0 {
				state, err = got[0].State, got[0].Err
			}
			if state != c.want || !isKind(err, KindTimeout) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// A server that leaves a message without an answer for longer than AttemptTime counts as
// lost, and the message is sent again.
func TestOutboxAttemptTimeBoundsAnswer(t *testing.T) {
	server := &mailServer{nonces: true}
	url := serve(t, func(p *peer) {
		if p.nth > 1 {
			server.serve(p)
			return
		}
		p.login(proto.ExtNonce)
		server.deliver(p.expect(proto.TypeSendMessage))
		p.recv()
	})
	_, ch := input(1)
	o := outbox(url)
	o.AttemptTime, o.Retry = 200*time.Millisecond, retryFor(patience)
	o.Lost = func(error, time.Duration) { o.AttemptTime *= 2 } // a busy machine may need it
	got, err := run(bounded(t), o, ch)
	if err != nil || len(got) != 1 || got[0].ID != 1 || len(server.delivered) != 1 {
		t.Errorf("%v, %v, delivered %q", err, got, server.delivered)
	}
}

// The outbox waits for a server that is not there yet, until Retry is over.
func TestOutboxWaitsForServerUntilRetryIsOver(t *testing.T) {
	server := &mailServer{nonces: true}
	url := serve(t, server.serve)
	tries := 0
	_, ch := input(1)
	o := outbox("ws://" + nowhere + "/skaro_client/")
	o.Retry = retryFor(patience)
	o.Lost = func(error, time.Duration) {
		if tries++; tries == 3 {
			o.Endpoint.URL = url
		}
	}
	if got, err := run(bounded(t), o, ch); err != nil || len(got) != 1 || got[0].State != StateConfirmed {
		t.Errorf("%v, %v", err, got)
	}
	o = outbox("ws://" + nowhere + "/skaro_client/")
	o.Retry = retryFor(50 * time.Millisecond)
	_, ch = input(1)
	if _, err := run(bounded(t), o, ch); !isKind(err, KindUnreachable) || len(ch) != 1 {
		t.Errorf("%T: %v", err, err)
	}
}

// No pause is longer than what is left of Retry.
func TestOutboxPauseEndsWithRetry(t *testing.T) {
	_, ch := input(1)
	o := outbox("ws://" + nowhere + "/skaro_client/")
	o.Retry = retryFor(100 * time.Millisecond)
	o.Retry.FirstPause, o.Retry.MostPause = time.Hour, time.Hour
	pauses := 0
	o.Lost = func(_ error, pause time.Duration) {
		if pauses++; pause > o.Retry.BeforeLogin {
			t.Errorf("a pause of %v", pause)
		}
	}
	if _, err := run(bounded(t), o, ch); !isKind(err, KindUnreachable) || pauses == 0 {
		t.Errorf("%v after %d pauses", err, pauses)
	}
}

// The first login decides which limit of the policy counts.
func TestOutboxRetriesForeverAfterLogin(t *testing.T) {
	_, ch := input(1)
	o := outbox("ws://" + nowhere + "/skaro_client/")
	o.Retry.AfterLogin = Forever
	o.Lost = func(error, time.Duration) { t.Error("tried again before the first login") }
	if _, err := run(bounded(t), o, ch); err == nil {
		t.Error("sent to nowhere")
	}
	url := serve(t, func(p *peer) {
		p.login(proto.ExtNonce)
		p.expect(proto.TypeSendMessage)
	})
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	o = outbox(url)
	o.AttemptTime = 5 * time.Second
	o.Retry = RetryPolicy{AfterLogin: Forever, FirstPause: time.Hour, MostPause: time.Hour}
	var pause time.Duration
	o.Lost = func(_ error, p time.Duration) { pause = p; cancel() }
	if _, err := run(ctx, o, ch); !errors.Is(err, context.Canceled) || pause < time.Minute {
		t.Errorf("%v, a pause of %v", err, pause)
	}
}

// A server that takes messages and never confirms one is not tried for ever.
func TestOutboxGivesUp(t *testing.T) {
	const noLogin, noAnswer, hangsUp, goesAway = "answers no login", "answers no message", "always hangs up", "goes away"
	for _, server := range []string{noLogin, noAnswer, hangsUp, goesAway} {
		for _, retry := range []time.Duration{0, time.Second} {
			t.Run(fmt.Sprintf("%s, retry %v", server, retry), func(t *testing.T) {
				t.Parallel()
				url := serve(t, func(p *peer) {
					p.greet(proto.ExtNonce)
					f, ok := p.recv()
					if ok && server != noLogin {
						p.welcome(f)
					}
					if _, ok = p.recv(); ok && (server == noLogin || server == noAnswer) {
						p.recv()
					}
				})
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				// On a busy machine the time may be over before the message is sent.
				for attempt := 2 * time.Second; ; attempt *= 2 {
					_, ch := input(1)
					o := outbox(url)
					o.Retry, o.AttemptTime = retryFor(retry), attempt
					o.Lost = func(error, time.Duration) {
						if server == goesAway {
							o.Endpoint.URL = "ws://" + nowhere + "/"
						}
					}
					got, err := run(ctx, o, ch)
					if len(got) == 0 && err != nil && ctx.Err() == nil {
						continue
					}
					if err == nil || ctx.Err() != nil || len(got) != 1 || got[0].State != StateUnknown {
						t.Errorf("%v, results %+v", err, got)
					}
					break
				}
			})
		}
	}
}

// A message whose nonce the server may have forgotten is not sent again.
func TestOutboxDoesNotResendWithOldNonce(t *testing.T) {
	server := &mailServer{nonces: true}
	url := serve(t, func(p *peer) {
		if p.nth > 1 {
			server.serve(p)
			return
		}
		p.login(proto.ExtNonce)
		server.deliver(p.expect(proto.TypeSendMessage))
		server.mu.Lock()
		server.ids = nil
		server.mu.Unlock()
	})
	in := make(chan Message, 1)
	in <- Message{To: "bob", Body: "a"}
	o := outbox(url)
	o.Retry = retryFor(patience)
	now := time.Now()
	o.clock = func() time.Time { return now }
	o.Lost = func(error, time.Duration) {
		now = now.Add(nonceLife)
		in <- Message{To: "bob", Body: "b"}
		close(in)
	}
	got, err := run(bounded(t), o, in)
	if err != nil || len(got) != 2 || got[0].State != StateUnknown || got[1].State != StateConfirmed {
		t.Errorf("%v, results %v", err, got)
	}
	if want := []string{"a", "b"}; !reflect.DeepEqual(server.delivered, want) {
		t.Errorf("delivered %q", server.delivered)
	}
}

// When every result is known and the input has ended, a lost connection is not made again.
func TestOutboxDoesNotReconnectForNothing(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login()
		p.expect(proto.TypeSendMessage)
	})
	_, ch := input(1)
	o := outbox(url)
	o.Retry = retryFor(patience)
	o.Lost = func(err error, _ time.Duration) { t.Errorf("tried again after %v", err) }
	if got, err := run(bounded(t), o, ch); err != nil || len(got) != 1 || got[0].State != StateUnknown {
		t.Errorf("%v, results %v", err, got)
	}

	// The input ends while the server is away.
	server := &mailServer{nonces: true}
	url = serve(t, func(p *peer) {
		p.login(proto.ExtNonce)
		server.answer(p, p.expect(proto.TypeSendMessage))
	})
	in := make(chan Message, 1)
	in <- Message{To: "bob", Body: "a"}
	o = outbox(url)
	o.Retry = retryFor(patience)
	o.Lost = func(error, time.Duration) {
		o.Lost = nil
		o.Endpoint.URL = "ws://" + nowhere + "/"
		close(in)
	}
	if got, err := run(bounded(t), o, in); err != nil || len(got) != 1 || got[0].State != StateConfirmed {
		t.Errorf("%v, results %v", err, got)
	}
}

// A long attempt that fails does not count as a connection that lasted: the pauses grow.
func TestOutboxPausesGrow(t *testing.T) {
	url := serve(t, func(p *peer) { p.recv() })
	_, ch := input(1)
	o := outbox(url)
	o.AttemptTime = 20 * time.Millisecond
	o.Retry = RetryPolicy{BeforeLogin: patience, FirstPause: time.Millisecond, MostPause: 100 * time.Millisecond, Lasting: 10 * time.Millisecond}
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	tries, longest := 0, time.Duration(0)
	o.Lost = func(_ error, pause time.Duration) {
		longest = max(longest, pause)
		if tries++; tries == 6 {
			cancel()
		}
	}
	if _, err := run(ctx, o, ch); !errors.Is(err, context.Canceled) || longest < 10*time.Millisecond {
		t.Errorf("%v, the longest pause of %d is %v", err, tries, longest)
	}
}
