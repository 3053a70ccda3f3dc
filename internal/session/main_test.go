package session

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails if a goroutine of this package outlives the tests.
func TestMain(m *testing.M) {
	status := m.Run()
	for end := time.Now().Add(patience); status == 0; time.Sleep(10 * time.Millisecond) {
		left := ownGoroutines()
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "%d goroutines outlive the tests:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			status = 1
		}
	}
	os.Exit(status)
}

// bounded returns a context that ends after patience: a test of something that is broken
// fails, instead of never ending.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// within returns what comes from a channel. If nothing comes, the test fails after patience.
// Any goroutine may call it.
func within[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Errorf("nothing came within %v", patience)
	}
	return v
}

// ownGoroutines returns the stacks of the other goroutines that run code of this package.
func ownGoroutines() (stacks []string) {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for _, stack := range all[1:] { // the first one is the goroutine that asks
		if strings.Contains(stack, "skaroctl/internal/session.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
