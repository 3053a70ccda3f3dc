package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// postOffice is what a server remembers of what was sent to it.
type postOffice struct {
	nonces bool // it has the extension

	mu        sync.Mutex
	delivered []string
	ids       map[string]int64 // by nonce
}

// post delivers a message, and returns its id.
func (o *postOffice) post(f proto.Frame) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	nonce := f.Text("nonce")
	if id := o.ids[nonce]; id != 0 && nonce != "" {
		return id
	}
	o.delivered = append(o.delivered, f.Text("body"))
	id := int64(len(o.delivered))
	if o.ids == nil {
		o.ids = map[string]int64{}
	}
	o.ids[nonce] = id
	return id
}

func (o *postOffice) count(body string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, b := range o.delivered {
		if b == body {
			n++
		}
	}
	return n
}

// serve answers one connection for as long as it lasts.
func (o *postOffice) serve(p *peer) {
	if o.nonces {
		p.greet(proto.ExtNonce)
	} else {
		p.greet()
	}
	for {
		f, ok := p.recv()
		if !ok {
			return
		}
		switch f.Type() {
		case proto.TypeAuthorize:
			p.welcome(f)
		case proto.TypeSendMessage:
			if f.Text("to") == "nobody" {
				p.reply(f, proto.StatusNotFound, nil)
				continue
			}
			p.reply(f, proto.StatusOK, map[string]any{"message_id": o.post(f)})
		default:
			p.t.Errorf("peer: %s", f.Describe())
		}
	}
}

// letters is n letters to bob, in a channel that is at its end.
func letters(n int) (list []Letter, ch chan Letter) {
	ch = make(chan Letter, n)
	for i := range n {
		list = append(list, Letter{To: "bob", Body: fmt.Sprintf("letter %d", i+1), Line: i + 1})
		ch <- list[i]
	}
	close(ch)
	return list, ch
}

// outbox is an outbox that keeps its outcomes.
func outbox(url string, outcomes *[]Outcome) *Outbox {
	return &Outbox{
		Endpoint: Endpoint{URL: url}, Credentials: withToken, InFlight: 8, AttemptTime: patience, Pauses: quickPauses(),
		Outcome: func(o Outcome, _ bool) error { *outcomes = append(*outcomes, o); return nil },
	}
}

func TestOutbox(t *testing.T) {
	office := &postOffice{nonces: true}
	url := serve(t, office.serve)
	var got []Outcome
	list, ch := letters(500)
	if err := outbox(url, &got).Run(context.Background(), ch); err != nil {
		t.Fatal(err)
	}
	for i, o := range got {
		if o.Err != nil || o.Letter != list[i] || o.ID != int64(i+1) || office.delivered[i] != list[i].Body {
			t.Fatalf("outcome %d: %+v", i, o)
		}
	}
	if len(got) != len(list) || len(office.delivered) != len(list) {
		t.Errorf("%d outcomes, %d delivered", len(got), len(office.delivered))
	}
}

// cutter is a proxy to a server that cuts its first connection after so many
// bytes in one direction; -1 never. settle waits until the server has done all that
// it was asked for.
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

// TestOutboxCut cuts the connection at every byte, in both directions. On a server
// with nonces every letter is confirmed, and delivered once and in order. On a
// plain one a letter is delivered once when it is confirmed, at most once when
// its fate is unknown, and never after any other error.
func TestOutboxCut(t *testing.T) {
	const n = 3
	for _, nonces := range []bool{true, false} {
		for _, direction := range []string{"up", "down"} {
			t.Run(fmt.Sprintf("nonces %v, %s", nonces, direction), func(t *testing.T) {
				t.Parallel()
				uncut := 0
				cut := func(t *testing.T, at int64) {
					up, down := at, int64(-1)
					if direction == "down" {
						up, down = -1, at
					}
					office := &postOffice{nonces: nonces}
					url, settle := cutter(t, serve(t, office.serve), up, down)
					var got []Outcome
					list, ch := letters(n)
					o := outbox(url, &got)
					o.Retry = patience
					lost := 0
					o.Lost = func(error, time.Duration) { lost++ }
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					err := o.Run(ctx, ch)
					cancel()
					settle()
					if err != nil || len(got) != n {
						t.Fatalf("cut at %d: %v, outcomes %v", at, err, got)
					}
					for i, out := range got {
						count := office.count(list[i].Body)
						switch {
						case out.Err == nil && count == 1:
						case isKind(out.Err, KindUnknown) && !nonces && count <= 1:
						case out.Err != nil && count == 0 && KindOf(out.Err) != KindUnknown:
							t.Errorf("cut at %d: with retries %v gave up: %v", at, list[i], out.Err)
						default:
							t.Errorf("cut at %d: %v was delivered %d times, outcome %v", at, list[i], count, out.Err)
						}
					}
					// One whose fate is unknown may arrive whenever it likes.
					confirmed := slices.DeleteFunc(slices.Clone(office.delivered), func(body string) bool {
						return slices.ContainsFunc(got, func(o Outcome) bool { return o.Body == body && o.Err != nil })
					})
					if !slices.IsSorted(confirmed) {
						t.Errorf("cut at %d: delivered %q", at, confirmed)
					}
					if lost == 0 {
						uncut++
					}
				}
				for at := int64(0); uncut < 3; at++ {
					t.Run(fmt.Sprint(at), func(t *testing.T) { cut(t, at) })
				}
			})
		}
	}
}

