package main

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// The server is killed at random while messages pour in. Every message that it confirmed
// is there afterwards, ids never repeat and never go backwards, and an unconfirmed message
// that is sent again with the same nonce is there once.
func TestKilledServerLosesNoConfirmedMessage(t *testing.T) {
	const rounds, window = 8, 256
	data := filepath.Join(t.TempDir(), "data")
	addUsers(t, data, "alice", "bob")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	confirmed := map[int64]string{} // message id to body
	var unsure []string             // bodies that were sent and not confirmed
	next, highest := 0, int64(0)
	for range rounds {
		p := startServer(t, data)
		c := p.login("alice")
		killAfter := 1 + random.IntN(3000)
		inFlight := map[int64]string{}
		number := int64(1)
		write := func(body string) error {
			number++
			inFlight[number] = body
			return c.write(number, proto.TypeSendMessage, map[string]any{"to": "bob", "body": body, "nonce": fmt.Sprintf("nonce of %15s", body)})
		}
		var err error
		repeated := map[string]bool{}
		for _, body := range unsure {
			repeated[body] = true
			err = errors.Join(err, write(body))
		}
		unsure = nil
		highestBefore := highest
		for n := 0; err == nil; {
			for len(inFlight) < window && err == nil {
				next++
				err = write(fmt.Sprint(next))
			}
			var f proto.Frame
			if err == nil {
				f, err = c.read()
			}
			if err != nil {
				break
			}
			r, parseErr := proto.ParseReply(f)
			id, _ := r.Fields.Int("message_id")
			body, known := inFlight[r.ID]
			if parseErr != nil || !r.OK() || !known {
				t.Fatalf("%s, %v", f.Describe(), parseErr)
			}
			delete(inFlight, r.ID)
			if other, twice := confirmed[id]; twice {
				t.Fatalf("the id %d is that of %s and of %s", id, other, body)
			}
			if id <= highestBefore && !repeated[body] {
				t.Fatalf("the id %d is not above %d of the round before", id, highestBefore)
			}
			confirmed[id] = body
			highest = max(highest, id)
			if n++; n == killAfter {
				if err := p.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		// What was confirmed before the kill may still be on its way.
		for {
			f, err := c.read()
			if err != nil {
				break
			}
			if r, err := proto.ParseReply(f); err == nil && r.OK() && inFlight[r.ID] != "" {
				id, _ := r.Fields.Int("message_id")
				confirmed[id] = inFlight[r.ID]
				highest = max(highest, id)
				delete(inFlight, r.ID)
			}
		}
		for _, body := range inFlight {
			unsure = append(unsure, body)
		}
		p.wait()
	}

	p := startServer(t, data)
	c := p.login("bob")
	there := map[int64]string{}
	bodies := map[string]bool{}
	for after, more := int64(0), true; more; {
		r := c.request(5, proto.TypeGetUpdates, map[string]any{"after": after, "limit": 1000})
		list, err := proto.ParseMessages(r.Fields, "messages")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			if m.ID <= after || bodies[m.Body] {
				t.Fatalf("the message %d %q comes after %d, or twice", m.ID, m.Body, after)
			}
			after = m.ID
			there[m.ID], bodies[m.Body] = m.Body, true
		}
		more, _ = r.Fields.Bool("more")
	}
	for id, body := range confirmed {
		if there[id] != body {
			t.Errorf("the message %d %q was confirmed, and is %q", id, body, there[id])
		}
	}
	t.Logf("%d messages are there, %d of them confirmed", len(there), len(confirmed))

	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "skarod.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("the integrity check says %q, %v", verdict, err)
	}
}
