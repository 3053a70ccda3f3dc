package server

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every number of Options has a name in the table, and every name its default in the manual.
func TestEveryLimitHasANameAndARowInTheManual(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "server-reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range Limits() {
		if seen[l.Name] {
			t.Errorf("%s is twice in the table", l.Name)
		}
		seen[l.Name] = true
		var o Options
		if err := o.SetLimit(l.Name, "7s"); err != nil {
			if err = o.SetLimit(l.Name, "7"); err != nil {
				t.Error(err)
			}
		}
		changed := 0
		for i := range reflect.TypeFor[Options]().NumField() {
			if !reflect.ValueOf(o).Field(i).IsZero() {
				changed++
			}
		}
		if changed != 1 {
			t.Errorf("%s changes %d options", l.Name, changed)
		}
		if row := "| `" + l.Name + "` | " + l.Default + " |"; !strings.Contains(string(manual), row) {
			t.Errorf("docs/server-reference.md does not have %s", row)
		}
	}
	numbers := 0
	for i := range reflect.TypeFor[Options]().NumField() {
		f := reflect.TypeFor[Options]().Field(i)
		if f.Type.Kind() == reflect.Int || f.Type == reflect.TypeFor[time.Duration]() && !slices.Contains([]string{"AliveInterval", "PruneInterval", "Keep"}, f.Name) {
			numbers++
		}
	}
	if numbers != len(Limits()) {
		t.Errorf("%d options are numbers, and %d limits have a name", numbers, len(Limits()))
	}
}

func TestSetLimitReadsNumbersSizesAndTimes(t *testing.T) {
	for _, x := range []struct{ name, value, want string }{
		{"max-connections", "12", "12"},
		{"max-frame", "65536", "64 KiB"},
		{"max-frame", "3 MiB", "3 MiB"},
		{"max-frame", "1GiB", "1 GiB"},
		{"max-frame", "1000", "1000 bytes"},
		{"login-time", "90s", "1m30s"},
		{"login-time", "5m", "5m"},
		{"login-time", "2h", "2h"},
	} {
		o := DefaultOptions()
		if err := o.SetLimit(x.name, x.value); err != nil {
			t.Error(err)
		}
		if got := o.limited(x.name); got != x.name+" is "+x.want+"; the server's operator can change it with --limit" {
			t.Errorf("%s=%s: %s", x.name, x.value, got)
		}
	}
	for _, x := range []struct{ name, value, says string }{
		{"max-connections", "0", `max-connections is "0", not a whole number, like 100`},
		{"max-connections", "1 KiB", `max-connections is "1 KiB", not a whole number, like 100`},
		{"max-connections", "-1", `not a whole number`},
		{"max-frame", "1 MB", `max-frame is "1 MB", not a number of bytes, like 65536 or 64KiB`},
		{"max-frame", "99999999999999GiB", `not a number of bytes`},
		{"login-time", "60", `login-time is "60", not a time, like 30s or 5m`},
		{"max-colors", "1", `there is no limit "max-colors"`},
	} {
		o := DefaultOptions()
		if err := o.SetLimit(x.name, x.value); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s=%s: %v", x.name, x.value, err)
		}
		if o.MaxConnections != 10000 || o.MaxFrame != 1<<20 || o.AuthTime != time.Minute {
			t.Errorf("%s=%s changes it", x.name, x.value)
		}
	}
}