// TestOutboxCutOnce: without retries, what is said of a letter is true all the
// same.
func TestOutboxCutOnce(t *testing.T) {
	for _, nonces := range []bool{true, false} {
		for _, direction := range []string{"up", "down"} {
			t.Run(fmt.Sprintf("nonces %v, %s", nonces, direction), func(t *testing.T) {
				t.Parallel()
				kinds := map[string]int{}
				cut := func(t *testing.T, at int64) {
					up, down := at, int64(-1)
					if direction == "down" {
						up, down = -1, at
					}
					office := &postOffice{nonces: nonces}
					url, settle := cutter(t, serve(t, office.serve), up, down)
					var got []Outcome
					list, ch := letters(1)
					err := outbox(url, &got).Run(context.Background(), ch)
					settle()
					if len(got) > 0 {
						err = got[0].Err
					}
					count := office.count(list[0].Body)
					switch {
					case err == nil && count == 1:
						kinds["confirmed"]++
					case isKind(err, KindUnknown) && !nonces && count <= 1:
						kinds["unknown"]++
					case KindOf(err) == KindUnreachable && count == 0:
						kinds["not sent"]++
					default:
						t.Errorf("cut at %d: delivered %d times, %T: %v", at, count, err, err)
					}
				}
				for at := int64(0); at < 900; at++ {
					t.Run(fmt.Sprint(at), func(t *testing.T) { cut(t, at) })
				}
				if kinds["not sent"] == 0 || !nonces && kinds["unknown"] == 0 {
					t.Errorf("not every case was met: %v", kinds)
				}
			})
		}
	}
}

// TestOutboxRefused: a refusal is told, and the others are sent all the same; an
// error of Outcome ends the run, with a word for each that was in flight.
func TestOutboxRefused(t *testing.T) {
	office := &postOffice{}
	url := serve(t, office.serve)
	for _, stops := range []bool{false, true} {
		office.delivered = nil
		ch := make(chan Letter, 5)
		for i, to := range []string{"bob", "nobody", "bob", "nobody", "bob"} {
			ch <- Letter{To: to, Body: fmt.Sprint(i), Line: i + 1}
		}
		close(ch)
		var got []string
		o := outbox(url, nil)
		enough := errors.New("enough")
		o.Outcome = func(out Outcome, _ bool) error {
			got = append(got, fmt.Sprintf("%s %v", out.Body, isKind(out.Err, KindRefused)))
			if stops && KindOf(out.Err) == KindRefused {
				return enough
			}
			return nil
		}
		err := o.Run(context.Background(), ch)
		if want := []string{"0 false", "1 true", "2 false", "3 true", "4 false"}; !reflect.DeepEqual(got, want) && !stops {
			t.Errorf("outcomes %q", got)
		}
		if errors.Is(err, enough) != stops || stops && (len(got) < 2 || got[1] != "1 true") {
			t.Errorf("%v, outcomes %q", err, got)
		}
		// Whatever was delivered was told of.
		for _, body := range office.delivered {
			if !slices.Contains(got, body+" false") {
				t.Errorf("%s was delivered without a word: %q", body, got)
			}
		}
	}
}

