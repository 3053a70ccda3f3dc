package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

var fenced = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

var (
	scriptName = regexp.MustCompile(`^#!.*\n# ([\w-]+)`)
	comments   = regexp.MustCompile(`(?m)^#.*$`)
)

// blocks FILE writes the fenced blocks of a file of docs/ to files: a script to
// bin/NAME, with the name that its second line begins with, another block to
// LANGUAGE-NUMBER. Every one of them must be named somewhere in the test's script.
func cmdBlocks(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 1, "blocks FILE")
	text, err := os.ReadFile(filepath.Join(ts.Getenv("DOCS"), args[0]))
	ts.Check(err)
	archive, err := os.ReadFile(filepath.Join("testdata/script", ts.Name()+".txtar"))
	ts.Check(err)
	script, _, _ := strings.Cut(comments.ReplaceAllString(string(archive), ""), "\n-- ")
	ts.Check(os.MkdirAll(ts.MkAbs("bin"), 0o700))
	found := fenced.FindAllStringSubmatch(string(text), -1)
	if fences := strings.Count("\n"+string(text), "\n```"); fences != 2*len(found) {
		ts.Fatalf("%s has %d fences, and %d blocks with a language", args[0], fences, len(found))
	}
	count := map[string]int{}
	for _, block := range found {
		path, mode := "", os.FileMode(0o600)
		if name := scriptName.FindStringSubmatch(block[2]); name != nil {
			path, mode = "bin/"+name[1], 0o700
		} else {
			count[block[1]]++
			path = fmt.Sprintf("%s-%d", block[1], count[block[1]])
		}
		if !regexp.MustCompile(`\b` + filepath.Base(path) + `\b`).MatchString(script) {
			ts.Fatalf("nothing is done with %s of %s:\n%s", path, args[0], block[2])
		}
		ts.Check(os.WriteFile(ts.MkAbs(path), []byte(block[2]), mode))
	}
}

var cronJob = regexp.MustCompile(`^(?:[\d*/,-]+ ){5}(.*)$`)

// crontab FILE PREFIX… runs the jobs of a crontab, each after the words of PREFIX: the environment.
func cmdCrontab(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 2, "crontab FILE PREFIX...")
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		line = strings.TrimSpace(line)
		job := cronJob.FindStringSubmatch(line)
		switch {
		case line == "", strings.HasPrefix(line, "#"), strings.HasPrefix(line, "PATH="):
			continue
		case job == nil:
			ts.Fatalf("this is no job: %s", line)
		case strings.Contains(strings.ReplaceAll(job[1], `\%`, ""), "%"):
			ts.Fatalf("a %% is a new line in a crontab: %s", line)
		}
		command := append(args[1:len(args):len(args)], "/bin/sh", "-c", strings.ReplaceAll(job[1], `\%`, "%"))
		ts.Check(ts.Exec(command[0], command[1:]...))
	}
}

var unitName = regexp.MustCompile(`^# /etc/systemd/system/(\S+)\n`)

// units FOLDER FILE… writes units to a folder, each named as its first line says,
// with /usr/bin/skaroctl replaced by the program that is tested.
func cmdUnits(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 2, "units FOLDER FILE...")
	program := lookPath(ts, "skaroctl")
	folder := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(folder, 0o700))
	for _, file := range args[1:] {
		text := ts.ReadFile(file)
		name := unitName.FindStringSubmatch(text)
		if name == nil {
			ts.Fatalf("%s does not begin with the name of a unit", file)
		}
		text = strings.ReplaceAll(text, "/usr/bin/skaroctl", program)
		path := filepath.Join(folder, name[1])
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
		ts.Check(os.WriteFile(path, []byte(text), 0o600))
		fmt.Fprintln(ts.Stdout(), name[1])
	}
}

// lookPath finds a program on the script's PATH.
func lookPath(ts *testscript.TestScript, name string) string {
	for folder := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	ts.Fatalf("there is no %s on PATH", name)
	return ""
}

// behind VAR… [FLAG…] makes a program skaroctl, first on PATH, that runs the real one
// with these variables set, whatever the environment it is run in, and with these
// flags first.
func cmdBehind(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 1, "behind VAR... [FLAG...]")
	script, flags := "#!/bin/sh\n", ""
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			flags += " " + arg
		} else {
			script += fmt.Sprintf("export %s='%s'\n", arg, ts.Getenv(arg))
		}
	}
	script += fmt.Sprintf("exec '%s'%s \"$@\"\n", lookPath(ts, "skaroctl"), flags)
	folder, err := os.MkdirTemp(ts.MkAbs("."), "behind") // one behind the other, if there are several
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(folder, "skaroctl"), []byte(script), 0o700))
	ts.Setenv("PATH", folder+string(os.PathListSeparator)+ts.Getenv("PATH"))
}

var setting = regexp.MustCompile(`(?m)^(Environment|ExecStart)=(.*)$`)

