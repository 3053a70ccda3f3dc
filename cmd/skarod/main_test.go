package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func TestWrongUsageIsNamed(t *testing.T) {
	runCommands(t, t.TempDir(), []commandCase{
		{"", "user list --nonsense", 2, "", "--nonsense"},
		{"", "nonsense", 2, "", "unknown command \"nonsense\"\nhint: see `skarod --help`"},
		{"", "sevre", 2, "", "hint: did you mean serve?"},
		{"", "user ad carol", 2, "", "unknown command \"user ad\"\nhint: did you mean add?"},
		{"", "user ls", 2, "", "unknown command \"user ls\"\nhint: did you mean list?"},
		{"", "user rm bob", 2, "", "hint: did you mean remove?"},
		{"", "user delete bob", 2, "", "hint: did you mean remove?"},
		{"", "user adduser bob", 2, "", "hint: did you mean add?"},
		{"", "adduser bob", 2, "", "unknown command \"adduser\"\nhint: did you mean user add?"},
		{"", "passwd bob", 2, "", "hint: did you mean user passwd?"},
		{"", "list", 2, "", "hint: did you mean conference list or invite list or user list?"},
		{"", "help exit-statu", 2, "", "hint: did you mean exit-status?"},
		{"", "user list --dta x", 2, "", "hint: did you mean --data?"},
		{"", "--version", 0, "skarod dev\n", ""},
		{"", "version -o xml", 2, "", "--output is \"xml\", not one of auto, text, json"},
		{"", "invite ls", 2, "", "hint: did you mean list?"},
		{"", "invite delete 1", 2, "", "hint: did you mean revoke?"},
	}...)
}

func TestVersionParsing(t *testing.T) {
	checkParsing(t, newVersionCmd,
		parsed[versionOptions]{"version", versionOptions{"auto"}, true},
		parsed[versionOptions]{"version -o json", versionOptions{"json"}, true},
		parsed[versionOptions]{args: "version -o"},
	)
}

func TestVersionIsSetByTheLinker(t *testing.T) {
	out, err := exec.Command(program(t), "--version").Output()
	if err != nil || string(out) != "skarod 1.2.3\n" {
		t.Errorf("%q, %v", out, err)
	}
	out, err = exec.Command(program(t), "version", "-o", "text").Output()
	built := fmt.Sprintf("built with:  %s\nbuilt for:   %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if err != nil || !strings.HasPrefix(string(out), "skarod 1.2.3\n") || !strings.HasSuffix(string(out), built) {
		t.Errorf("%q, %v", out, err)
	}
	out, err = exec.Command(program(t), "version").Output() // its output is no terminal
	var v struct{ Type, Program, Version, Go string }
	if jsonErr := json.Unmarshal(out, &v); err != nil || jsonErr != nil || v.Type != "version" || v.Program != "skarod" || v.Version != "1.2.3" || v.Go != runtime.Version() {
		t.Errorf("%q, %v, %v", out, err, jsonErr)
	}
}