// TestOutboxRefusedSID: letters that left with a SID that is refused are sent
// again after the token, and none overtakes another.
func TestOutboxRefusedSID(t *testing.T) {
	const n = 4 * early
	office := &postOffice{}
	url := serve(t, func(p *peer) {
		p.greet()
		in := false
		for {
			f, ok := p.recv()
			if !ok {
				return
			}
			switch typ := f.Type(); {
			case typ == proto.TypeSessionRestore:
				p.reply(f, proto.StatusGone, nil)
			case typ == proto.TypeAuthorize:
				in = true
				p.welcome(f)
			case !in:
				p.reply(f, proto.StatusUnauthorized, nil)
			default:
				p.reply(f, proto.StatusOK, map[string]any{"message_id": office.post(f)})
			}
		}
	})
	var got []Outcome
	list, ch := letters(n)
	o := outbox(url, &got)
	o.Credentials, o.InFlight = withSID, n
	if err := o.Run(context.Background(), ch); err != nil {
		t.Fatal(err)
	}
	for i, out := range got {
		if out.Err != nil || out.Letter != list[i] || office.delivered[i] != list[i].Body {
			t.Fatalf("outcome %d: %+v, delivered %q", i, out, office.delivered)
		}
	}
	if len(office.delivered) != n {
		t.Errorf("%d delivered", len(office.delivered))
	}
}

// TestOutboxRefusedLogin: a refused login means that nothing was delivered.
func TestOutboxRefusedLogin(t *testing.T) {
	for _, retry := range []time.Duration{0, patience} {
		url := serve(t, func(p *peer) {
			p.greet()
			p.reply(p.expect(proto.TypeAuthorize), proto.StatusUnauthorized, nil)
			for {
				f, ok := p.recv()
				if !ok {
					return
				}
				p.reply(f, proto.StatusUnauthorized, nil)
			}
		})
		var got []Outcome
		_, ch := letters(3)
		o := outbox(url, &got)
		o.Retry = retry
		err := o.Run(context.Background(), ch)
		if !isKind(err, KindAuth) {
			t.Errorf("%T: %v", err, err)
		}
		for _, out := range got {
			if !isKind(out.Err, KindAuth) {
				t.Errorf("outcome: %v", out.Err)
			}
		}
	}
}

// TestOutboxRefusedWhileWriting: the same holds for a letter that is just being
// written when the login is refused and the connection closed.
func TestOutboxRefusedWhileWriting(t *testing.T) {
	writing, closed := make(chan struct{}), make(chan struct{})
	url := serve(t, func(p *peer) {
		p.greet()
		p.reply(p.expect(proto.TypeAuthorize), proto.StatusUnauthorized, nil)
		p.send(map[string]any{"type": proto.TypeInfo, "info": "bye"})
		p.recv()
		close(closed)
	})
	var got []Outcome
	_, ch := letters(1)
	o := outbox(url, &got)
	o.Endpoint.Trace = func(line string) {
		switch {
		case strings.HasPrefix(line, "> ") && strings.Contains(line, proto.TypeSendMessage):
			close(writing)
			<-closed // and the next thing that happens to the letter is that it is written
		case strings.HasPrefix(line, "< ") && strings.Contains(line, proto.TypeAuthorize):
			<-writing
		case strings.HasPrefix(line, "< ") && strings.Contains(line, "bye"):
			<-closed
			for range 1000 { // the reader notices the end after the writer
				runtime.Gosched()
			}
		}
	}
	err := o.Run(context.Background(), ch)
	if !isKind(err, KindAuth) || len(got) != 1 {
		t.Fatalf("%v, %d outcomes", err, len(got))
	}
	if !isKind(got[0].Err, KindAuth) || isKind(got[0].Err, KindUnknown) {
		t.Errorf("outcome: %v", got[0].Err)
	}
}

