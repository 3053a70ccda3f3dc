package session

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// cutter is a proxy to a server that cuts its first connection after so many
// bytes in one direction; -1 means never. settle waits until the server has handled
// every request.
func cutter(t *testing.T, to string, up, down int64) (through string, settle func()) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := u.Host
	var running sync.WaitGroup
	settle = func() { l.Close(); running.Wait() }
	t.Cleanup(settle)
	limit := func(r io.Reader, n int64) io.Reader {
		if n < 0 {
			return r
		}
		return io.LimitReader(r, n)
	}
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", host)
			if err != nil {
				client.Close()
				return
			}
			up, down := limit(client, up), limit(server, down)
			running.Go(func() {
				_, _ = io.Copy(server, up)
				client.Close()
				_ = server.(*net.TCPConn).CloseWrite()
			})
			running.Go(func() {
				_, _ = io.Copy(client, down)
				client.Close()
				_, _ = io.Copy(io.Discard, server) // to its end: it has read everything
				server.Close()
			})
			// Only the first connection is cut.
			limit = func(r io.Reader, _ int64) io.Reader { return r }
		}
	})
	through = strings.Replace(to, host, l.Addr().String(), 1)
	return through, settle
}

// A cut of the connection at any byte, in either direction, loses and repeats nothing. On
// a server with nonces every message is confirmed, and delivered once and in order. On a
// plain one a confirmed message is delivered once and an unknown one at most once.
func TestOutboxSurvivesCutAtEachByte(t *testing.T) {
	for _, nonces := range []bool{true, false} {
		for _, direction := range []string{"up", "down"} {
			t.Run(fmt.Sprintf("nonces %v, %s", nonces, direction), func(t *testing.T) {
				t.Parallel()
				uncut := 0
				for at := int64(0); uncut < 3; at++ {
					t.Run(fmt.Sprint(at), func(t *testing.T) {
						if !sendThroughCut(t, nonces, direction, at) {
							uncut++
						}
					})
				}
			})
		}
	}
}

// sendThroughCut sends three messages through a connection that is cut, and reports
// whether it was.
func sendThroughCut(t *testing.T, nonces bool, direction string, at int64) (wasCut bool) {
	const n = 3
	server := &mailServer{nonces: nonces}
	url, settle := cutAt(t, server, direction, at)
	list, ch := input(n)
	o := outbox(url)
	o.Retry = retryFor(patience)
	o.Lost = func(error, time.Duration) { wasCut = true }
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	got, err := run(ctx, o, ch)
	cancel()
	settle()
	if err != nil || len(got) != n {
		t.Fatalf("%v, results %v", err, got)
	}
	for i, r := range got {
		count := server.count(list[i].Body)
		switch {
		case r.State == StateConfirmed && count == 1:
		case r.State == StateUnknown && !nonces && count <= 1:
		default:
			t.Errorf("%v was delivered %d times, result %+v", list[i], count, r)
		}
	}
	// One whose state is unknown may arrive at any time.
	confirmed := slices.DeleteFunc(slices.Clone(server.delivered), func(body string) bool {
		return slices.ContainsFunc(got, func(r Result) bool { return r.Message.Body == body && r.State == StateUnknown })
	})
	if !slices.IsSorted(confirmed) {
		t.Errorf("delivered %q", confirmed)
	}
	return wasCut
}

// cutAt is a way to the server that is cut after so many bytes in a direction.
func cutAt(t *testing.T, server *mailServer, direction string, at int64) (url string, settle func()) {
	if direction == "up" {
		return cutter(t, serve(t, server.serve), at, -1)
	}
	return cutter(t, serve(t, server.serve), -1, at)
}

// Without retries, too, a result is true wherever the connection is cut.
func TestOutboxResultIsTrueWithoutRetries(t *testing.T) {
	for _, nonces := range []bool{true, false} {
		for _, direction := range []string{"up", "down"} {
			t.Run(fmt.Sprintf("nonces %v, %s", nonces, direction), func(t *testing.T) {
				t.Parallel()
				states := map[State]int{}
				for at := int64(0); at < 900; at++ {
					server := &mailServer{nonces: nonces}
					url, settle := cutAt(t, server, direction, at)
					list, ch := input(1)
					got, err := run(bounded(t), outbox(url), ch)
					settle()
					state := StateUnsent // if it was not even taken
					if len(got) > 0 {
						state = got[0].State
					}
					states[state]++
					count := server.count(list[0].Body)
					switch {
					case state == StateConfirmed && count == 1, state == StateUnsent && count == 0 && err != nil, state == StateUnknown && !nonces && count <= 1:
					default:
						t.Errorf("cut at %d: delivered %d times, state %v, %v", at, count, state, err)
					}
				}
				if states[StateUnsent] == 0 || !nonces && states[StateUnknown] == 0 {
					t.Errorf("not every state was met: %v", states)
				}
			})
		}
	}
}

// A message of whose frame only a part has left may have been delivered, as far as the
// client can know; the ones after it were not.
func TestOutboxTornWriteIsUnknown(t *testing.T) {
	greeting := wsFrame(0x82, cbor(t, map[string]any{"type": proto.TypeGreeting, "token": "T"}))
	welcome := wsFrame(0x82, cbor(t, map[string]any{"type": proto.TypeReply, "for": proto.TypeAuthorize, "id": 1, "status": proto.StatusOK}))
	for _, interrupted := range []bool{false, true} {
		t.Run(fmt.Sprintf("interrupted %v", interrupted), func(t *testing.T) {
			ctx, interrupt := context.WithCancel(bounded(t))
			defer interrupt()
			ended := make(chan struct{})
			defer close(ended)
			url := "ws://" + speak(t, func(conn net.Conn) {
				in := handshake(conn)
				_, _ = io.WriteString(conn, greeting)
				readFrames(in, 1)
				_, _ = io.WriteString(conn, welcome)
				_, _ = io.CopyN(io.Discard, in, 1000)
				if interrupted {
					interrupt()
					<-ended
				}
			}) + "/skaro_client/"
			ch := make(chan Message, 2)
			ch <- Message{To: "bob", Body: strings.Repeat("x", 8<<20)} // more than the buffers of a connection hold
			ch <- Message{To: "bob", Body: "behind it"}
			close(ch)
			got, err := run(ctx, outbox(url), ch)
			if err == nil || len(got) == 0 || got[0].State != StateUnknown || len(got) == 2 && got[1].State != StateUnsent {
				t.Errorf("%v, %d results", err, len(got))
			}
		})
	}
}

// A message that was not sent before the connection was lost is not reported as one that
// may have arrived.
func TestOutboxUnsentIsNotUnknown(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.greet()
		p.recv()
	})
	ch := make(chan Message, 2)
	ch <- Message{To: "bob", Body: strings.Repeat("x", earlyBody+1)} // waits for the login
	close(ch)
	got, err := run(bounded(t), outbox(url), ch)
	if err == nil || len(got) > 1 || len(got) == 1 && got[0].State != StateUnsent {
		t.Errorf("%v, %d results", err, len(got))
	}
}
