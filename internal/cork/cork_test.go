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

func TestCork(t *testing.T) {
	r := &record{}
	c := &Conn{Conn: r}
	write := func(s string) {
		if n, err := c.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
	}
	write("a")
	c.Cork()
	write("b")
	write("c")
	if len(r.writes) != 1 {
		t.Errorf("written while corked: %q", r.writes)
	}
	if err := c.Uncork(); err != nil {
		t.Error(err)
	}
	write("d")
	if got := bytes.Join(r.writes, []byte("|")); string(got) != "a|bc|d" {
		t.Errorf("written: %s", got)
	}
	// A corked connection holds back a bounded amount.
	c.Cork()
	write(string(make([]byte, maxHeld-1)))
	write("xy")
	if n := len(r.writes); n != 4 || len(r.writes[3]) != maxHeld+1 {
		t.Errorf("%d writes", n)
	}
}

func TestUncorkReportsEarlierWrite(t *testing.T) {
	broken := errors.New("broken")
	c := &Conn{Conn: &record{err: broken}}
	c.Cork()
	if _, err := c.Write([]byte("a")); err != nil {
		t.Error(err)
	}
	if err := c.Uncork(); !errors.Is(err, broken) {
		t.Errorf("uncork: %v", err)
	}
	if _, err := c.Write([]byte("a")); !errors.Is(err, broken) {
		t.Errorf("write: %v", err)
	}
}
