package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Letter is a message to be sent.
type Letter struct {
	To, Body string
	Line     int // of the input, for whoever gets the outcome
}

// Outcome is what became of a letter: Err is nil when the server has confirmed
// it, of KindRefused or KindAuth when it was not delivered, an
// of KindUnknown when it may or may not have been, and any other error when it
// was never sent.
type Outcome struct {
	Letter
	Sent
	Err error
}

// Outbox sends letters in order, many in flight, over as many connections as it
// takes. Where the server has the extension nonce, a letter whose confirmation
// was lost with its connection is sent again, and is delivered once all the same;
// elsewhere its outcome is unknown.
type Outbox struct {
	Endpoint    Endpoint
	Credentials func(context.Context) (Credentials, error) // asked before every connection

	InFlight int // letters that wait for their confirmation at most
	// AttemptTime bounds each attempt to connect and log in, and how long the
	// server may leave letters without an answer before the connection counts as
	// lost.
	AttemptTime time.Duration
	// Retry is how long the server may be out of reach, or answer no letter that was
	// sent before, until the letters are given up; 0: not at all, but AttemptTime for
	// letters that were sent already and can be sent again safely.
	Retry time.Duration
	// PingInterval is as in Listener, for an input that is silent for long.
	PingInterval time.Duration

	LoggedIn func(Account)                          // as in Listener
	Lost     func(err error, pause time.Duration)   // as in Listener
	Pauses   *Pauses                                // as in Listener
	Outcome  func(o Outcome, more bool) (err error) // told of each letter, in order; its error ends the run

	again  []*posted // to be sent before anything else, in order
	met    bool      // a server has greeted us
	nonces nonces
}

// posted is a letter on its way.
type posted struct {
	Letter
	nonce string
	sent  time.Time // first, by the clock on the wall: a machine may sleep
	limbo bool      // it was sent on a connection that is gone, and never answered
	call  *Call     // on this connection
}

// What may leave before the login is confirmed: so many letters, each to somebody
// else, so that none overtakes another when some are refused; and none with a
// longer body, in bytes, since a server reads less from somebody it does not know.
const (
	early     = 16
	earlyBody = 64 << 10
)

// Run sends what comes out of letters, until that is closed and every outcome is
// known; or until ctx ends, whose cause it returns; or until Outcome fails, whose
// error it returns, or a connection can't be made. Every letter that was taken
// out of the channel has its outcome told, also after Outcome has failed.
func (o *Outbox) Run(ctx context.Context, letters <-chan Letter) error {
	pauses := o.Pauses
	if pauses == nil {
		pauses = NewPauses()
	}
	out := time.Now() // since when the server is out of reach, or of no use
	for {
		open := o.limbo()
		up, answered, err := o.once(ctx, letters)
		if !up.IsZero() {
			pauses.Lasted(time.Since(up))
			if answered || !open {
				out = time.Now()
			}
		}
		patience := o.Retry
		if o.limbo() {
			patience = max(patience, o.AttemptTime)
		}
		var stopped *stop
		switch {
		case err == nil:
			return nil
		case errors.As(err, &stopped):
			_ = o.giveUp(stopped.err)
			return stopped.err
		case ctx.Err() != nil:
			return o.giveUp(context.Cause(ctx))
		case !Temporary(err):
			return o.giveUp(err)
		case o.met && !o.more(letters):
			return nil
		case time.Since(out) >= patience:
			return o.giveUp(err)
		}
		pause := min(pauses.Next(), patience-time.Since(out))
		if o.Lost != nil {
			o.Lost(err, pause)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return o.giveUp(context.Cause(ctx))
		}
	}
}

// more reports whether anything is left to be sent, as far as that is known without
// waiting.
func (o *Outbox) more(letters <-chan Letter) bool {
	if len(o.again) > 0 {
		return true
	}
	select {
	case letter, ok := <-letters:
		if ok {
			o.again = []*posted{{Letter: letter, nonce: o.nonces.next()}}
		}
		return ok
	default:
		return true
	}
}

// limbo reports whether the fate of a letter is open.
func (o *Outbox) limbo() bool {
	return slices.ContainsFunc(o.again, func(p *posted) bool { return p.limbo })
}

// giveUp tells the outcome of the letters that are left: unknown for those that
// were sent, err for the others. It returns the first error of Outcome, else err.
func (o *Outbox) giveUp(err error) error {
	left := o.again
	o.again = nil
	for i, p := range left {
		outcome := Outcome{Letter: p.Letter, Err: err}
		if p.limbo {
			outcome.Err = Unknown(proto.TypeSendMessage, err)
		}
		if told := o.Outcome(outcome, i+1 < len(left)); told != nil {
			err = told
		}
	}
	return err
}

