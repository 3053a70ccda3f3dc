package main

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/account"
	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// newTestFactory makes a Factory whose environment has variables and nothing else. A
// stream that is nil is empty, or discards what is written to it.
func newTestFactory(t testing.TB, streams terminal.Streams, variables map[string]string) *Factory {
	t.Helper()
	var discarded strings.Builder
	if streams.In == nil {
		streams.In = strings.NewReader("")
	}
	if streams.Out == nil {
		streams.Out = &discarded
	}
	if streams.Err == nil {
		streams.Err = &discarded
	}
	f := newFactory(&cli.Process{
		Streams: streams, Getenv: func(name string) string { return variables[name] },
		Out: terminal.NewInterruptibleWriter(t.Context(), streams.Out, 0, nil), Err: terminal.NewInterruptibleWriter(t.Context(), streams.Err, 0, nil),
	})
	newRootCmd(f) // which sets the defaults of the common flags
	f.flags = f.given
	return f
}

// parseCase is a command line and the options that the command's run function must get.
type parseCase[O any] struct {
	name string
	args []string
	want O
	err  string // a part of the error; then want is not looked at
}

// testParse checks what a command makes of its arguments. The run function is not called.
func testParse[O any](t *testing.T, newCmd func(*Factory, runFunc[O]) *cobra.Command, cases []parseCase[O]) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newTestFactory(t, terminal.Streams{}, nil)
			var got *O
			root := &cobra.Command{Use: "skaroctl", SilenceErrors: true, SilenceUsage: true}
			f.given.add(root, nil)
			cmd := newCmd(f, func(_ context.Context, _ *Factory, o *O) error { got = o; return nil })
			root.AddCommand(cmd)
			cli.Finish(root)
			root.SetArgs(append([]string{cmd.Name()}, c.args...))
			err := root.ExecuteContext(t.Context())
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) || kindOf(err) != cli.KindUsage {
					t.Errorf("the error is %v, not one of usage with %q", err, c.err)
				}
			case err != nil:
				t.Error(err)
			case got == nil:
				t.Error("the command was not run")
			case !reflect.DeepEqual(*got, c.want):
				t.Errorf("got  %+v\nwant %+v", *got, c.want)
			}
		})
	}
}

// Every dependency is made when a command asks for it, not before.
func TestFactoryReadsProfilesOnce(t *testing.T) {
	f := newTestFactory(t, terminal.Streams{}, nil)
	if _, err := f.Profiles(); err == nil {
		t.Error("there are profiles without a home")
	}
	if _, err := f.OptionalProfiles(); err != nil {
		t.Errorf("without a home: %v", err)
	}
	damaged := errors.New("damaged")
	p := profiles{}
	p.files.Config = "config.toml"
	f.loadProfiles = func() (profiles, error) { return p, damaged }
	if _, err := f.OptionalProfiles(); !errors.Is(err, damaged) {
		t.Errorf("a damaged config file: %v", err)
	}
	f.loadProfiles = func() (profiles, error) { return p, &account.Error{Kind: account.KindForeign} }
	if _, err := f.OptionalProfiles(); account.KindOf(err) != account.KindForeign {
		t.Errorf("a config file of another user: %v", err)
	}
	f.flags.server = "wss://chat.example.org/"
	if got, err := f.OptionalProfiles(); err != nil || got.files != p.files {
		t.Errorf("a config file of another user, which is not needed: %v", err)
	}
}

func TestNoticeObeysQuiet(t *testing.T) {
	for _, c := range []struct {
		quiet, terminal bool
		want            string
	}{{false, false, "skaroctl: one\n"}, {false, true, "skaroctl: one\nskaroctl: two\n"}, {true, true, ""}} {
		var errs strings.Builder
		f := newTestFactory(t, terminal.Streams{Err: &errs, OutTerminal: c.terminal}, nil)
		f.given.quiet = c.quiet
		f.notice("one")
		f.noticeNone("two")
		if errs.String() != c.want {
			t.Errorf("%+v: %q", c, &errs)
		}
	}
}

func TestCheckLogin(t *testing.T) {
	for login, says := range map[string]string{"bob": "", "Grüße": "", "": "is empty", "b\xff": "not UTF-8"} {
		err := checkLogin(login, "give one")
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || kindOf(err) != cli.KindUsage) {
			t.Errorf("%q: %v", login, err)
		}
	}
}
