package main

import (
	"slices"
	"strings"
	"testing"
)

// The events are those of go test -json, cut to what is read.
const events = `{"Action":"build-output","ImportPath":"m/broken","Output":"# m/broken\nx.go:1:1: bad\n"}
{"Action":"output","Package":"m/good","Test":"TestPass","Output":"=== RUN   TestPass\n"}
{"Action":"output","Package":"m/good","Test":"TestPass","Output":"quiet\n"}
{"Action":"pass","Package":"m/good","Test":"TestPass"}
{"Action":"output","Package":"m/good","Test":"TestSkip","Output":"=== RUN   TestSkip\n"}
{"Action":"output","Package":"m/good","Test":"TestSkip","Output":"    x_test.go:1: SKIPPED: no peer\n"}
{"Action":"output","Package":"m/good","Test":"TestSkip","Output":"--- SKIP: TestSkip (0.00s)\n"}
{"Action":"skip","Package":"m/good","Test":"TestSkip"}
{"Action":"output","Package":"m/good","Test":"TestScript","Output":"=== RUN   TestScript\n"}
{"Action":"output","Package":"m/good","Test":"TestScript","Output":"    cmd.go:380: needs a pseudo-terminal\n"}
{"Action":"output","Package":"m/good","Test":"TestScript","Output":"    testscript.go:609: WORK=$WORK\n"}
{"Action":"output","Package":"m/good","Test":"TestScript","Output":"        PATH=/bin\n"}
{"Action":"skip","Package":"m/good","Test":"TestScript"}
{"Action":"output","Package":"m/good","Test":"TestFail","Output":"    x_test.go:2: loud\n"}
{"Action":"fail","Package":"m/good","Test":"TestFail"}
{"Action":"output","Package":"m/good","Output":"FAIL\tm/good\t0.1s\n"}
{"Action":"fail","Package":"m/good"}
{"Action":"output","Package":"m/empty","Output":"?   \tm/empty\t[no test files]\n"}
{"Action":"skip","Package":"m/empty"}
`

func TestReportShowsFailuresAndSkips(t *testing.T) {
	var out strings.Builder
	skips, err := report(strings.NewReader(events), &out)
	if err != nil {
		t.Fatal(err)
	}
	const shown = "# m/broken\nx.go:1:1: bad\n    x_test.go:2: loud\nFAIL\tm/good\t0.1s\n?   \tm/empty\t[no test files]\n"
	if out.String() != shown {
		t.Errorf("shown is\n%s\nnot\n%s", out.String(), shown)
	}
	if want := []skip{{"m/good TestSkip", "no peer", true}, {"m/good TestScript", "needs a pseudo-terminal", false}}; !slices.Equal(skips, want) {
		t.Errorf("skips are %+v, not %+v", skips, want)
	}
	if _, err := report(strings.NewReader(events+"go: something else\n"), &out); err == nil {
		t.Error("a line that is no event was passed over")
	}
}
