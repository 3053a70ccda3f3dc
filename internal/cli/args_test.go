package cli

import (
	"strings"
	"testing"
)

func TestWrongUsageSaysWhatToDo(t *testing.T) {
	for args, want := range map[string]string{
		"nonsense":                      "unknown command \"nonsense\"\nhint: see `prog --help`",
		"nonsense --help":               "unknown command \"nonsense\"\nhint: see `prog --help`",
		"--output text nonsense":        "unknown command \"nonsense\"\nhint: see `prog --help`",
		"nonsense --lines":              "unknown command \"nonsense\"\nhint: see `prog --help`",
		"ohe bob":                       "unknown command \"ohe\"\nhint: did you mean one?",
		"single bob":                    "unknown command \"single\"\nhint: did you mean one?",
		"passwd":                        "unknown command \"passwd\"\nhint: change it at the server",
		"adduser bob":                   "unknown command \"adduser\"\nhint: did you mean user add?",
		"user ad bob":                   "unknown command \"user ad\"\nhint: did you mean add?",
		"user nonsense":                 "unknown command \"user nonsense\"\nhint: see `prog user --help`",
		"help exit-statu":               "unknown command \"exit-statu\"\nhint: did you mean exit-status?",
		"help user ad":                  "unknown command \"user ad\"\nhint: did you mean add?",
		"completion tcsh":               "there is no completion for \"tcsh\"\nhint: give one of bash, fish, powershell, zsh",
		"do":                            "do needs NAME\nhint: write `prog do NAME [TEXT...]`, for example: prog do bob",
		"one":                           "one needs NAME\nhint: write `prog one NAME`",
		"one a b":                       "one takes one argument, and got 2\nhint: write `prog one NAME`",
		"none a":                        "none takes no argument, and got \"a\"\nhint: write `prog none`",
		"do bob --lnies":                "unknown flag --lnies\nhint: did you mean --lines?",
		"do bob -lines":                 "unknown flag -l (in -lines)\nhint: did you mean --lines?",
		"do bob -5":                     "unknown flag -5\nhint: write text that begins with - after --, for example: prog do bob -- -5",
		"do ---":                        "\"---\" is not a flag\nhint: write text that begins with - after --, for example: prog do NAME -- ---",
		"do bob -5 degrees":             "unknown flag -5\nhint: write text that begins with - after --, for example: prog do bob -- -5",
		"do bob -xyz /tmp":              "unknown flag -x (in -xyz)\nhint: write text that begins with - after --, for example: prog do bob -- -xyz",
		"do bob --wrong=1 text":         "unknown flag --wrong\nhint: use one of --cert, --count, --key, --lines, --null, or of `prog do --help`; write text that begins with - after --, for example: prog do bob -- --wrong",
		"do bob --wrong -- text":        "unknown flag --wrong\nhint: use one of --cert, --count, --key, --lines, --null, or of `prog do --help`; write text that begins with - after --, for example: prog do bob -- --wrong",
		"do bob text --wrong":           "unknown flag --wrong\nhint: use one of --cert, --count, --key, --lines, --null, or of `prog do --help`",
		"do bob --wrong --count 5 -x":   "unknown flag --wrong\nhint: use one of --cert, --count, --key, --lines, --null, or of `prog do --help`",
		"do bob --wrong --lines":        "unknown flag --wrong\nhint: use one of --cert, --count, --key, --lines, --null, or of `prog do --help`",
		"do bob text -lines":            "unknown flag -l (in -lines)\nhint: did you mean --lines?",
		"one --x":                       "unknown flag --x\nhint: see `prog one --help`",
		"do bob --count":                "--count needs a value\nhint: give --count INT: how many",
		"do bob --count many":           "--count: \"many\" is not a whole number\nhint: give --count INT: how many",
		"do bob --lines=secret":         "--lines takes no value\nhint: give --lines: each line",
		"do bob --lines --null":         "--lines and --null can't be given together\nhint: leave one of them out",
		"do bob --cert x":               "--cert and --key are given together or not at all\nhint: give --key too",
		"do bob --cert= --key x":        "do: --cert is empty\nhint: give a value, or leave the flag out",
		"do bob --key x --cert x -o":    "-o needs a value",
		"do --cert x --lines --null":    "do needs NAME",
		"do bob --lines --count 5 --xx": "unknown flag --xx",
	} {
		got := program(t, t.Context(), nil, strings.Fields(args)...)
		want = strings.Replace(want, "-o needs", "--output needs", 1)
		if got.status != 2 || got.out != "" || !strings.HasPrefix(got.errs, "prog: "+want) || strings.Contains(want, "hint") && got.errs != "prog: "+want+"\n" {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

func TestRightUsageIsNoError(t *testing.T) {
	for _, args := range []string{"do bob", "do bob a b c", "do bob --cert x --key y --null", "do -- -bob", "one bob", "none", "user add bob"} {
		if got := program(t, t.Context(), nil, strings.Fields(args)...); got != (result{}) {
			t.Errorf("%s: %+v", args, got)
		}
	}
	for _, args := range []string{"", "user", "help", "help user add", "user --help", "completion bash", "help exit-status"} {
		if got := program(t, t.Context(), nil, strings.Fields(args)...); got.status != 0 || got.out == "" || got.errs != "" {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