// TestOutboxTimeout: when the time is over, a letter that was sent has an unknown
// fate, and one that was not is said not to be sent.
func TestOutboxTimeout(t *testing.T) {
	over := TimedOut(time.Second)
	for name, c := range map[string]struct {
		script  func(p *peer, over func())
		unknown bool
	}{
		"before the greeting": {func(p *peer, over func()) { over(); p.recv() }, false},
		"after the message": {func(p *peer, over func()) {
			p.login(proto.ExtNonce)
			p.expect(proto.TypeSendMessage)
			over()
			p.recv()
		}, true},
		"while it is sent again": {func(p *peer, over func()) {
			p.login(proto.ExtNonce)
			p.expect(proto.TypeSendMessage)
			if p.nth == 2 {
				over()
				p.recv()
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(context.Background())
			url := serve(t, func(p *peer) { c.script(p, func() { cancel(over) }) })
			var got []Outcome
			_, ch := letters(1)
			err := outbox(url, &got).Run(ctx, ch)
			if len(got) > 0 {
				err = got[0].Err
			}
			if isKind(err, KindUnknown) != c.unknown || !isKind(err, KindTimeout) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
}

// TestOutboxSilentServer: a server that leaves a letter without an answer for too
// long counts as lost, and the letter goes again.
func TestOutboxSilentServer(t *testing.T) {
	office := &postOffice{nonces: true}
	url := serve(t, func(p *peer) {
		if p.nth > 1 {
			office.serve(p)
			return
		}
		p.login(proto.ExtNonce)
		office.post(p.expect(proto.TypeSendMessage))
		p.recv()
	})
	var got []Outcome
	_, ch := letters(1)
	o := outbox(url, &got)
	o.AttemptTime = 200 * time.Millisecond
	if err := o.Run(context.Background(), ch); err != nil || len(got) != 1 || got[0].Err != nil || got[0].ID != 1 || len(office.delivered) != 1 {
		t.Errorf("%v, %v, delivered %q", err, got, office.delivered)
	}
}

// TestOutboxRetry: a server that is not there yet is waited for, and for no longer
// than Retry says.
func TestOutboxRetry(t *testing.T) {
	office := &postOffice{nonces: true}
	real := serve(t, office.serve)
	tries := 0
	var got []Outcome
	_, ch := letters(1)
	o := outbox("ws://"+nowhere+"/skaro_client/", &got)
	o.Retry = patience
	o.Lost = func(error, time.Duration) {
		if tries++; tries == 3 {
			o.Endpoint.URL = real
		}
	}
	if err := o.Run(context.Background(), ch); err != nil || len(got) != 1 || got[0].Err != nil {
		t.Errorf("%v, %v", err, got)
	}
	o = outbox("ws://"+nowhere+"/skaro_client/", &got)
	o.Retry = 50 * time.Millisecond
	_, ch = letters(1)
	if err := o.Run(context.Background(), ch); !isKind(err, KindUnreachable) || len(ch) != 1 {
		t.Errorf("%T: %v", err, err)
	}
}

// TestOutboxGivesUp: a server that takes letters and never confirms one is not tried
// for ever, whatever becomes of it.
func TestOutboxGivesUp(t *testing.T) {
	const noLogin, noAnswer, hangsUp, goesAway = "answers no login", "answers no letter", "always hangs up", "goes away"
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
				var got []Outcome
				_, ch := letters(1)
				o := outbox(url, &got)
				o.Retry, o.AttemptTime = retry, 2*time.Second
				o.Lost = func(error, time.Duration) {
					if server == goesAway {
						o.Endpoint.URL = "ws://127.0.0.1:1/"
					}
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				err := o.Run(ctx, ch)
				if err == nil || ctx.Err() != nil || len(got) != 1 || !isKind(got[0].Err, KindUnknown) {
					t.Errorf("%v, outcomes %v", err, got)
				}
			})
		}
	}
}

// TestOutboxOldNonce: a letter whose nonce the server may have forgotten meanwhile is
// not sent again.
func TestOutboxOldNonce(t *testing.T) {
	office := &postOffice{nonces: true}
	url := serve(t, func(p *peer) {
		if p.nth > 1 {
			office.serve(p)
			return
		}
		p.login(proto.ExtNonce)
		office.post(p.expect(proto.TypeSendMessage))
		office.mu.Lock()
		office.ids = nil
		office.mu.Unlock()
	})
	var got []Outcome
	input := make(chan Letter, 1)
	input <- Letter{To: "bob", Body: "a"}
	o := outbox(url, &got)
	o.Retry = patience
	o.Lost = func(error, time.Duration) {
		o.again[0].sent = o.again[0].sent.Add(-24 * time.Hour)
		input <- Letter{To: "bob", Body: "b"}
		close(input)
	}
	err := o.Run(context.Background(), input)
	if err != nil || len(got) != 2 || !isKind(got[0].Err, KindUnknown) || got[1].Err != nil {
		t.Errorf("%v, outcomes %v", err, got)
	}
	if want := []string{"a", "b"}; !reflect.DeepEqual(office.delivered, want) {
		t.Errorf("delivered %q", office.delivered)
	}
}

// TestOutboxNothingLeft: when the fate of every letter has been told, a lost
// connection is not made again.
func TestOutboxNothingLeft(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login()
		p.expect(proto.TypeSendMessage)
	})
	var got []Outcome
	_, ch := letters(1)
	o := outbox(url, &got)
	o.Retry = patience
	o.Lost = func(err error, _ time.Duration) { t.Errorf("tried again after %v", err) }
	if err := o.Run(context.Background(), ch); err != nil || len(got) != 1 || !isKind(got[0].Err, KindUnknown) {
		t.Errorf("%v, outcomes %v", err, got)
	}

	// The input ends while the server is away.
	office := &postOffice{nonces: true}
	url = serve(t, func(p *peer) {
		p.login(proto.ExtNonce)
		f := p.expect(proto.TypeSendMessage)
		p.reply(f, proto.StatusOK, map[string]any{"message_id": office.post(f)})
	})
	got = nil
	input := make(chan Letter, 1)
	input <- Letter{To: "bob", Body: "a"}
	o = outbox(url, &got)
	o.Retry = patience
	o.Lost = func(error, time.Duration) {
		o.Lost = nil
		o.Endpoint.URL = "ws://127.0.0.1:1/"
		close(input)
	}
	if err := o.Run(context.Background(), input); err != nil || len(got) != 1 || got[0].Err != nil {
		t.Errorf("%v, outcomes %v", err, got)
	}
}

