package server

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/store"
)

// A zero value of the options means the default, and one that can't be used is an error.
func TestZeroOptionsAreTheDefaults(t *testing.T) {
	s, err := store.Open(filepath.Join(t.TempDir(), "skarod.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	srv, err := New(Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	srv.Close(t.Context())
	o, d := reflect.ValueOf(srv.o), reflect.ValueOf(DefaultOptions())
	for i := range o.NumField() {
		name := o.Type().Field(i).Name
		isDefault := o.Field(i).Comparable() && o.Field(i).Equal(d.Field(i))
		switch name {
		case "Store", "Log", "Clock", "After", "FreeBytes":
			isDefault = !o.Field(i).IsZero()
		case "TrustedProxies", "AllowOrigins", "Keep":
			isDefault = o.Field(i).IsZero()
		}
		if !isDefault {
			t.Errorf("%s is %v", name, o.Field(i))
		}
	}
	for _, o := range []Options{{}, {Store: s, Registration: "maybe"}, {Store: s, MaxRegistrations: -1}, {Store: s, AliveInterval: -time.Second}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v can be used", o)
		}
	}
}