// nonceLife is how long after a letter was sent its nonce still makes it safe to send
// it again: an hour less than a server remembers it (docs/protocol.md, "nonce").
const nonceLife = 23 * time.Hour

// forsake tells that the fate of the letters in limbo is unknown, and goes on without
// them: they can't be sent again, because the server has no nonces, or would not know
// theirs any more.
func (o *Outbox) forsake(err error, nonces bool) error {
	for i := 0; i < len(o.again); {
		p := o.again[i]
		if !p.limbo || nonces && time.Since(p.sent) < nonceLife {
			i++
			continue
		}
		o.again = slices.Delete(o.again, i, i+1)
		if told := o.Outcome(Outcome{Letter: p.Letter, Err: Unknown(proto.TypeSendMessage, err)}, i < len(o.again)); told != nil {
			return &stop{told}
		}
	}
	return nil
}

// once is one connection. It returns nil when there is nothing left to send. up is
// when the login succeeded, zero when it did not; answered tells whether any letter
// was confirmed or refused.
func (o *Outbox) once(ctx context.Context, letters <-chan Letter) (up time.Time, answered bool, err error) {
	connecting, cancel := WithTimeout(ctx, o.AttemptTime)
	defer cancel()
	s, err := Open(connecting, o.Endpoint, o.Credentials, nil)
	if err != nil {
		return up, false, err
	}
	o.met = true
	nonces := s.Greeting().Has(proto.ExtNonce)
	if err := o.forsake(errors.New("the server can't tell any more whether it has it"), nonces); err != nil {
		s.Close()
		return up, false, err
	}
	pinging, stopPings := context.WithCancel(ctx)
	defer stopPings()
	go s.keepAlive(pinging, o.PingInterval)

	p := &post{Outbox: o, s: s, letters: letters, queue: make(chan *posted, o.InFlight), places: make(chan struct{}, o.InFlight), stop: make(chan struct{})}
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer close(p.queue)
		p.write(ctx, connecting)
	}()
	err = p.collect(ctx, connecting)
	close(p.stop)
	var stopped *stop
	if errors.As(err, &stopped) {
		p.settle(ctx)
	}
	s.Close()
	<-written
	for l := range p.queue {
		p.left = append(p.left, l)
	}
	// What was sent and not answered may have arrived; unless the login was
	// refused: then it has not.
	refusedLogin := p.up.IsZero() && isRefusal(err)
	for _, l := range p.left {
		l.limbo = l.limbo || l.call != nil && l.call.MaybeSent() && !refusedLogin
		l.call = nil
	}
	o.again = append(p.left, o.again...)
	if err != nil && !nonces && ctx.Err() == nil && stopped == nil {
		if err := o.forsake(err, nonces); err != nil {
			return p.up, p.answered, err
		}
	}
	return p.up, p.answered, err
}

// post is the work of one connection: a goroutine that writes, and the one of Run
// that collects the confirmations.
type post struct {
	*Outbox
	s       *Session
	letters <-chan Letter

	queue  chan *posted  // written, in order; closed by the writer when it ends
	places chan struct{} // one is taken by each letter in flight
	stop   chan struct{} // closed when the writer is to end

	finished bool      // the writer's: the letters have come to their end
	left     []*posted // taken out of queue, and not answered
	up       time.Time // when the login succeeded
	answered bool      // a letter was confirmed or refused
}

// next is the letter to be written next: what must be sent again comes first. It
// is nil when there is none, or none any more.
func (p *post) next(ctx context.Context) *posted {
	if len(p.again) > 0 {
		l := p.again[0]
		p.again = p.again[1:]
		return l
	}
	take := func(letter Letter, ok bool) *posted {
		if !ok {
			p.finished = true
			return nil
		}
		return &posted{Letter: letter, nonce: p.nonces.next()}
	}
	select {
	case letter, ok := <-p.letters:
		return take(letter, ok)
	default:
	}
	// Nothing is ready: what was held back must go out before anybody waits.
	defer p.uncorked()()
	select {
	case letter, ok := <-p.letters:
		return take(letter, ok)
	case <-p.s.Done():
	case <-p.stop:
	case <-ctx.Done():
	}
	return nil
}

// uncorked sends what was held back; the function it returns holds back again.
func (p *post) uncorked() (cork func()) {
	p.s.Uncork()
	return p.s.Cork
}

