package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // makes the large database

	"github.com/skaroctl/skaroctl/internal/proto"
)

const (
	serverRounds   = 3
	serverMessages = 40_000          // of a run, over all connections
	serverWindow   = 64              // in flight on each connection
	serverMany     = 16              // connections
	activeTime     = 2 * time.Second // then skarod counts no user of the step before as active
	paceRate       = 5000            // messages a second
	paceTime       = 4 * time.Second
	idleClients    = 1000
	idleSettle     = 3 * time.Second
	largeDatabase  = 1_000_000 // messages
	startRuns      = 5
)

// server measures skarod: what an idle connection costs, what it stores, how long a delivery
// takes at a steady rate, and how long a start takes with many messages.
func server(ctx context.Context, l *lab, r *report) error {
	url, err := l.serve(ctx, "skarod-server")
	if err != nil {
		return err
	}
	if err := l.populate(filepath.Join(l.dir, "skarod-server", "skarod.db")); err != nil {
		return err
	}
	kib, err := l.idleConnection(ctx, url)
	if err != nil {
		return err
	}
	r.atMost("skarod: memory of an idle connection", kib, 32, "%.1f KiB")
	var one, many []float64
	for range serverRounds {
		for connections, into := range map[int]*[]float64{1: &one, serverMany: &many} {
			x, err := l.figures(ctx, "rate", url, strconv.Itoa(connections))
			if err != nil {
				return err
			}
			*into = append(*into, x[0])
		}
	}
	r.note("skarod: messages a second, from one connection", "%.0f", median(one))
	r.note(fmt.Sprintf("skarod: messages a second, from %d", serverMany), "%.0f", median(many))
	r.atLeast(fmt.Sprintf("skarod: %d connections to one", serverMany), pairs(many, one, ratio), 1, "%.2f times")
	time.Sleep(activeTime)
	took, err := l.figures(ctx, "pace", url)
	if err != nil {
		return err
	}
	d := delaysOf(took)
	r.note(fmt.Sprintf("skarod: delivery at %d messages a second, median", paceRate), "%.2f ms", d.median)
	r.atMost("skarod: the same, 99th percentile", d.tail, 20, "%.1f ms")
	return l.largeStart(ctx, r)
}

// idleConnection returns what each of many idle connections costs the server, in KiB.
func (l *lab) idleConnection(ctx context.Context, url string) (kib float64, err error) {
	c, err := l.child(ctx, "idle", url)
	if err != nil {
		return 0, err
	}
	in, err := c.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return 0, err
	}
	before := resident(l.server.Process.Pid)
	if err := c.Start(); err != nil {
		return 0, err
	}
	_, err = bufio.NewReader(out).ReadString('\n')
	if err == nil {
		time.Sleep(idleSettle)
		kib = (resident(l.server.Process.Pid) - before) / idleClients
	}
	in.Close()
	if ended := c.Wait(); ended != nil {
		err = l.failed(c, ended)
	}
	return kib, err
}

// idle logs many users in, and waits until standard input ends.
func idle(ctx context.Context, url string) error {
	clients, err := connectAll(ctx, url, memberLogins(idleClients))
	if err != nil {
		return err
	}
	fmt.Println("idle")
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	for _, c := range clients {
		c.ws.CloseNow()
	}
	return nil
}

// rate prints how many messages a second the server confirms on a number of connections, each of
// another user.
func rate(ctx context.Context, url, number string) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	clients, err := connectAll(ctx, url, memberLogins(n))
	if err != nil {
		return err
	}
	errs := make([]error, n)
	var pumps sync.WaitGroup
	start := time.Now()
	for i, c := range clients {
		pumps.Go(func() { _, errs[i] = c.pump(ctx, "bob", text, serverWindow, serverMessages/n) })
	}
	pumps.Wait()
	fmt.Println(serverMessages / time.Since(start).Seconds())
	return errors.Join(errs...)
}

// pace sends messages from alice to bob at a steady rate, and prints the delay of each, in
// milliseconds.
func pace(ctx context.Context, url string) error {
	clients, err := connectAll(ctx, url, []string{"alice", "bob"})
	if err != nil {
		return err
	}
	alice, bob := clients[0], clients[1]
	go alice.drain(ctx)
	const n = int(paceRate * paceTime / time.Second)
	start := time.Now()
	due := func(i int) time.Time { return start.Add(time.Duration(i) * time.Second / paceRate) }
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			time.Sleep(time.Until(due(i)))
			if err := alice.ask(ctx, proto.TypeSendMessage, map[string]any{"to": "bob", "body": text}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	out := bufio.NewWriter(os.Stdout)
	for i := range n {
		if _, err := bob.read(ctx); err != nil {
			return errors.Join(err, <-sent)
		}
		fmt.Fprintln(out, milliseconds(time.Since(due(i))))
	}
	return errors.Join(<-sent, out.Flush())
}

// largeStart measures how long a skarod with many messages takes until it listens.
func (l *lab) largeStart(ctx context.Context, r *report) error {
	const name = "skarod-large"
	if _, err := l.serve(ctx, name); err != nil {
		return err
	}
	end(l.server)
	if err := fill(ctx, filepath.Join(l.dir, name, "skarod.db")); err != nil {
		return err
	}
	var took []float64
	for range startRuns {
		start := time.Now()
		if _, err := l.listening(ctx, name); err != nil {
			return err
		}
		took = append(took, milliseconds(time.Since(start)))
		end(l.server)
	}
	r.atMost(fmt.Sprintf("skarod: start with %d messages", largeDatabase), median(took), 100, "%.0f ms")
	return nil
}

// fill puts messages into a database that no server has open.
func fill(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO messages (date, sender, recipient, body) SELECT i, 1 + i % 2, 2 - i % 2, ? FROM n`, largeDatabase, text)
	return err
}
