package account

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

// A process that was stopped while it held the lock does not stop the others for ever.
func TestLockEndsWithContext(t *testing.T) {
	s, content := fileWith(t, alice)
	config := filepath.Join(t.TempDir(), "config.toml")
	holdConfig, err := holdLock(config)
	if err != nil {
		t.Fatal(err)
	}
	defer holdConfig()
	held, err := holdLock(s.path)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("the time ran out")
	ctx, cancel := context.WithCancelCause(t.Context())
	done, configDone := make(chan error), make(chan error)
	go func() { done <- s.Set(ctx, bob, someCredentials()) }()
	go func() {
		configDone <- UpdateConfig(ctx, config, func(*Config) error { t.Error("changed without the lock"); return nil })
	}()
	if _, err := s.Get(t.Context(), alice); err != nil {
		t.Errorf("reading waits for the lock: %v", err)
	}
	cancel(why)
	for _, done := range []chan error{done, configDone} {
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("%v", err)
		}
	}
	untouched(t, s.path, content)
	held()
	if err := s.Set(t.Context(), bob, someCredentials()); err != nil {
		t.Error(err)
	}
}
