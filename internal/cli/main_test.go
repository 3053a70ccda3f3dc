package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

// errElsewhere is an error of another package, which only Classify knows.
var errElsewhere = errors.New("no bob")

// result is what a program did.
type result struct {
	status    int
	out, errs string
}

// program runs a small program whose command "do" fails with err.
func program(t *testing.T, ctx context.Context, err error, args ...string) result {
	t.Helper()
	var out, errs strings.Builder
	streams := terminal.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
	status := MainContext(ctx, args, streams, func(string) string { return "" }, func(*Process) Program {
		return testProgram(func(context.Context, []string) error { return err })
	})
	return result{status, out.String(), errs.String()}
}

func testProgram(do func(context.Context, []string) error) Program {
	root := &cobra.Command{Use: "prog", Short: "A program", SilenceErrors: true, SilenceUsage: true}
	format := root.PersistentFlags().StringP("output", "o", "text", "`FORMAT` of results")
	c := &cobra.Command{Use: "do NAME [TEXT...]", Short: "Do it", Example: "  prog do bob\n", Args: CheckArgs, RunE: Run(do)}
	c.Flags().Int("count", 0, "how many")
	c.Flags().Bool("lines", false, "each line")
	c.Flags().Bool("null", false, "each record")
	c.Flags().String("cert", "", "certificate `FILE`")
	c.Flags().String("key", "", "key `FILE`")
	Exclusive(c, "null", "lines")
	Together(c, "cert", "key")
	one := &cobra.Command{Use: "one NAME", SuggestFor: []string{"single"}, Args: CheckArgs, RunE: Run(do)}
	none := &cobra.Command{Use: "none", Args: CheckArgs, RunE: Run(do)}
	group := &cobra.Command{Use: "user", Short: "Manage users"}
	group.AddCommand(&cobra.Command{Use: "add LOGIN", SuggestFor: []string{"adduser"}, Args: CheckArgs, RunE: Run(do)})
	root.AddCommand(c, one, none, group, Topic("exit-status", "The exit status", "  0  done"))
	HintFor(root, "change it at the server", "passwd")
	Finish(root)
	return Program{
		Root: root,
		Table: Table{
			{Kind: KindUnknown, Exit: 7, Hint: "look first"}, {Kind: KindInternal, Exit: 1}, {Kind: KindRefused, Exit: 5}, {Kind: KindUsage, Exit: 2},
		},
		Classify: func(err error) Error {
			if errors.Is(err, errElsewhere) {
				return Error{Kind: KindRefused, Hint: "ask bob", Status: "404"}
			}
			return Error{}
		},
		ErrorStyle: func() (bool, string) { return *format == "json", "auto" },
	}
}

func TestErrorsBecomeLinesAndAStatus(t *testing.T) {
	interrupt := &terminal.Interrupt{Signal: syscall.SIGTERM}
	unknown := &Error{Kind: KindUnknown, Msg: "sent, not confirmed"}
	for name, c := range map[string]struct {
		err    error
		status int
		errs   string
	}{
		"none":                      {nil, 0, ""},
		"anything":                  {io.ErrUnexpectedEOF, 1, "prog: do: unexpected EOF\n"},
		"of another package":        {fmt.Errorf("send: %w", errElsewhere), 5, "prog: do: send: no bob\nhint: ask bob\n"},
		"with a hint of its own":    {WithHint(errElsewhere, "ask carol"), 5, "prog: do: no bob\nhint: ask carol\n"},
		"outermost hint":            {WithHint(Usage("wrong", "inner"), "outer"), 2, "prog: do: wrong\nhint: outer\n"},
		"usage without a hint":      {Usagef("%d is wrong", 5), 2, "prog: do: 5 is wrong\nhint: see `prog do --help`\n"},
		"hint of the table":         {unknown, 7, "prog: do: sent, not confirmed\nhint: look first\n"},
		"message and cause":         {&Error{Msg: "read it", Err: io.EOF}, 1, "prog: do: read it: EOF\n"},
		"a kind without a row":      {&Error{Kind: KindProtocol, Msg: "nonsense"}, 1, "prog: do: nonsense\n"},
		"joined: worst":             {errors.Join(fmt.Errorf("do it: %w", errElsewhere), unknown, Usage("x", "")), 7, "prog: do it: no bob\nhint: ask bob\nprog: sent, not confirmed\nhint: look first\nprog: x\n"},
		"joined: one":               {errors.Join(nil, errElsewhere), 5, "prog: no bob\nhint: ask bob\n"},
		"two causes, one text":      {fmt.Errorf("%w: %w", errElsewhere, io.EOF), 5, "prog: do: no bob: EOF\nhint: ask bob\n"},
		"signal":                    {fmt.Errorf("wait: %w", interrupt), 143, ""},
		"signal, message in flight": {&Error{Kind: KindUnknown, Msg: "sent", Err: interrupt}, 143, "prog: do: sent: interrupted (terminated)\n"},
		"signal, with an account":   {&Error{Kind: KindInterrupted, Msg: "5 lines were sent", Hint: "send the rest", Err: interrupt}, 143, "prog: do: 5 lines were sent: interrupted (terminated)\nhint: send the rest\n"},
		"signal among others":       {errors.Join(unknown, interrupt), 143, "prog: sent, not confirmed\nhint: look first\n"},
		"a status of its own":       {fmt.Errorf("run it: %w", Exit(42)), 42, ""},
		"reader gone":               {fmt.Errorf("write: %w", ErrReaderGone), 0, ""},
		"reader gone among others":  {errors.Join(errElsewhere, ErrReaderGone), 5, "prog: no bob\nhint: ask bob\n"},
	} {
		got := program(t, t.Context(), c.err, "do", "bob")
		if got != (result{c.status, "", c.errs}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestErrorIsJSONIfAskedFor(t *testing.T) {
	got := program(t, t.Context(), errElsewhere, "do", "bob", "-o", "json")
	want := `{"error":{"kind":"refused","message":"do: no bob","status":"404","hint":"ask bob"}}` + "\n"
	if got != (result{5, "", want}) {
		t.Errorf("%+v", got)
	}
	// Even if the flag stands after what is wrong.
	for _, args := range []string{"nonsense -o json", "do --nonsense -o json", "do -o json"} {
		if got := program(t, t.Context(), nil, strings.Fields(args)...); got.status != 2 || !strings.HasPrefix(got.errs, `{"error":{"kind":"usage",`) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestSignalDuringOutputDecidesTheStatus(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&terminal.Interrupt{Signal: os.Interrupt})
	for args, want := range map[string]int{"do bob": 0, "help do": 130} { // the second writes
		if got := program(t, ctx, nil, strings.Fields(args)...); got.status != want || got.errs != "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
	if got := program(t, ctx, ErrReaderGone, "do", "bob"); got.status != 130 {
		t.Errorf("the reader has gone: %+v", got)
	}
}

func TestFailedHelpIsAnError(t *testing.T) {
	var errs strings.Builder
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.Close() // a write to it fails
	status := MainContext(t.Context(), []string{"--help"}, terminal.Streams{Out: w, Err: &errs}, os.Getenv, func(*Process) Program { return testProgram(nil) })
	if status != 1 || !strings.Contains(errs.String(), "file already closed") {
		t.Errorf("status %d, %s", status, &errs)
	}
}