// write writes letters until there are no more, or the connection is lost.
func (p *post) write(ctx, connecting context.Context) {
	p.s.Cork()
	defer p.s.Uncork()
	hasNonces := p.s.Greeting().Has(proto.ExtNonce)
	in, ahead := false, map[string]bool{}
	for {
		l := p.next(ctx)
		if l == nil {
			return
		}
		waits := !in && (len(ahead) == early || ahead[l.To] || len(l.Body) > earlyBody)
		if waits {
			in = p.loggedIn(connecting)
		}
		if waits && !in || !p.place() {
			p.again = append([]*posted{l}, p.again...)
			return
		}
		if !in {
			ahead[l.To] = true
		}
		if l.sent.IsZero() {
			l.sent = time.Now().Round(0)
		}
		nonce := ""
		if hasNonces {
			nonce = l.nonce
		}
		l.call = p.s.Start(ctx, proto.SendMessage(l.To, l.Body, nonce))
		unsent := l.call.Err() != nil
		p.queue <- l // it has room for all that have a place
		if unsent {
			return
		}
	}
}

// withoutUnknown is the cause of an error of KindUnknown, and else the error itself.
func withoutUnknown(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == KindUnknown {
		return e.Err
	}
	return err
}

// place waits for a place in flight.
func (p *post) place() bool {
	select {
	case p.places <- struct{}{}:
		return true
	default:
	}
	defer p.uncorked()()
	select {
	case p.places <- struct{}{}:
		return true
	case <-p.stop:
		return false
	}
}

// loggedIn waits for the login. When the SID was refused it waits, too, until the
// letters that left before the token was accepted have been sent again: those
// behind them must not overtake.
func (p *post) loggedIn(connecting context.Context) bool {
	defer p.uncorked()()
	a, err := p.s.Account(connecting)
	if err != nil || a.Restored {
		return err == nil // collect finds the same error
	}
	for range cap(p.places) { // all places free: nothing in flight
		select {
		case p.places <- struct{}{}:
		case <-p.stop:
			return false
		}
	}
	for range cap(p.places) {
		<-p.places
	}
	return true
}

// collect waits for each confirmation in order, and tells the outcomes.
func (p *post) collect(ctx, connecting context.Context) error {
	account, err := p.s.Account(connecting)
	if err != nil {
		return err
	}
	p.up = time.Now()
	if p.LoggedIn != nil {
		p.LoggedIn(account)
	}
	for l := range p.queue {
		sent, err := p.wait(ctx, l)
		if err != nil && !isRefusal(err) {
			p.left = append(p.left, l)
			return withoutUnknown(err)
		}
		p.answered = true
		<-p.places
		if err := p.Outcome(Outcome{Letter: l.Letter, Sent: sent, Err: err}, len(p.queue) > 0); err != nil {
			return &stop{err}
		}
	}
	if p.finished {
		return nil
	}
	select { // the writer ended because one of these did
	case <-p.s.Done():
		return p.s.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait waits for one confirmation, for as long as AttemptTime allows. In a flood
// most are there already, and need no timer.
func (p *post) wait(ctx context.Context, l *posted) (Sent, error) {
	if p.AttemptTime > 0 && !l.call.Answered() {
		var cancel context.CancelFunc
		ctx, cancel = WithTimeout(ctx, p.AttemptTime)
		defer cancel()
	}
	reply, err := l.call.Wait(ctx)
	if err != nil {
		return Sent{}, err
	}
	return parseSent(reply, l.To), nil
}

// settle tells the outcomes of what is in flight after Outcome has failed, so that
// nothing that was sent goes without a word.
func (p *post) settle(ctx context.Context) {
	for l := range p.queue {
		if !l.call.MaybeSent() {
			p.left = append(p.left, l)
			continue
		}
		sent, err := p.wait(ctx, l)
		_ = p.Outcome(Outcome{Letter: l.Letter, Sent: sent, Err: err}, len(p.queue) > 0)
	}
}

// nonces are nonces that nobody else uses (docs/protocol.md, "nonce"): 80 random
// bits for all of an outbox, and a counter. Nonces that follow each other are
// neighbours in the server's index, which makes a flood three times cheaper there.
type nonces struct {
	prefix string
	n      uint64
}

func (s *nonces) next() string {
	if s.prefix == "" {
		b := make([]byte, 10)
		_, _ = rand.Read(b) // it never fails
		s.prefix = hex.EncodeToString(b)
	}
	s.n++
	return fmt.Sprintf("%s%012x", s.prefix, s.n)
}

// String names a letter in an error.
func (l Letter) String() string {
	if l.Line > 0 {
		return fmt.Sprintf("line %d to %s", l.Line, l.To)
	}
	return l.To
}
