package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

const (
	fairRounds   = 3
	fairMessages = 300 // of the honest user in a round, if they take no longer than fairTime
	fairTime     = 10 * time.Second
	fairPause    = 3 * time.Millisecond
	fairMembers  = 1000
	fairSettle   = 2 * time.Second // how long a flood runs before it is measured
)

// flooder describes one user, mallory, who sends as much as the server takes.
type flooder struct {
	name        string
	connections int
	to          string
	members     int // of the conference, who are all online
	body        int // bytes
	window      int // messages in flight on each connection
}

var flooders = []flooder{
	{"a conference of 200", 1, "c200", 200, 60, 1024},
	{"a conference of 1000", 1, "c1000", fairMembers, 60, 1024},
	{"16 connections, bodies of 200 kB", 16, "m0", 0, 200_000, 64},
	{"all connections of a user, to oneself", 1000, "mallory", 0, 60, 16},
}

// children are the roles that this program plays in a process of its own, so that the flood
// does not slow the clock of what is measured.
var children = map[string]func(context.Context, []string) error{
	"flood": func(ctx context.Context, args []string) error { return flood(ctx, args[0], args[1]) },
	"probe": func(ctx context.Context, args []string) error { return probe(ctx, args[0]) },
	"rate":  func(ctx context.Context, args []string) error { return rate(ctx, args[0], args[1]) },
	"pace":  func(ctx context.Context, args []string) error { return pace(ctx, args[0]) },
	"idle":  func(ctx context.Context, args []string) error { return idle(ctx, args[0]) },
}

// child is this program in another role.
func (l *lab) child(ctx context.Context, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	return l.command(ctx, nil, append([]string{self, "child"}, args...)...), err
}

// lowChild is a child that gets only the processor time that no other program wants (SCHED_IDLE).
// The flooder and a thousand readers have computers of their own in reality. Here they would take
// the processors from the server and from the clients whose delay is measured.
func (l *lab) lowChild(ctx context.Context, args ...string) (*exec.Cmd, error) {
	chrt, err := exec.LookPath("chrt")
	if err != nil {
		return l.child(ctx, args...)
	}
	self, err := os.Executable()
	return l.command(ctx, nil, append([]string{chrt, "--idle", "0", self, "child"}, args...)...), err
}

// fair measures how much one flooder delays the messages of two honest users. Each round
// measures the undisturbed delay first, and the ratio of the two counts.
func fair(ctx context.Context, l *lab, r *report) error {
	if _, err := exec.LookPath("chrt"); err != nil {
		r.lacks("chrt", "without it, the flooders take the processors from skarod, and the figures of fair are too high (Debian package util-linux)")
	}
	url, err := l.serve(ctx, "skarod-fair")
	if err != nil {
		return err
	}
	if err := l.populate(filepath.Join(l.dir, "skarod-fair", "skarod.db")); err != nil {
		return err
	}
	for _, f := range flooders {
		var medians, tails, quiet, rates []float64
		for range fairRounds {
			alone, err := l.probeDelays(ctx, url)
			if err != nil {
				return err
			}
			beside, rate, err := l.beside(ctx, url, f.name)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			quiet = append(quiet, alone.median)
			medians = append(medians, beside.median/alone.median)
			tails = append(tails, beside.tail/alone.tail)
			rates = append(rates, rate)
		}
		r.note("fair: undisturbed delay, before "+f.name, "%.2f ms", median(quiet))
		r.note("fair: messages a second of "+f.name, "%.0f", median(rates))
		r.atMost("fair: median beside "+f.name, median(medians), 3, "%.1f times")
		r.atMost("fair: 99th percentile beside "+f.name, median(tails), 10, "%.1f times")
	}
	return nil
}

// populate makes the accounts and conferences of the flooders.
func (l *lab) populate(path string) error {
	s, err := store.Open(path)
	if err != nil {
		return err
	}
	token, err := proto.NewToken(password)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	members := memberLogins(fairMembers)
	logins := append([]string{"mallory"}, members...)
	errs := make([]error, len(logins))
	var wg sync.WaitGroup
	for i, login := range logins {
		wg.Go(func() { errs[i] = s.AddUser(login, token, time.Now()) })
	}
	wg.Wait()
	err = errors.Join(errs...)
	for _, n := range []int{200, fairMembers} {
		if err == nil {
			err = s.CreateConference(fmt.Sprintf("c%d", n), append([]string{"mallory"}, members[:n-1]...), time.Now())
		}
	}
	return errors.Join(err, s.Close())
}

func memberLogins(n int) []string {
	logins := make([]string, n)
	for i := range logins {
		logins[i] = fmt.Sprintf("m%d", i)
	}
	return logins
}

// delays are the median and the 99th percentile of the delays of a run, in milliseconds.
type delays struct{ median, tail float64 }

func delaysOf(took []float64) delays {
	sorted := slices.Sorted(slices.Values(took))
	return delays{median(took), sorted[len(sorted)*99/100]}
}

