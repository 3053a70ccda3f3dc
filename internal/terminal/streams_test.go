package terminal

import "testing"

// The tests of the go command have no terminal, or all three streams may be one.
func TestSystemStreamsAreThoseOfTheProcess(t *testing.T) {
	s := SystemStreams()
	if s.In == nil || s.Out == nil || s.Err == nil {
		t.Errorf("a stream is missing: %+v", s)
	}
}
