package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// storesUnderTest are the stores that every machine can test.
func storesUnderTest(t *testing.T) map[string]Store {
	t.Helper()
	k, _ := onMemory(t)
	return map[string]Store{"keyring": k, "file": &fileStore{path: filesIn(t.TempDir()).Credentials}}
}

// exerciseStore does what every store must do, and returns the first thing that is wrong.
func exerciseStore(s Store) error {
	ctx := context.Background()
	expect := func(key Key, want Credentials) error {
		got, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		if !sameCredentials(got, want) {
			return fmt.Errorf("%s has other credentials than were set", key.Login)
		}
		return nil
	}
	expectNone := func(key Key) error {
		if _, err := s.Get(ctx, key); KindOf(err) != KindNone {
			return fmt.Errorf("%s: got %v, not KindNone", key.Login, err)
		}
		return nil
	}
	refuseRenew := func(key Key) error {
		if err := s.Renew(ctx, key, "x", noon); KindOf(err) != KindNone {
			return fmt.Errorf("renew: got %v, not KindNone", err)
		}
		return nil
	}
	token, session := someCredentials(), someSession()
	renewed := Credentials{SID: "new <sid> & \"more\" \u2028", SIDUsed: noon.Add(time.Minute + 123456789)}
	steps := []struct {
		name string
		do   func() error
	}{
		{"get what is not there", func() error { return expectNone(alice) }},
		{"delete what is not there", func() error { return s.Delete(ctx, alice) }},
		{"renew what is not there", func() error { return errors.Join(refuseRenew(alice), expectNone(alice)) }},
		{"set", func() error { return errors.Join(s.Set(ctx, alice, token), s.Set(ctx, bob, session)) }},
		{"get", func() error { return errors.Join(expect(alice, token), expect(bob, session)) }},
		{"renew", func() error { return s.Renew(ctx, bob, renewed.SID, renewed.SIDUsed) }},
		{"get what was renewed", func() error { return errors.Join(expect(alice, token), expect(bob, renewed)) }},
		{"keep a token", func() error { return errors.Join(refuseRenew(alice), expect(alice, token)) }},
		{"set a SID in place of a token", func() error { return s.Set(ctx, alice, session) }},
		{"get that SID", func() error { return errors.Join(expect(alice, session), expect(bob, renewed)) }},
		{"set a token with a SID", func() error { return s.Set(ctx, alice, Credentials{Token: token.Token, SID: "x", SIDUsed: noon}) }},
		{"get the token alone", func() error { return expect(alice, token) }},
		{"delete", func() error { return errors.Join(s.Delete(ctx, alice), s.Delete(ctx, bob), s.Delete(ctx, bob)) }},
		{"get what was deleted", func() error { return errors.Join(expectNone(alice), expectNone(bob)) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func TestStores(t *testing.T) {
	for name, s := range storesUnderTest(t) {
		t.Run(name, func(t *testing.T) {
			if s.Name() != name {
				t.Errorf("it calls itself %q", s.Name())
			}
			if err := exerciseStore(s); err != nil {
				t.Error(err)
			}
		})
	}
}

// A session that ends just after a logout must not bring the account back.
func TestRenewNeverBringsAnAccountBack(t *testing.T) {
	for name, s := range storesUnderTest(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			for range 5 {
				if err := s.Set(ctx, alice, someSession()); err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for i := range 8 {
					wg.Go(func() {
						for n := range 4 {
							err := s.Renew(ctx, alice, fmt.Sprintf("sid-%d-%d", i, n), noon)
							if err != nil && KindOf(err) != KindNone {
								t.Error(err)
							}
						}
					})
				}
				wg.Go(func() {
					if err := s.Delete(ctx, alice); err != nil {
						t.Error(err)
					}
				})
				wg.Wait()
				if _, err := s.Get(ctx, alice); KindOf(err) != KindNone {
					t.Fatalf("after the delete: %v, not KindNone", err)
				}
			}
		})
	}
}

func TestStoresRefuseBadText(t *testing.T) {
	for name, s := range storesUnderTest(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if err := s.Set(ctx, alice, Credentials{SID: "\xff\xfe"}); err == nil {
				t.Error("a SID that is not UTF-8 was taken")
			}
			if err := s.Set(ctx, alice, Credentials{SID: "x", SIDUsed: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
				t.Error("a year that RFC 3339 can't write was taken")
			}
			if err := s.Set(ctx, Key{Server: "ws://h/", Login: "\xff"}, someCredentials()); err == nil {
				t.Error("a login that is not UTF-8 was taken")
			}
			if _, err := s.Get(ctx, alice); KindOf(err) != KindNone {
				t.Errorf("something was stored: %v", err)
			}
		})
	}
}

func TestOpenStore(t *testing.T) {
	for name, want := range map[string]string{"": "keyring", "keyring": "keyring", "file": "file"} {
		s, err := OpenStore(name, filesIn(t.TempDir()))
		if err != nil || s.Name() != want {
			t.Errorf("%q: %v, %v", name, s, err)
		}
	}
	if _, err := OpenStore("vault", Files{}); err == nil || !strings.Contains(err.Error(), `"vault"`) || hintOf(err) == "" {
		t.Errorf("an unknown store: %v", err)
	}
}

func TestSessionEndsFiveMinutesAfterItsLastUse(t *testing.T) {
	for _, tt := range []struct {
		c    Credentials
		age  time.Duration
		want bool
	}{
		{someSession(), 0, false},
		{someSession(), 5 * time.Minute, false},
		{someSession(), 5*time.Minute + 1, true},
		{someSession(), -time.Hour, false}, // the clock was set back
		{someCredentials(), 365 * 24 * time.Hour, false},
		{Credentials{SID: "x"}, 0, true},
	} {
		if got := tt.c.SessionEnded(noon.Add(tt.age)); got != tt.want {
			t.Errorf("after %v: %v", tt.age, got)
		}
	}
}

func TestRenewSessionWritesOnceAMinute(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name   string
		stored Credentials
		sid    string
		writes bool
	}{
		{"used just now", Credentials{SID: "a", SIDUsed: now}, "a", false},
		{"used two minutes ago", Credentials{SID: "a", SIDUsed: now.Add(-2 * time.Minute)}, "a", true},
		{"used in the future", Credentials{SID: "a", SIDUsed: now.Add(time.Hour)}, "a", true},
		{"another SID", Credentials{SID: "a", SIDUsed: now}, "b", true},
		{"no SID from the server", Credentials{SID: "a"}, "", false},
		{"a token", someCredentials(), "b", false},
	} {
		s, _ := onMemory(t)
		if err := s.Set(t.Context(), alice, tt.stored); err != nil {
			t.Fatal(err)
		}
		err := RenewSession(t.Context(), s, alice, tt.stored, tt.sid)
		got, getErr := s.Get(t.Context(), alice)
		if err != nil || getErr != nil || sameCredentials(got, tt.stored) == tt.writes || tt.writes && got.SID != tt.sid {
			t.Errorf("%s: %v, %v", tt.name, err, getErr)
		}
	}
}

func TestCredentialsAreHidden(t *testing.T) {
	c := someSession()
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "p", &c)
	for _, text := range []string{
		fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c, c, c, c), fmt.Sprintf("%v %+v", &c, &c),
		fmt.Sprintf("%+v", struct{ C Credentials }{c}), log.String(),
	} {
		if strings.Contains(text, secretSID) || strings.Contains(text, fmt.Sprintf("%x", secretSID)) || strings.Contains(text, "skaro-token") {
			t.Errorf("it shows: %s", text)
		}
		if !strings.Contains(text, "[credentials]") {
			t.Errorf("it does not say what it is: %s", text)
		}
	}
}
