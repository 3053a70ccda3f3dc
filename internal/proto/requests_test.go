package proto

import (
	"testing"
)

func TestEncodeRequestRefusesFieldsOfTheProtocol(t *testing.T) {
	for _, name := range []string{"type", "on_request"} {
		if _, err := EncodeRequest("x", 1, map[string]any{name: 1}); err == nil {
			t.Errorf("a field %q passes", name)
		}
	}
}