// beside measures the delays while a flooder is at work, and the flooder's rate.
func (l *lab) beside(ctx context.Context, url, name string) (d delays, rate float64, err error) {
	c, err := l.lowChild(ctx, "flood", url, name)
	if err != nil {
		return d, 0, err
	}
	in, err := c.StdinPipe()
	if err != nil {
		return d, 0, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return d, 0, err
	}
	if err := c.Start(); err != nil {
		return d, 0, err
	}
	said := bufio.NewReader(out)
	_, err = said.ReadString('\n') // it floods now
	if err == nil {
		time.Sleep(fairSettle)
		d, err = l.probeDelays(ctx, url)
	}
	in.Close() // ends the flood
	if err == nil {
		var line string
		line, err = said.ReadString('\n')
		_, _ = fmt.Sscan(line, &rate)
	}
	if ended := c.Wait(); ended != nil {
		err = l.failed(c, ended)
	}
	return d, rate, err
}

// flood plays a flooder until standard input ends, and then prints its rate.
func flood(ctx context.Context, url, name string) error {
	i := slices.IndexFunc(flooders, func(f flooder) bool { return f.name == name })
	if i < 0 {
		return fmt.Errorf("there is no flooder %q", name)
	}
	f := flooders[i]
	members, err := connectAll(ctx, url, memberLogins(max(f.members, 1))[:max(f.members-1, 0)])
	if err != nil {
		return err
	}
	var ended sync.WaitGroup
	var mu sync.Mutex
	lost := 0
	running, cancel := context.WithCancel(ctx)
	for _, m := range members {
		ended.Go(func() {
			m.drain(ctx)
			if running.Err() == nil {
				mu.Lock()
				lost++
				mu.Unlock()
			}
		})
	}
	senders, err := connectSenders(ctx, url, f.connections)
	if err != nil {
		cancel()
		return err
	}
	body := strings.Repeat("x", f.body)
	sent := 0
	start := time.Now()
	for _, c := range senders {
		ended.Go(func() {
			n := c.insist(running, url, f.to, body, f.window)
			mu.Lock()
			sent += n
			mu.Unlock()
		})
	}
	fmt.Println("flooding")
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	took := time.Since(start).Seconds()
	cancel()
	for _, m := range members {
		m.ws.CloseNow()
	}
	ended.Wait()
	fmt.Println(float64(sent)/took, lost)
	if lost > 0 {
		return fmt.Errorf("the server closed the connections of %d of %d members", lost, len(members))
	}
	return nil
}

// connectSenders logs mallory in n times, or as often as the server permits.
func connectSenders(ctx context.Context, url string, n int) ([]*client, error) {
	senders := make([]*client, 0, n)
	for range n {
		c, err := connect(ctx, url, "mallory")
		if err != nil && len(senders) > 0 {
			break // the server admits no more
		}
		if err != nil {
			return nil, err
		}
		senders = append(senders, c)
	}
	return senders, nil
}

// insist pumps messages until ctx ends. If the server ends the connection, as it does with a
// client whose other connections get more than they read, insist connects again.
func (c *client) insist(ctx context.Context, url, to, body string, window int) (sent int) {
	for ctx.Err() == nil {
		n, _ := c.pump(ctx, to, body, window, 0)
		c.ws.CloseNow()
		sent += n
		for again, err := connect(ctx, url, "mallory"); ctx.Err() == nil; again, err = connect(ctx, url, "mallory") {
			if err == nil {
				c = again
				break
			}
		}
	}
	c.ws.CloseNow()
	return sent
}

// probeDelays measures the delays of honest messages, in a process of its own.
func (l *lab) probeDelays(ctx context.Context, url string) (delays, error) {
	took, err := l.figures(ctx, "probe", url)
	if err != nil {
		return delays{}, err
	}
	return delaysOf(took), nil
}

// figures runs a child and returns the figures that it prints.
func (l *lab) figures(ctx context.Context, args ...string) ([]float64, error) {
	c, err := l.child(ctx, args...)
	if err != nil {
		return nil, err
	}
	out, err := c.Output()
	if err != nil {
		return nil, l.failed(c, err)
	}
	var figures []float64
	for field := range strings.FieldsSeq(string(out)) {
		x, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return nil, err
		}
		figures = append(figures, x)
	}
	if len(figures) == 0 {
		return nil, fmt.Errorf("%s has no figures", args[0])
	}
	return figures, nil
}

// probe sends one message at a time from alice to bob, and prints how long each took to
// arrive, in milliseconds.
func probe(ctx context.Context, url string) error {
	clients, err := connectAll(ctx, url, []string{"alice", "bob"})
	if err != nil {
		return err
	}
	alice, bob := clients[0], clients[1]
	go alice.drain(ctx)
	began := time.Now()
	for i := 0; i < fairMessages && time.Since(began) < fairTime; i++ {
		time.Sleep(fairPause)
		start := time.Now()
		if err := alice.ask(ctx, proto.TypeSendMessage, map[string]any{"to": "bob", "body": text}); err != nil {
			return err
		}
		if _, err := bob.read(ctx); err != nil {
			return err
		}
		fmt.Println(milliseconds(time.Since(start)))
	}
	return nil
}
