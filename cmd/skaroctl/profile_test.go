package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

func TestProfileParse(t *testing.T) {
	testParse(t, newProfileListCmd, []parseCase[noOptions]{
		{name: "list"},
		{name: "list of one", args: []string{"work"}, err: "list takes no argument"},
	})
	testParse(t, newProfileUseCmd, []parseCase[profileOptions]{
		{name: "use", args: []string{"work"}, want: profileOptions{name: "work"}},
		{name: "use of nothing", err: "use needs NAME"},
	})
	testParse(t, newProfileRemoveCmd, []parseCase[profileOptions]{
		{name: "remove", args: []string{"work"}, want: profileOptions{name: "work"}},
		{name: "remove of two", args: []string{"work", "home"}, err: "remove takes one argument"},
	})
}

func TestProfileList(t *testing.T) {
	var out strings.Builder
	f := newTestFactory(t, terminal.Streams{Out: &out}, homeWith(t, twoProfiles))
	if err := runProfileList(t.Context(), f, &noOptions{}); err != nil {
		t.Fatal(err)
	}
	want := `{"type":"account","profile":"a","server":"ws://127.0.0.1:1/","login":"alice","store":"file","default":true}
{"type":"account","profile":"b","server":"ws://127.0.0.1:1/","login":"bob","store":"file"}
`
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", &out, want)
	}
}

func TestProfileUseAndRemove(t *testing.T) {
	home := homeWith(t, twoProfiles)
	factory := func() *Factory { return newTestFactory(t, terminal.Streams{}, home) }
	for _, name := range []string{"none", ""} {
		o := &profileOptions{name: name}
		for _, err := range []error{runProfileUse(t.Context(), factory(), o), runProfileRemove(t.Context(), factory(), o)} {
			if kindOf(err) != cli.KindUsage || hintOf(err) != "choose one of a, b" {
				t.Errorf("%q: %v, hint %q", name, err, hintOf(err))
			}
		}
	}
	if err := runProfileUse(t.Context(), factory(), &profileOptions{"b"}); err != nil {
		t.Fatal(err)
	}
	if p, err := factory().Profiles(); err != nil || p.defaultName() != "b" {
		t.Errorf("%+v, %v", p.config, err)
	}
	// A store that does not work keeps its profile no longer than it must.
	if err := os.WriteFile(filepath.Join(home["XDG_STATE_HOME"], "skaroctl", "credentials.json"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runProfileRemove(t.Context(), factory(), &profileOptions{"b"}); err != nil {
		t.Fatal(err)
	}
	p, err := factory().Profiles()
	if _, there := p.config.Profiles["b"]; err != nil || there || p.config.DefaultProfile != "" || len(p.config.Profiles) != 1 {
		t.Errorf("%+v, %v", p.config, err)
	}
}
