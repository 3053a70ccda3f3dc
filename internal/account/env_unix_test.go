//go:build unix

package account

import (
	"fmt"
	"os"
	"testing"
)

// A shell gives the output of a command as a pipe: SKAROCTL_TOKEN_FILE=<(pass show token).
func TestTokenFromPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := w.WriteString(newToken("x").Text() + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: needs /dev/fd")
	}
	got, ok, err := FromEnvironment(func(name string) string { return map[string]string{"SKAROCTL_TOKEN_FILE": path}[name] })
	if err != nil || !ok || got.Token != newToken("x") {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
}
