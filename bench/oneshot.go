package main

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

// Rounds of one-shot sends. One with libskaro takes as long as thirty others.
const (
	oneShotRounds  = 400
	libskaroRounds = 40
)

// oneShot measures the whole process that sends one message, each program in turn.
func oneShot(ctx context.Context, l *lab, r *report) error {
	url, err := l.serve(ctx, "skarod-oneshot")
	if err != nil {
		return err
	}
	env, err := l.logIn(ctx, "file", url, "file", nil)
	if err != nil {
		return err
	}
	send := func(env []string) func() *exec.Cmd {
		return func() *exec.Cmd { return l.command(ctx, env, l.skaroctl, "send", "bob", text) }
	}
	programs := []program{
		{"skaroctl send", send(env), oneShotRounds, nil},
		{"bare Go", func() *exec.Cmd {
			return l.command(ctx, []string{"FLOOR_PASSWORD=" + password}, l.floor, url, "alice", "bob", text)
		}, oneShotRounds, nil},
	}
	if pub, err := exec.LookPath("mosquitto_pub"); err != nil {
		r.lacks("mosquitto_pub", "apt-get install mosquitto-clients")
	} else if port, ok, err := l.mosquitto(ctx); err != nil {
		return err
	} else if !ok {
		r.lacks("mosquitto", "apt-get install mosquitto")
	} else {
		programs = append(programs, program{"mosquitto_pub -q 1", func() *exec.Cmd {
			return l.command(ctx, nil, pub, "-h", "127.0.0.1", "-p", port, "-q", "1", "-t", "skaro/bob", "-m", text)
		}, oneShotRounds, nil})
	}
	if script, err := filepath.Abs("e2e/peers/libskaro_check.py"); err != nil {
		return err
	} else if _, err := os.Stat(l.python); err != nil {
		r.lacks("libskaro 0.3", "make venv")
	} else {
		programs = append(programs, program{"libskaro 0.3", func() *exec.Cmd {
			return l.command(ctx, nil, l.python, script, "send", url, "alice", password, "bob", text)
		}, libskaroRounds, nil})
	}
	if err := l.inTurn(programs); err != nil {
		return err
	}
	took := map[string][]float64{}
	for _, p := range programs {
		took[p.name] = p.took
		r.note("one-shot: "+p.name, "%.2f ms", median(p.took))
	}
	ours := took["skaroctl send"]
	against := func(peer string, f func(a, b float64) float64) float64 {
		return pairs(ours[:len(took[peer])], took[peer], f)
	}
	r.atMost("one-shot: skaroctl to bare Go", against("bare Go", ratio), 1.35, "%.2f times")
	if took["mosquitto_pub -q 1"] != nil {
		r.atMost("one-shot: skaroctl to mosquitto_pub", against("mosquitto_pub -q 1", ratio), 2, "%.2f times")
	}
	if took["libskaro 0.3"] != nil {
		r.atLeast("one-shot: skaroctl faster than libskaro", against("libskaro 0.3", func(a, b float64) float64 { return b / a }), 15, "%.1f times")
	}
	return nil
}

// program is a measured program, and the time of each of its rounds in milliseconds.
type program struct {
	name   string
	make   func() *exec.Cmd
	rounds int
	took   []float64
}

// inTurn runs each program once a round, so that a disturbance affects all. The order
// changes with every round: what a program leaves behind in the servers must not always
// affect the same one. The first round is not counted: it brings files into memory.
func (l *lab) inTurn(programs []program) error {
	order := make([]int, len(programs))
	for i := range order {
		order[i] = i
	}
	shuffle := rand.New(rand.NewPCG(1, 2))
	for round := -1; ; round++ {
		ran := false
		shuffle.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			p := &programs[i]
			if round >= p.rounds {
				continue
			}
			ran = true
			took, err := l.timed(p.make())
			if err != nil {
				return err
			}
			if round >= 0 {
				p.took = append(p.took, took)
			}
		}
		if !ran {
			return nil
		}
	}
}