// TestOutboxPausesGrow: attempts that take long and come to nothing are no
// connections that lasted.
func TestOutboxPausesGrow(t *testing.T) {
	url := serve(t, func(p *peer) { p.recv() })
	var got []Outcome
	_, ch := letters(1)
	o := outbox(url, &got)
	o.AttemptTime, o.Retry = 20*time.Millisecond, patience
	o.Pauses = &Pauses{First: time.Millisecond, Most: 100 * time.Millisecond, Lasting: 10 * time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tries, longest := 0, time.Duration(0)
	o.Lost = func(_ error, pause time.Duration) {
		longest = max(longest, pause)
		if tries++; tries == 6 {
			cancel()
		}
	}
	if err := o.Run(ctx, ch); !errors.Is(err, context.Canceled) || longest < 10*time.Millisecond {
		t.Errorf("%v, the longest pause of %d is %v", err, tries, longest)
	}
}

// TestOutboxSlowInput: a letter leaves when it is there, not when more come; and
// a connection that is lost meanwhile is made again.
func TestOutboxSlowInput(t *testing.T) {
	office := &postOffice{nonces: true}
	url := serve(t, func(p *peer) {
		if p.nth > 1 {
			office.serve(p)
			return
		}
		p.login(proto.ExtNonce)
		f := p.expect(proto.TypeSendMessage)
		p.reply(f, proto.StatusOK, map[string]any{"message_id": office.post(f)})
	})
	ch := make(chan Letter)
	o := outbox(url, nil)
	o.Retry = patience
	lost, told := make(chan struct{}, 8), make(chan Outcome, 8)
	o.Lost = func(error, time.Duration) { lost <- struct{}{} }
	o.Outcome = func(out Outcome, _ bool) error { told <- out; return nil }
	ended := make(chan error, 1)
	go func() { ended <- o.Run(context.Background(), ch) }()
	ch <- Letter{To: "bob", Body: "a"}
	if out := <-told; out.Err != nil || out.ID != 1 {
		t.Errorf("%+v", out)
	}
	<-lost
	ch <- Letter{To: "bob", Body: "b"}
	if out := <-told; out.Err != nil || out.ID != 2 {
		t.Errorf("%+v", out)
	}
	close(ch)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestOutboxTooLarge: a frame that the server does not take is not sent again.
func TestOutboxTooLarge(t *testing.T) {
	url := serve(t, func(p *peer) {
		p.login(proto.ExtNonce)
		p.ws.SetReadLimit(1000)
		p.recv()
	})
	var got []Outcome
	ch := make(chan Letter, 1)
	ch <- Letter{To: "bob", Body: strings.Repeat("x", 10000)}
	close(ch)
	err := outbox(url, &got).Run(context.Background(), ch)
	if len(got) != 1 || !isKind(got[0].Err, KindUnknown) || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%v, %v", err, got)
	}
}
