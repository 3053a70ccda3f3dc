package main

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/session"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// parseListen returns the options that a command line gives to runListen.
func parseListen(t *testing.T, args ...string) (*listenOptions, error) {
	t.Helper()
	var got *listenOptions
	f := newTestFactory(t, terminal.Streams{}, nil)
	f.given.colour = "auto"
	c := newListenCmd(f, func(_ context.Context, _ *Factory, o *listenOptions) error {
		got = o
		return nil
	})
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	err := c.ExecuteContext(t.Context())
	return got, err
}

func TestListenParses(t *testing.T) {
	const pings = cli.Duration(30 * time.Second)
	for name, c := range map[string]struct {
		args []string
		want listenOptions
	}{
		"nothing": {nil, listenOptions{pingInterval: pings, command: "listen"}},
		"what": {
			[]string{"--from", "bob", "--from", "a,b", "--conference", "ops", "--own", "--events"},
			listenOptions{
				from: []string{"bob", "a,b"}, conferences: []string{"ops"}, own: true, events: true, pingInterval: pings,
				command: "listen --conference ops --events --from bob --from a,b --own",
			},
		},
		"from where": {
			[]string{"--since", "2h", "--resume"},
			listenOptions{since: "2h", resume: true, pingInterval: pings, command: "listen --resume"},
		},
		"until when": {
			[]string{"-n", "3", "--for", "90s"},
			listenOptions{count: 3, countGiven: true, length: cli.Duration(90 * time.Second), pingInterval: pings, command: "listen --count 3 --for 1m30s"},
		},
		"until it has caught up": {
			[]string{"--resume", "--drain"},
			listenOptions{resume: true, drain: true, pingInterval: pings, command: "listen --drain --resume"},
		},
		"no message": {
			[]string{"--count", "0"},
			listenOptions{countGiven: true, pingInterval: pings, command: "listen --count 0"},
		},
		"how": {
			[]string{"--exec", `echo "$SKARO_BODY"`, "--no-reconnect", "--ping-interval", "5s"},
			listenOptions{
				exec: `echo "$SKARO_BODY"`, noReconnect: true, pingInterval: cli.Duration(5 * time.Second),
				command: `listen --exec 'echo "$SKARO_BODY"' --no-reconnect --ping-interval 5s`,
			},
		},
		"what fails": {
			[]string{"--exec", "true", "--exec-retry", "3", "--dead-letter", "file"},
			listenOptions{exec: "true", execRetry: 3, deadLetter: "file", pingInterval: pings, command: "listen --dead-letter file --exec true --exec-retry 3"},
		},
		"acknowledgements": {
			[]string{"--resume", "--ack", "fifo"},
			listenOptions{resume: true, ack: "fifo", pingInterval: pings, command: "listen --ack fifo --resume"},
		},
		"a format": {
			[]string{"--format", "{{.body}}"},
			listenOptions{format: "{{.body}}", pingInterval: pings, command: "listen --format '{{.body}}'"},
		},
	} {
		switch got, err := parseListen(t, c.args...); {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case !reflect.DeepEqual(*got, c.want):
			t.Errorf("%s: %+v, not %+v", name, *got, c.want)
		}
	}
}

func TestListenRefusesArguments(t *testing.T) {
	for name, args := range map[string][]string{
		"an argument":      {"bob"},
		"ack and exec":     {"--resume", "--ack", "fifo", "--exec", "true"},
		"format and exec":  {"--format", "x", "--exec", "true"},
		"no number":        {"--count", "x"},
		"no unit":          {"--for", "5"},
		"an empty login":   {"--from", ""},
		"an empty command": {"--exec", ""},
	} {
		if o, err := parseListen(t, args...); err == nil || o != nil {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

// Options that can't be meant are found before anything is sent.
func TestListenChecksOptions(t *testing.T) {
	for want, o := range map[string]listenOptions{
		"":                             {from: []string{"bob"}, conferences: []string{"ops"}, countGiven: true, count: 1},
		"--ack moves the position":     {ack: "fifo"},
		"--exec-retry is -1":           {exec: "true", execRetry: -1},
		"--exec-retry and --dead-":     {execRetry: 1},
		"and --dead-letter are for":    {deadLetter: "file"},
		"--drain has nothing to show":  {drain: true},
		"--count is 0":                 {countGiven: true},
		"--count is -1":                {countGiven: true, count: -1},
		`--from is "a,b"`:              {from: []string{"bob", "a,b"}},
		`--conference is "ops,dev"`:    {conferences: []string{"ops,dev"}},
		"the login of --from is not":   {from: []string{"b\xff"}},
		"name of --conference is not ": {conferences: []string{"b\xff"}},
	} {
		err := o.check()
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || kindOf(err) != cli.KindUsage) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestListenBeginsAtSince(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for since, want := range map[string]*session.Bound{
		"": nil, "all": {}, "42": {ID: 42}, "2h": {Time: now.Add(-2 * time.Hour)}, "2026-01-02T03:04:00Z": {Time: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)},
	} {
		o := listenOptions{since: since}
		if got, err := o.start(now); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", since, got, err)
		}
	}
	for _, since := range []string{"tomorrow", "0", "-5"} { // without --since there is no old message at all
		o := listenOptions{since: since}
		if _, err := o.start(now); kindOf(err) != cli.KindUsage || !strings.Contains(hintOf(err), "write --since all") {
			t.Errorf("%q: %v, %s", since, err, hintOf(err))
		}
	}
}

func TestListenLimits(t *testing.T) {
	for name, c := range map[string]struct {
		o    listenOptions
		want error
	}{
		"--for":      {listenOptions{length: 1}, errTimeUp},
		"stopped":    {listenOptions{}, context.Canceled},
		"not so far": {listenOptions{length: cli.Duration(time.Hour)}, context.Canceled},
	} {
		ctx, stop := c.o.limit(t.Context(), &strings.Builder{})
		if c.want == errTimeUp {
			<-ctx.Done()
		} else if ctx.Err() != nil {
			t.Errorf("%s: it has ended", name)
		}
		stop()
		if got := context.Cause(ctx); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
