package cork

import (
	"bytes"
	"errors"
	"net"
	"testing"
)

// record is a connection that counts writes.
type record struct {
	net.Conn
	writes [][]byte
	err    error
}

func (r *record) Write(b []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(b))
	return len(b), r.err
}

func TestHold(t *testing.T) {
	r := &record{}
	c := &Conn{Conn: r}
	write := func(s string) {
		if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
	}
	write("a")
	c.Hold()
	write("b")
	write("c")
	if len(r.writes) != 1 {
		t.Errorf("held back, and yet written: %q", r.writes)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
	write("d")
	if got := bytes.Join(r.writes, []byte("|")); string(got) != "a|bc|d" {
		t.Errorf("written: %s", got)
	}
	// A flood is not held back without end.
	c.Hold()
	write(string(make([]byte, most-1)))
	write("xy")
	if n := len(r.writes); n != 4 || len(r.writes[3]) != most+1 {
		t.Errorf("%d writes", n)
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	c := &Conn{Conn: &record{err: broken}}
	c.Hold()
	if _, err := c.Write([]byte("a")); err != nil {
		t.Error(err)
	}
	if err := c.Release(); !errors.Is(err, broken) {
		t.Errorf("release: %v", err)
	}
	if _, err := c.Write([]byte("a")); !errors.Is(err, broken) {
		t.Errorf("write: %v", err)
	}
}