// service UNIT DIR [INSTANCE] writes a shell script `service.sh` that runs a unit's
// ExecStart with its Environment, %S being DIR and %i being INSTANCE.
func cmdService(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) == 2 || len(args) == 3, "service UNIT DIR [INSTANCE]")
	host, err := os.Hostname()
	ts.Check(err)
	specifiers := []string{"%S", args[1], "%H", host}
	if len(args) == 3 {
		specifiers = append(specifiers, "%i", args[2])
	}
	var script strings.Builder
	run := ""
	for _, s := range setting.FindAllStringSubmatch(ts.ReadFile(args[0]), -1) {
		value := strings.NewReplacer(specifiers...).Replace(s[2])
		if strings.Contains(value, "%") {
			ts.Fatalf("a %% that this test does not know: %s", value)
		}
		if s[1] == "ExecStart" {
			run = "exec " + value + "\n"
			continue
		}
		script.WriteString("export " + value + "\n")
	}
	if run == "" {
		ts.Fatalf("%s starts nothing", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs("service.sh"), []byte(script.String()+run), 0o600))
}

var (
	icingaAccount   = regexp.MustCompile(`(?ms)^const (\w+) = \{\n(.*?)^\}$`)
	icingaObject    = regexp.MustCompile(`(?ms)^object (\w+) "[\w-]+" \{\n(.*?)^\}$`)
	icingaCommand   = regexp.MustCompile(`(?s)command = \[(.*?)\]`)
	icingaArguments = regexp.MustCompile(`(?s)arguments = \{(.*?)\}`)
	icingaSetting   = regexp.MustCompile(`(\w+) = "([^"]*)"`)
	icingaString    = regexp.MustCompile(`"([^"]*)"`)
	icingaMacro     = regexp.MustCompile(`\$[\w.]+\$`)
)

// icinga FILE OBJECT MACRO=VALUE… writes a shell script `icinga.sh` that runs the
// command of an object as Icinga does: with its environment and its arguments, and
// with each macro replaced by its value. The program is looked for on PATH.
func cmdIcinga(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, len(args) >= 2, "icinga FILE OBJECT MACRO=VALUE...")
	text := ts.ReadFile(args[0])
	object := ""
	for _, o := range icingaObject.FindAllStringSubmatch(text, -1) {
		if o[1] == args[1] {
			object = o[2]
		}
	}
	account := icingaAccount.FindStringSubmatch(text)
	command := icingaCommand.FindStringSubmatch(object)
	if command == nil || account == nil || !strings.Contains(object, "env = "+account[1]+"\n") {
		ts.Fatalf("no %s with a command and an environment in:\n%s", args[1], text)
	}
	words := icingaString.FindAllStringSubmatch(command[1], -1)
	if arguments := icingaArguments.FindStringSubmatch(object); arguments != nil {
		words = append(words, icingaString.FindAllStringSubmatch(arguments[1], -1)...)
	}
	script := "unset HOME\n"
	for _, setting := range icingaSetting.FindAllStringSubmatch(account[2], -1) {
		script += fmt.Sprintf("export %s='%s'\n", setting[1], setting[2])
	}
	script += "exec"
	for i, word := range words {
		value := icingaMacro.ReplaceAllStringFunc(word[1], func(macro string) string {
			for _, arg := range args[2:] {
				if value, ok := strings.CutPrefix(arg, strings.Trim(macro, "$")+"="); ok {
					return value
				}
			}
			ts.Fatalf("no value for %s", macro)
			return ""
		})
		if i == 0 {
			value = lookPath(ts, filepath.Base(value))
		}
		script += " '" + value + "'"
	}
	ts.Check(os.WriteFile(ts.MkAbs("icinga.sh"), []byte(script+"\n"), 0o600))
}

// yaml [-exec] FILE PATH… prints parts of a YAML file as lines for a shell. A PATH is
// keys and indices with dots between them. A text is a line, and a map of texts, or a list
// of names and values, is variables. With -exec a list of texts is the arguments of skaroctl.
func cmdYAML(ts *testscript.TestScript, neg bool, args []string) {
	run := len(args) > 0 && args[0] == "-exec"
	if run {
		args = args[1:]
	}
	want(ts, neg, len(args) >= 2, "yaml [-exec] FILE PATH...")
	var document any
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &document))
	for _, path := range args[1:] {
		part := document
		for key := range strings.SplitSeq(path, ".") {
			switch v := part.(type) {
			case map[string]any:
				part = v[key]
			case []any:
				i, err := strconv.Atoi(key)
				ts.Check(err)
				part = v[i]
			}
		}
		switch v := part.(type) {
		case string:
			fmt.Fprintln(ts.Stdout(), v)
		case map[string]any:
			for name, value := range v {
				fmt.Fprintf(ts.Stdout(), "export %s='%s'\n", name, value)
			}
		case []any:
			line := "exec skaroctl"
			for _, item := range v {
				if pair, ok := item.(map[string]any); ok {
					fmt.Fprintf(ts.Stdout(), "export %s='%s'\n", pair["name"], pair["value"])
				} else {
					line += fmt.Sprintf(" '%s'", item)
				}
			}
			if run && line != "exec skaroctl" {
				fmt.Fprintln(ts.Stdout(), line)
			}
		default:
			ts.Fatalf("%s of %s is %v", path, args[0], part)
		}
	}
}
