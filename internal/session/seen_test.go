package session

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// A seen set is bounded, and forgets nothing that matters.
func TestSeenSetIsBounded(t *testing.T) {
	var s seenSet
	var history []proto.Message
	const n = seenMost + 5000
	for i := range n {
		m := said("bob", fmt.Sprint(i), int64(1+i/10))
		if i%7 == 0 {
			m = said("bob", fmt.Sprint(i), 0)
		}
		history = append(history, m)
		s.add(m, fmt.Sprint("dialog ", i%1000))
	}
	if len(s.counts) > seenMost || len(s.order) > seenMost || len(s.dialogs) > dialogsMost || len(s.undated) > undatedMost {
		t.Errorf("%d seen, %d in order, %d dialogs, %d undated", len(s.counts), len(s.order), len(s.dialogs), len(s.undated))
	}
	missed := []proto.Message{said("bob", "new", n), said("bob", fmt.Sprint(n-1), int64(1+(n-1)/10)), said("bob", "undated", 0)}
	if got := s.unseen(append(history, missed...), map[fingerprint]int{}); !reflect.DeepEqual(got, missed) {
		t.Errorf("%d messages are taken for new, %d are", len(got), len(missed))
	}
}
